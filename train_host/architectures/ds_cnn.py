"""Keyword spotting: depthwise separable convolutions over a log-mel spectrogram, which is part of the model.

After "Hello Edge: Keyword Spotting on Microcontrollers" (Zhang et al., 2017), which ends in a mean over the
window. The largest value over time keeps more precision in int8: what is rounded the same way throughout the
silence around a word adds up in a mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from edge_sdk.contract import Statistics
from train_host.architectures.head import Head
from train_host.architectures.log_mel import LogMel, log_mel


def build(  # noqa: PLR0913 - the options of the family are its parameters
    shape: tuple[int, ...],
    head: Head,
    statistics: Statistics,
    *,
    rate_hz: float | None = None,
    frame_ms: float = 32.0,
    hop_ms: float = 20.0,
    mels: int = 32,
    lowest_hz: float = 60.0,
    highest_hz: float | None = None,
    floor: float = 1e-2,
    filters: int = 64,
    strides: Sequence[int] = (2, 1, 1, 1),
    pool: str = "max",
    dropout: float = 0.3,
) -> Any:
    """float32 [window, 1], sound within -1..1 -> float32 [units], what the head says.

    `rate_hz` is that of the recordings. `highest_hz` is 95 % of half of it, where none is given. There are as
    many depthwise separable blocks as `strides`.
    """
    del statistics  # loudness is in the logarithm; each band is normalised by what its training frames were
    if len(shape) != 2 or shape[1] != 1:
        raise ValueError(f"sound: expected one channel, found {shape[-1]}")
    if pool not in ("max", "mean"):
        raise ValueError(f"pool: expected max or mean, found {pool}")
    if rate_hz is None:
        raise ValueError("rate_hz: expected the rate of the recordings, found none in dataset.toml")
    sound = LogMel(
        rate_hz=rate_hz,
        frame_ms=frame_ms,
        hop_ms=hop_ms,
        mels=mels,
        lowest_hz=lowest_hz,
        highest_hz=0.475 * rate_hz if highest_hz is None else highest_hz,
        floor=floor,
    )
    inputs = keras.Input(shape, name="x")
    x = log_mel(shape[0], sound)(inputs)
    x = keras.layers.BatchNormalization(scale=False, center=False, momentum=0.9, name="bands")(x)
    x = keras.layers.Reshape((sound.frames(shape[0]), mels, 1))(x)
    x = _normal(keras.layers.Conv2D(filters, (10, 4), strides=2, padding="same", use_bias=False)(x))
    for stride in strides:
        x = keras.layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(x)
        x = _normal(keras.layers.Conv2D(filters, 1, use_bias=False)(_normal(x)))
    if pool == "max":
        x = keras.layers.AveragePooling2D((1, x.shape[2]))(x)
        x = keras.layers.GlobalMaxPooling2D()(x)
    else:
        x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(inputs, head(x), name="ds_cnn")


def _normal(x: Any) -> Any:
    """What the converter folds into the convolution ahead."""
    return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
