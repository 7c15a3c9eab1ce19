"""ResNet-8 of MLPerf Tiny: three residual blocks, each of two convolutions with a way around them.

After "MLPerf Tiny Benchmark" (Banbury et al., 2021), whose image classification it is, on [32, 32, 3].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from edge_sdk.contract import Statistics
from train_host.architectures.front import as_image, begin, convolution, convolution_relu
from train_host.architectures.head import Head
from train_host.architectures.log_mel import LogMel


def build(  # noqa: PLR0913 - the options of the family are its parameters
    shape: tuple[int, ...],
    head: Head,
    statistics: Statistics,
    *,
    sound: LogMel | None = None,
    filters: Sequence[int] = (16, 32, 64),
    first_stride: int | None = None,
    dropout: float = 0.2,
) -> Any:
    """float32 [height, width, channels], 0..255, or sound -> float32 [units], what the head says.

    Each block but the first halves height and width; `first_stride` does so ahead of all. By default it
    leaves 24 to 48 pixels of the shorter side of an image.
    """
    inputs, x = begin(shape, statistics, sound)
    x = as_image(x)
    x = convolution_relu(x, filters[0], 3, first_stride or max(1, -(-min(x.shape[1:3]) // 48)))
    for number, width in enumerate(filters):
        stride = 1 if number == 0 else 2
        y = convolution(convolution_relu(x, width, 3, stride), width, 3)
        around = x if number == 0 else convolution(x, width, 1, stride)
        x = keras.layers.ReLU()(keras.layers.Add()([y, around]))
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(inputs, head(x), name="resnet8")
