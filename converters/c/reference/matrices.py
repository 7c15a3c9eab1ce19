"""Products of two matrices that are both computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c import layers
from converters.c.fixed_point import multiply
from converters.c.reference.movement import places


def batch_matmul(layer: layers.BatchMatmul, inputs: Sequence[NDArray[Any]], output: NDArray[Any]) -> None:
    """One product for each place of the box of batches."""
    shape = (layer.columns, layer.inner) if layer.transposed else (layer.inner, layer.columns)
    a = (
        inputs[0]
        .astype(np.int64)
        .reshape(-1, layer.rows, layer.inner)[places(layer.box.size, layer.box.step_a)]
    )
    b = inputs[1].astype(np.int64).reshape(-1, *shape)[places(layer.box.size, layer.box.step_b)]
    second = (b.swapaxes(1, 2) if layer.transposed else b) - layer.zero_b
    value = multiply((a - layer.zero_a) @ second, layer.multiplier, layer.shift)
    output[:] = np.clip(value + layer.output_zero_point, -128, 127).reshape(-1)
