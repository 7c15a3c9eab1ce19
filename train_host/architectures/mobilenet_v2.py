"""MobileNetV2 as Keras has it, untrained: nothing is downloaded."""

from __future__ import annotations

from typing import Any

import keras

from edge_sdk.contract import Statistics
from train_host.architectures.front import begin
from train_host.architectures.head import Head

#: Keras refuses smaller ones: they are halved five times.
_LEAST_SIDE = 32


def build(
    shape: tuple[int, ...], head: Head, statistics: Statistics, *, alpha: float = 0.35, dropout: float = 0.2
) -> Any:
    """float32 [height, width, channels], 0..255 -> float32 [units], what the head says."""
    inputs, x = begin(shape, statistics, None)
    body = keras.applications.MobileNetV2(
        input_tensor=enlarged(x), alpha=alpha, include_top=False, weights=None, pooling="avg"
    )
    x = keras.layers.Dropout(dropout)(quick(body).output)
    return keras.Model(inputs, head(x), name="mobilenet_v2")


def enlarged(x: Any) -> Any:
    """An image that is smaller than 32 pixels a side, between zeros: the mean, once it is normalised."""
    lacking = [max(0, _LEAST_SIDE - side) for side in x.shape[1:3]]
    if not any(lacking):
        return x
    return keras.layers.ZeroPadding2D(tuple((lack // 2, lack - lack // 2) for lack in lacking))(x)


def quick(body: Any) -> Any:
    """With batch normalisations that follow within an epoch: Keras' 0.999 takes thousands of steps."""
    for layer in body.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9
    return body
