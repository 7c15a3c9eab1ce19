"""How far values are off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from converters import compare
from edge_sdk.contract import Channel
from edge_sdk.errors import SpecError


@dataclass(frozen=True, slots=True)
class TargetErrors:
    """Of one value.

    Attributes:
        mae: mean absolute error, in its unit.
        rmse: root of the mean squared error, in its unit.
        r2: 1 less the squared error over that of always saying the mean; None where all are the same.
        bias: mean of what is said less what is true, in its unit.
        spread: standard deviation of what is true.
    """

    name: str
    unit: str
    mae: float
    rmse: float
    r2: float | None
    bias: float
    spread: float


@dataclass(frozen=True, slots=True)
class Errors:
    """What a regression reached.

    Attributes:
        error: mean absolute error, in the unit of the value; of several values the mean of their errors in
            units of their spreads.
        interval: 95 % confidence interval of `error`.
        n: number of windows.
        per_group: `error` within each group, sorted by name.
        targets: of each value.
        relative: the mean of the absolute errors in units of the spreads, whatever the number of values.
    """

    figure: ClassVar[str] = "error"
    error: float
    interval: tuple[float, float]
    n: int
    per_group: dict[str, float]
    targets: tuple[TargetErrors, ...]
    relative: float

    @property
    def value(self) -> float:
        """The error."""
        return self.error

    @property
    def unit(self) -> str:
        """Of `error`."""
        return self.targets[0].unit if len(self.targets) == 1 else "of the spread"

    def headline(self) -> str:
        """In one line."""
        low, high = self.interval
        parts = [f"error {self.error:.4g} {self.unit}".rstrip(), f"(95 %: {low:.4g} to {high:.4g})"]
        if len(self.targets) == 1 and self.targets[0].r2 is not None:
            parts.append(f"R² {self.targets[0].r2:.3f}")
        return " ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """Plain Python values for JSON."""
        return {
            "error": self.error,
            "interval": list(self.interval),
            "n": self.n,
            "per_group": dict(self.per_group),
            "unit": self.unit,
            "targets": [asdict(target) for target in self.targets],
        }


def evaluate(
    outputs: NDArray[Any],
    truth: NDArray[Any],
    groups: Sequence[str] | None = None,
    targets: Sequence[Channel] = (),
) -> Errors:
    """Errors of values with their interval over groups.

    Args:
        outputs: float [n, targets].
        truth: float [n, targets].
        groups: whom each window comes from.
        targets: names and units; made up where there are none.

    Raises:
        SpecError: no windows, or shapes differ.
    """
    said, true = np.asarray(outputs, np.float64), np.asarray(truth, np.float64)
    if said.shape != true.shape or not len(said):
        raise SpecError("evaluation", expected=f"values {list(true.shape)}", found=list(said.shape))
    off = said - true
    spreads = _spreads(true)
    named = targets or [Channel(f"value {i}") for i in range(true.shape[1])]
    each = tuple(
        TargetErrors(
            name=target.name,
            unit=target.unit,
            mae=float(np.abs(off[:, i]).mean()),
            rmse=float(np.sqrt(np.square(off[:, i]).mean())),
            r2=_r2(off[:, i], true[:, i]),
            bias=float(off[:, i].mean()),
            spread=float(true[:, i].std()),
        )
        for i, target in enumerate(named)
    )
    rows = np.abs(off[:, 0]) if len(each) == 1 else absolute(said, true)
    names = np.asarray(groups if groups is not None else (), dtype=str)
    low, high = compare.mean_interval(rows, groups)
    return Errors(
        error=float(rows.mean()),
        interval=(max(low, 0.0), high),
        n=len(rows),
        per_group={str(name): float(rows[names == name].mean()) for name in np.unique(names)},
        targets=each,
        relative=float((np.abs(off) / spreads).mean()),
    )


def absolute(outputs: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.float64]:
    """float64 [n]: how far each window is off, in units of the spread, the mean over its values."""
    true = np.asarray(truth, np.float64)
    return np.asarray((np.abs(np.asarray(outputs, np.float64) - true) / _spreads(true)).mean(axis=1))


def _spreads(true: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviation of each value; 1 of one that never changes."""
    spreads = true.std(axis=0)
    return np.where(spreads > 0, spreads, 1.0)


def _r2(off: NDArray[np.float64], true: NDArray[np.float64]) -> float | None:
    total = float(np.square(true - true.mean()).sum())
    return 1 - float(np.square(off).sum()) / total if total > 0 else None
