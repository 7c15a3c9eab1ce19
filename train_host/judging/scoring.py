"""Scales the score of an anomaly detector, so that its threshold means a stated share of false alarms."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from edge_sdk.dataset import Windowed
from edge_sdk.errors import ConfigError
from train_host.architectures.head import ALARM
from train_host.fitting import fit

#: No distance is too small to be a threshold.
_LEAST = 1e-12


def scale(model: Any, normal: Windowed, share: float) -> float:
    """Give the model the scale at which at most that share of normal windows has a score of 0.5 or more.

    Args:
        model: ends with what `Head` puts behind a distance; changed.
        normal: windows to choose on.
        share: 0..1.

    Returns:
        The distance that has a score of 0.5 from now on.

    Raises:
        ConfigError: an architecture that does not end so.
    """
    layer = next((layer for layer in model.layers if layer.name == ALARM), None)
    if layer is None:
        raise ConfigError(
            "the architecture gives no distance",
            expected="a model that ends with head(distance), distance float32 [n, 1]",
            found=f"{model.layers[-1].name} at its end",
        )
    distances = fit.scores(keras.Model(model.inputs, layer.input), normal).ravel()
    # the next number up: a window at the quantile itself is no alarm
    limit = float(np.nextafter(np.quantile(distances, 1 - share, method="higher"), np.float32(np.inf)))
    layer.kernel.assign(np.array([[1 / max(limit, _LEAST)]], np.float32))
    return limit
