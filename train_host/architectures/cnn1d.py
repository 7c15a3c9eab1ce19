"""1-D convolutions over time, then the mean over time, then one dense layer.

Convolution, BatchNorm, ReLU, in this order: the converter folds all three into one int8 operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from edge_sdk.contract import Statistics
from train_host.architectures.front import begin, convolution_relu
from train_host.architectures.head import Head
from train_host.architectures.log_mel import LogMel


def build(  # noqa: PLR0913 - the options of the family are its parameters
    shape: tuple[int, ...],
    head: Head,
    statistics: Statistics,
    *,
    sound: LogMel | None = None,
    filters: Sequence[int] = (24, 32, 48),
    kernels: Sequence[int] = (9, 5, 3),
    strides: Sequence[int] = (2, 2, 2),
    dropout: float = 0.3,
) -> Any:
    """float32 [window, channels] -> float32 [units], what the head says."""
    if not len(filters) == len(kernels) == len(strides):
        raise ValueError("filters, kernels and strides: expected lists of one length")
    inputs, x = begin(shape, statistics, sound)
    for width, kernel, stride in zip(filters, kernels, strides, strict=True):
        x = convolution_relu(x, width, kernel, stride)
    x = keras.layers.GlobalAveragePooling1D()(x)
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(inputs, head(x), name="cnn1d")
