"""The first layer of every architecture: units in, zero mean and unit variance out, in the graph."""

from __future__ import annotations

from typing import Any

import keras

from edge_sdk.contract import Statistics


def normalization(statistics: Statistics) -> Any:
    """A Normalization layer that is adapted already; a channel that never moved is only centred."""
    variance = [std * std or 1.0 for std in statistics.std]
    return keras.layers.Normalization(
        axis=-1, mean=list(statistics.mean), variance=variance, name="normalization"
    )
