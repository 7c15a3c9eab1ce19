"""Dense layers over the whole window: the least that learns, for short windows of few channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from edge_sdk.contract import Statistics
from train_host.architectures.front import begin
from train_host.architectures.head import Head
from train_host.architectures.log_mel import LogMel


def build(
    shape: tuple[int, ...],
    head: Head,
    statistics: Statistics,
    *,
    sound: LogMel | None = None,
    units: Sequence[int] = (64, 32),
    dropout: float = 0.3,
) -> Any:
    """float32 [*shape] -> float32 [units], what the head says."""
    inputs, x = begin(shape, statistics, sound)
    x = keras.layers.Flatten()(x)
    for width in units:
        x = keras.layers.Dense(width, use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(inputs, head(x), name="mlp")
