"""2-D convolutions over small images, then the mean over the image, then one dense layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from edge_sdk.contract import Statistics
from train_host.architectures.head import Head
from train_host.architectures.normalization import normalization


def build(
    shape: tuple[int, ...],
    head: Head,
    statistics: Statistics,
    *,
    filters: Sequence[int] = (16, 32, 48),
    dropout: float = 0.3,
) -> Any:
    """float32 [height, width, channels], 0..255 -> float32 [units], what the head says."""
    x = inputs = keras.Input(shape, name="x")
    x = normalization(statistics)(x)
    for width in filters:
        x = keras.layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(inputs, head(x), name="cnn2d")
