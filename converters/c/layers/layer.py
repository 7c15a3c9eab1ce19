"""What every record has, and boxes of places."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

#: Axes of a box, as EDGEML_AXES in edgeml_kernels.h.
AXES = 5
Ints = NDArray[np.int32]
Bytes = NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One kernel's constants.

    Attributes:
        kernel: name of the C function, of its file, and of its structure without ``_t``.
        header: that declares both.
    """

    kernel: ClassVar[str]
    structure: ClassVar[str]
    header: ClassVar[str] = "edgeml_kernels.h"

    def fields(self) -> dict[str, Any]:
        """Name → value of the C structure: a number, an array, or another record."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def kernels(self) -> list[str]:
        """The kernel, and those that it calls."""
        return [self.kernel, *(value.kernel for value in self.fields().values() if hasattr(value, "kernel"))]


@dataclass(frozen=True, slots=True, eq=False)
class Box(Layer):
    """Places of two operands that are broadcast, or of one that is moved; sizes and steps in elements."""

    structure = "edgeml_box_t"
    size: tuple[int, ...]
    step_a: tuple[int, ...]
    step_b: tuple[int, ...]

    def fields(self) -> dict[str, Any]:
        """The count of its rows too."""
        return {"rows": int(np.prod(self.size[:-1])), **Layer.fields(self)}
