"""2-D convolutions over images, or over a spectrogram, then the mean, then one dense layer.

A stage halves the image by its first convolution; all stages but the last have a second one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from edge_sdk.contract import Statistics
from train_host.architectures.front import as_image, begin, convolution_relu
from train_host.architectures.head import Head
from train_host.architectures.log_mel import LogMel

#: Channels of the last stage and, at least, of the first ones; each stage has twice those of the one ahead.
_MOST, _LEAST = 128, 16
#: Stages are added until no more pixels a side are left.
_LEFT = 6


def build(
    shape: tuple[int, ...],
    head: Head,
    statistics: Statistics,
    *,
    sound: LogMel | None = None,
    filters: Sequence[int] | None = None,
    dropout: float = 0.3,
) -> Any:
    """float32 [height, width, channels], 0..255, or sound -> float32 [units], what the head says.

    `filters` are the channels of each stage; by default 128 in the last one, and as many stages as leave 6
    pixels of the shorter side.
    """
    inputs, x = begin(shape, statistics, sound)
    x = as_image(x)
    widths = stages(min(x.shape[1:3])) if filters is None else filters
    for number, width in enumerate(widths, start=1):
        x = convolution_relu(x, width, 3, 2)
        if number < len(widths):
            x = convolution_relu(x, width, 3)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(inputs, head(x), name="cnn2d")


def stages(side: int) -> list[int]:
    """Channels of each stage for an image of so many pixels a side.

    >>> stages(28), stages(96)
    ([32, 64, 128], [16, 32, 64, 128])
    """
    widths = [_MOST]
    while side > 2 * _LEFT or len(widths) < 2:
        side = -(-side // 2)
        widths.insert(0, max(_LEAST, widths[0] // 2))
    return widths
