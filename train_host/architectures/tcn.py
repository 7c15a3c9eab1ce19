"""A temporal convolutional network: causal convolutions whose dilation doubles, each with a way around it.

After "An Empirical Evaluation of Generic Convolutional and Recurrent Networks" (Bai et al., 2018). A first
convolution of stride 2 halves the time; the last block then sees `4 * sum(dilations) + 9` samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from edge_sdk.contract import Statistics
from train_host.architectures.front import begin, convolution, convolution_relu
from train_host.architectures.head import Head
from train_host.architectures.log_mel import LogMel


def build(  # noqa: PLR0913 - the options of the family are its parameters
    shape: tuple[int, ...],
    head: Head,
    statistics: Statistics,
    *,
    sound: LogMel | None = None,
    filters: int = 24,
    kernel: int = 3,
    dilations: Sequence[int] = (1, 2, 4, 8),
    stride: int = 2,
    dropout: float = 0.3,
) -> Any:
    """float32 [window, channels] -> float32 [units], what the head says."""
    inputs, x = begin(shape, statistics, sound)
    x = convolution_relu(x, filters, 9, stride)
    for dilation in dilations:
        y = keras.layers.ReLU()(convolution(x, filters, kernel, dilation=dilation))
        y = convolution(y, filters, 1)
        x = keras.layers.ReLU()(keras.layers.Add()([x, y]))
    x = keras.layers.GlobalAveragePooling1D()(x)
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(inputs, head(x), name="tcn")
