"""Functions of one int8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c import layers


def lookup(layer: layers.Lookup, inputs: Sequence[NDArray[Any]], output: NDArray[Any]) -> None:
    """The table's entry for each element."""
    output[:] = layer.table[inputs[0].astype(np.int64) + 128]
