"""2-D convolutions over small images, or over a spectrogram, then the mean, then one dense layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from edge_sdk.contract import Statistics
from train_host.architectures.front import as_image, begin, convolution_relu
from train_host.architectures.head import Head
from train_host.architectures.log_mel import LogMel


def build(
    shape: tuple[int, ...],
    head: Head,
    statistics: Statistics,
    *,
    sound: LogMel | None = None,
    filters: Sequence[int] = (16, 32, 48),
    dropout: float = 0.3,
) -> Any:
    """float32 [height, width, channels], 0..255, or sound -> float32 [units], what the head says."""
    inputs, x = begin(shape, statistics, sound)
    x = as_image(x)
    for width in filters:
        x = convolution_relu(x, width, 3, 2)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(inputs, head(x), name="cnn2d")
