"""L2_NORMALIZATION in fixed point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c import layers
from converters.c.fixed_point import multiply, reciprocal_root


def l2_normalization(
    layer: layers.L2Normalization, inputs: Sequence[NDArray[Any]], output: NDArray[Any]
) -> None:
    """Each row over the root of the sum of its squares."""
    x = inputs[0].astype(np.int64).reshape(layer.rows, layer.depth) - layer.zero_point
    made = output.reshape(layer.rows, layer.depth)
    for row, total in enumerate((x**2).sum(axis=1).tolist()):
        multiplier, shift = reciprocal_root(total)
        made[row] = np.clip(multiply(x[row], multiplier, shift + 7), -128, 127)
