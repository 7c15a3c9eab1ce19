"""From float32 to int8 and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c import layers


def dequantize(layer: layers.Dequantize, inputs: Sequence[NDArray[Any]], output: NDArray[Any]) -> None:
    """``scale * (x - zero_point)``, rounded once to float32."""
    exact = float(np.float32(layer.scale)) * (inputs[0].astype(np.float64) - layer.zero_point)
    output[:] = exact.astype(np.float32)


def quantize(layer: layers.Quantize, inputs: Sequence[NDArray[Any]], output: NDArray[Any]) -> None:
    """``round(x / scale) + zero_point``, halves away from zero."""
    with np.errstate(over="ignore"):
        ratio = (inputs[0] / np.float32(layer.scale)).astype(np.float64)
    whole = np.copysign(np.floor(np.abs(ratio) + 0.5), ratio)
    output[:] = np.clip(np.nan_to_num(whole, nan=-1e9) + layer.zero_point, -128, 127).astype(np.int8)
