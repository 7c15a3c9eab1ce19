"""Keyword spotting: depthwise separable convolutions over a log-mel spectrogram, which is part of the model.

After "Hello Edge: Keyword Spotting on Microcontrollers" (Zhang et al., 2017), which ends in a mean over the
window. What comes when tells words apart: so the mean is over bands only, and the last layer sees the course
of time. That keeps more in int8, too: a mean over time adds up what is rounded the same way throughout the
silence around a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from edge_sdk.contract import Statistics
from train_host.architectures.front import as_image, begin, convolution_relu, separable_relu
from train_host.architectures.head import Head
from train_host.architectures.log_mel import LogMel

_POOLS = ("time", "max", "mean")


def build(  # noqa: PLR0913 - the options of the family are its parameters
    shape: tuple[int, ...],
    head: Head,
    statistics: Statistics,
    *,
    sound: LogMel | None = None,
    filters: int = 48,
    strides: Sequence[int] = (2, 1, 1, 1),
    pool: str = "time",
    dropout: float = 0.3,
) -> Any:
    """float32 [window, 1], sound within -1..1 -> float32 [units], what the head says.

    There are as many depthwise separable blocks as `strides`. `pool` says what is left of bands and time:
    ``time`` keeps the course of time, ``max`` the largest value in it, ``mean`` the mean.
    """
    if pool not in _POOLS:
        raise ValueError(f"pool: expected {', '.join(_POOLS)}, found {pool}")
    if len(shape) != 2 or shape[1] != 1:
        raise ValueError(f"sound: expected one channel, found {shape[-1]}")
    if sound is None:
        raise ValueError("rate_hz: expected the rate of sound in dataset.toml, found none, or too low a one")
    inputs, x = begin(shape, statistics, sound)
    x = convolution_relu(as_image(x), filters, (10, 4), 2)
    for stride in strides:
        x = separable_relu(x, filters, stride)
    if pool == "mean":
        x = keras.layers.GlobalAveragePooling2D()(x)
    else:
        x = keras.layers.AveragePooling2D((1, x.shape[2]))(x)
        x = keras.layers.GlobalMaxPooling2D()(x) if pool == "max" else keras.layers.Flatten()(x)
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(inputs, head(x), name="ds_cnn")
