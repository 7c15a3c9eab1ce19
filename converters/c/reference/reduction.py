"""One of all along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c import layers
from converters.c.fixed_point import multiply

_Arrays = Sequence[NDArray[Any]]


def mean(layer: layers.Mean, inputs: _Arrays, output: NDArray[Any]) -> None:
    """The sum less zero points, times a multiplier that divides."""
    x = inputs[0].astype(np.int64).reshape(layer.outer, layer.reduced, layer.inner)
    total = (x - layer.input_zero_point).sum(axis=1)
    value = multiply(total, layer.multiplier, layer.shift) + layer.output_zero_point
    output[:] = np.clip(value, -128, 127).reshape(-1)


def reduce_max(layer: layers.ReduceMax, inputs: _Arrays, output: NDArray[Any]) -> None:
    """The largest."""
    output[:] = inputs[0].reshape(layer.outer, layer.reduced, layer.inner).max(axis=1).reshape(-1)


def reduce_min(layer: layers.ReduceMin, inputs: _Arrays, output: NDArray[Any]) -> None:
    """The smallest."""
    output[:] = inputs[0].reshape(layer.outer, layer.reduced, layer.inner).min(axis=1).reshape(-1)
