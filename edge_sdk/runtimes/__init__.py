"""The engines behind a model, one a file; named, never guessed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from edge_sdk.errors import SpecError

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: The largest float16.
_HALF = 65504.0


class Runtime(Protocol):
    """What an engine offers. Constructed with a flatbuffer's bytes and a number of threads.

    Two methods more are for engines that have them: ``settle(shapes)``, called before anything else where a
    model leaves an axis of an input open that is not its batch; and ``batched(size)``, another engine of the
    same model that takes so many windows at once. A model without them runs its windows one by one.
    """

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
        name: in the model's signature; the tensor's own where it has none.
        shape: with the batch axis, as allocated.
        dtype: numpy's name.
        scale: quantization scale, 0.0 where the tensor is not quantized.
        zero_point: quantization zero point.
        open: the axes whose length the model leaves open; 0 is the batch.
        signature: which of the model's signatures `name` is from; empty without one.
    """

    __slots__ = ("dtype", "name", "open", "scale", "shape", "signature", "zero_point")

    def __init__(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str,
        quantization: tuple[float, int] = (0.0, 0),
        *,
        open_axes: Sequence[int] = (),
        signature: str = "",
    ) -> None:
        self.name, self.shape, self.dtype = name, tuple(int(n) for n in shape), dtype
        self.scale, self.zero_point = float(quantization[0]), int(quantization[1])
        self.open, self.signature = tuple(open_axes), signature

    @property
    def has_batch(self) -> bool:
        """Whether its first axis counts windows: one of them, or as many as there are."""
        return bool(self.shape) and (0 in self.open or self.shape[0] == 1)

    @property
    def window_shape(self) -> tuple[int, ...]:
        """Of one window, without the batch axis."""
        return self.shape[1:] if self.has_batch else self.shape

    @property
    def unsettled(self) -> bool:
        """Whether the model leaves more open than its batch."""
        return any(axis != 0 for axis in self.open)

    def quantize(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values in the units of the tensor as what the tensor holds; what is out of its range is clipped.

        Raises:
            SpecError: an integer tensor is given NaN.
        """
        kind = np.dtype(self.dtype)
        if values.dtype == kind and not self.scale:
            return values
        if kind.kind not in "iu":
            return np.clip(values, -_HALF, _HALF).astype(kind) if kind == np.float16 else values.astype(kind)
        if values.dtype.kind == "f" and np.isnan(values).any():
            raise SpecError(f"input {self.name!r}", expected=f"numbers that {kind} can hold", found="NaN")
        limits = np.iinfo(kind)
        steps = (
            np.round(values / self.scale) + self.zero_point if self.scale else np.round(values.astype(float))
        )
        # A float64 has no 2^63 - 1: it would be cast to 2^63, which is none of int64.
        most = limits.max if kind.itemsize < 8 else limits.max - 1023
        return np.clip(steps, limits.min, most).astype(kind)

    def dequantize(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """What the tensor holds as float32 values in its units."""
        if not self.scale:
            return values.astype(np.float32)
        return ((values.astype(np.float32) - self.zero_point) * np.float32(self.scale)).astype(np.float32)
