"""The engines behind a model, one a file; named, never guessed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Runtime(Protocol):
    """What an engine offers. Constructed with a flatbuffer's bytes and a number of threads."""

    name: str
    version: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def invoke(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """One inference: arrays with their batch axis, in the order of `inputs`; outputs are copies."""

    def close(self) -> None:
        """Release the engine."""


class Port:
    """One input or output tensor of an engine.

    Attributes:
        name: as the model names it.
        shape: with the batch axis, as allocated.
        dtype: numpy's name.
        scale: quantization scale, 0.0 where the tensor is not quantized.
        zero_point: quantization zero point.
    """

    __slots__ = ("dtype", "name", "scale", "shape", "zero_point")

    def __init__(self, name: str, shape: Sequence[int], dtype: str, quantization: tuple[float, int]) -> None:
        self.name, self.shape, self.dtype = name, tuple(int(n) for n in shape), dtype
        self.scale, self.zero_point = float(quantization[0]), int(quantization[1])

    def quantize(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values in the units of the tensor as what the tensor holds; integers without a scale are cast."""
        if not self.scale:
            return values.astype(self.dtype)
        limits = np.iinfo(self.dtype)
        steps = np.round(values / self.scale) + self.zero_point
        return np.clip(steps, limits.min, limits.max).astype(self.dtype)

    def dequantize(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """What the tensor holds as float32 values in its units."""
        if not self.scale:
            return values.astype(np.float32)
        return ((values.astype(np.float32) - self.zero_point) * np.float32(self.scale)).astype(np.float32)
