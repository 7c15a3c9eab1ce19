"""What goes into a model: the inputs that windows feed, and those that remember."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_sdk.errors import SpecError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_sdk.runtimes import Port

#: How many windows an array holds: ``(n,)``, or ``()`` for one alone.
Rows = tuple[int, ...]


class State:
    """What a streaming model remembers of one stream; get one with `Model.new_state`.

    Attributes:
        tensors: by the name of the input that takes each, as the model holds them.
    """

    __slots__ = ("_initial", "tensors")

    def __init__(self, initial: Mapping[str, NDArray[Any]]) -> None:
        self._initial = initial
        self.tensors = dict(initial)

    def reset(self) -> None:
        """Forget, as after a gap."""
        self.tensors = dict(self._initial)

    @property
    def bytes(self) -> int:
        """What it holds."""
        return sum(array.nbytes for array in self.tensors.values())


class Feed:
    """One input that windows feed.

    Attributes:
        index: of the input.
        shape: of one window.
        dtype: that the model takes.
        also: another shape that is taken: [T, C] where the model wants it flat.
        columns: of a window of several inputs that are its own; None where it takes the whole.
        remedy: for a window of another shape.
    """

    __slots__ = ("_what", "also", "columns", "dtype", "index", "port", "remedy", "shape")

    def __init__(self, what: str, index: int, port: Port, remedy: str | None) -> None:
        self._what, self.index, self.port, self.remedy = what, index, port, remedy
        self.shape = self.also = port.window_shape
        self.dtype = np.dtype(port.dtype)
        self.columns: slice | None = None

    def fit(self, values: NDArray[Any], rows: Rows = ()) -> NDArray[Any]:
        """A window made to fit: another number type, [T, C] for [T, C, 1], quantized for int8.

        Args:
            values: [*rows, …].
            rows: how many windows there are; none where it is one alone.

        Raises:
            SpecError: another shape, or a type that is not a number.
        """
        own = values.shape[len(rows) :]
        if own not in (self.shape, self.also):
            lengths = [n for n in own if n != 1]
            if math.prod(own) != math.prod(self.shape) or lengths != [n for n in self.shape if n != 1]:
                raise SpecError(
                    self._what,
                    expected=f"{self.dtype} {list(self.shape)}",
                    found=list(own),
                    remedy=self.remedy,
                )
        if values.dtype.kind not in "fiub":
            raise SpecError(self._what, expected=str(self.dtype), found=values.dtype)
        values = values.reshape(rows + self.shape)
        return values if values.dtype == self.dtype else self.port.quantize(values)


class Memory:
    """A pair of tensors: what the output says is what the input is given next time.

    Attributes:
        index: of the input.
        source: index of the output.
        name: of the input.
        initial: zeros as the input holds them, with the batch axis.
    """

    __slots__ = ("_given", "_taken", "index", "initial", "name", "source")

    def __init__(self, index: int, taken: Port, source: int, given: Port) -> None:
        self.index, self.source, self.name = index, source, taken.name
        self.initial = taken.quantize(np.zeros(taken.shape, np.float32))
        self.initial.setflags(write=False)
        alike = (taken.dtype, taken.scale, taken.zero_point) == (given.dtype, given.scale, given.zero_point)
        self._taken, self._given = taken, None if alike else given

    def next(self, said: NDArray[Any]) -> NDArray[Any]:
        """What the input is given next time."""
        said = np.asarray(said)
        return said if self._given is None else self._taken.quantize(self._given.dequantize(said))
