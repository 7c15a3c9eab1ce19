"""MobileNetV3-Small as Keras has it, untrained: nothing is downloaded."""

from __future__ import annotations

from typing import Any

import keras

from edge_sdk.contract import Statistics
from train_host.architectures.front import begin
from train_host.architectures.head import Head
from train_host.architectures.mobilenet_v2 import enlarged, quick


def build(
    shape: tuple[int, ...],
    head: Head,
    statistics: Statistics,
    *,
    alpha: float = 0.5,
    minimalistic: bool = False,
    dropout: float = 0.2,
) -> Any:
    """float32 [height, width, channels], 0..255 -> float32 [units], what the head says.

    `minimalistic` leaves out hard swish and squeeze-and-excitation, which small cores compute slowly.
    """
    inputs, x = begin(shape, statistics, None)
    body = keras.applications.MobileNetV3Small(
        input_tensor=enlarged(x),
        alpha=alpha,
        minimalistic=minimalistic,
        include_top=False,
        include_preprocessing=False,
        weights=None,
        pooling="avg",
    )
    x = keras.layers.Dropout(dropout)(quick(body).output)
    return keras.Model(inputs, head(x), name="mobilenet_v3")
