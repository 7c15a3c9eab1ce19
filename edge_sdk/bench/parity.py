"""Whether a target's answers to golden inputs are those that LiteRT gave where the model was converted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import SpecError
from edge_sdk.modelfile import Golden


@dataclass(frozen=True, slots=True)
class Parity:
    """How many golden vectors a target meets.

    Attributes:
        cases: that were compared.
        mismatches: cases of which an output is off by more than the file allows it.
        max_difference: largest difference, of what the tensors hold; infinite for a NaN.
        tolerance: largest that any output is allowed.
    """

    cases: int
    mismatches: int
    max_difference: float
    tolerance: float

    def as_dict(self) -> dict[str, Any]:
        """Plain Python values for JSON, which has no infinity: None."""
        finite = math.isfinite(self.max_difference)
        return {**asdict(self), "max_difference": self.max_difference if finite else None}

    def __str__(self) -> str:
        if not self.mismatches:
            return f"{self.cases} of {self.cases} golden vectors within {self.tolerance:g}"
        return (
            f"{self.mismatches} of {self.cases} golden vectors not within {self.tolerance:g}: "
            f"off by up to {self.max_difference:.4g}"
        )


def parity(golden: Golden, outputs: Sequence[NDArray[Any]]) -> Parity:
    """Compare answers with golden outputs.

    Args:
        golden: vectors of the model file.
        outputs: [n, …] for each output: what a target said to their inputs.

    Raises:
        SpecError: they are not of the same shape.
    """
    wrong = np.zeros(len(golden), bool)
    largest = 0.0
    for promised, found, tolerance in zip(golden.outputs, outputs, golden.tolerances, strict=True):
        if promised.shape != found.shape:
            raise SpecError("golden outputs", expected=list(promised.shape), found=list(found.shape))
        one, other = (array.astype(np.float64).reshape(len(golden), -1) for array in (promised, found))
        with np.errstate(invalid="ignore"):
            apart = np.abs(one - other)
        apart = np.where((one == other) | (np.isnan(one) & np.isnan(other)), 0.0, apart)
        apart = np.where(np.isnan(apart), np.inf, apart)
        wrong |= (apart > tolerance).any(axis=1)
        largest = max(largest, float(apart.max(initial=0.0)))
    return Parity(len(golden), int(wrong.sum()), largest, max(golden.tolerances))
