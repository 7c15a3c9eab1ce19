"""An autoencoder: what it cannot say again in its own words is not like what it has seen.

Dense layers down to a few numbers and up again. Its distance is the mean squared difference between features
and what comes out for them; the score of that is in the graph, so that the model says one number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from edge_sdk.contract import Statistics
from train_host.architectures.features import frames
from train_host.architectures.head import Head
from train_host.architectures.log_mel import LogMel


def build(  # noqa: PLR0913 - the options of the family are its parameters
    shape: tuple[int, ...],
    head: Head,
    statistics: Statistics,
    *,
    sound: LogMel | None = None,
    looks_at: str = "spectrum",
    bands: int = 16,
    frame: int = 64,
    units: Sequence[int] = (64, 32),
    code: int = 8,
) -> Any:
    """float32 [*shape] -> float32 [1], the score.

    `looks_at` is ``spectrum`` or ``samples``: features of signals, or the window as it is. `units` are the
    layers down to `code` numbers; the way up has the same.
    """
    inputs, x = frames(shape, statistics, sound, looks_at, bands, frame)
    x = keras.layers.Flatten()(x)
    y = x
    for width in (*units, code, *reversed(units)):
        y = keras.layers.Dense(width, use_bias=False)(y)
        y = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(y))
    y = keras.layers.Dense(x.shape[-1], name="again")(y)
    off = ops.subtract(x, y)
    distance = ops.mean(ops.multiply(off, off), axis=-1, keepdims=True)
    return keras.Model(inputs, head(distance), name="autoencoder")
