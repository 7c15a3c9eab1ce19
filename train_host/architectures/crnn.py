"""Convolutions shorten time, an LSTM reads what is left of it, its last word is judged.

An LSTM with its usual functions becomes one operator of TFLite that keeps its state in 8 and 16 bits; a GRU
would be unrolled, a copy of its operators a step (see `converters.load._recurrent`).
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
    filters: Sequence[int] = (24, 32),
    kernels: Sequence[int] = (9, 5),
    strides: Sequence[int] = (2, 2),
    units: int = 32,
    dropout: float = 0.3,
) -> Any:
    """float32 [window, channels] -> float32 [units], what the head says."""
    if not len(filters) == len(kernels) == len(strides):
        raise ValueError("filters, kernels and strides: expected lists of one length")
    inputs, x = begin(shape, statistics, sound)
    for width, kernel, stride in zip(filters, kernels, strides, strict=True):
        x = convolution_relu(x, width, kernel, stride)
    x = keras.layers.LSTM(units)(x)
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(inputs, head(x), name="crnn")
