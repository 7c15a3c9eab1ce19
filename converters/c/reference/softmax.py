"""SOFTMAX in fixed point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c import layers
from converters.c.fixed_point import divide, high_product, one_over_one_plus


def softmax(layer: layers.Softmax, inputs: Sequence[NDArray[Any]], output: NDArray[Any]) -> None:
    """Exponentials over their sum, which is brought to between 1 and 2 to be inverted."""
    x = inputs[0].astype(np.int64).reshape(layer.rows, layer.depth)
    powers = layer.exponential.astype(np.int64)[x.max(axis=1, keepdims=True) - x]
    totals = divide(powers, 12).sum(axis=1)
    for row, (power, total) in enumerate(zip(powers, totals.tolist(), strict=True)):
        zeros = 32 - int(total).bit_length()
        scale = min(int(one_over_one_plus((total << zeros) - (1 << 31))) * 2, (1 << 31) - 1)
        share = divide(high_product(scale, power), 12 - zeros + 31 - 8) - 128
        output[row * layer.depth : (row + 1) * layer.depth] = np.clip(share, -128, 127)
