"""How well labels are found of which several may hold at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from converters import compare
from edge_sdk.errors import SpecError


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """Of one label.

    Attributes:
        n: windows where it holds.
        precision: share right of the windows where it was said; None where it never was.
        recall: share found of the windows where it holds; None where it never does.
        f1: harmonic mean of both; None where it never holds and is never said.
        average_precision: mean of the precision over all thresholds that find one more; None as `recall`.
    """

    label: str
    n: int
    precision: float | None
    recall: float | None
    f1: float | None
    average_precision: float | None


@dataclass(frozen=True, slots=True)
class Presence:
    """What a model reached.

    Attributes:
        accuracy: share of windows with all labels right.
        interval: 95 % confidence interval of `accuracy`.
        n: number of windows.
        per_group: `accuracy` within each group, sorted by name.
        f1_micro: F1 over all decisions; 1 where nothing holds and nothing is said.
        f1_macro: mean F1 of the labels that hold somewhere or are said.
        per_label: of each label.
        threshold: from which score a label was taken to hold.
    """

    figure: ClassVar[str] = "accuracy"
    accuracy: float
    interval: tuple[float, float]
    n: int
    per_group: dict[str, float]
    f1_micro: float
    f1_macro: float
    per_label: tuple[LabelFigures, ...]
    threshold: float

    @property
    def value(self) -> float:
        """The accuracy."""
        return self.accuracy

    def headline(self) -> str:
        """In one line."""
        return (
            f"all labels right {self.accuracy:.3f} (95 %: {self.interval[0]:.3f} to {self.interval[1]:.3f}), "
            f"F1 {self.f1_macro:.3f}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain Python values for JSON."""
        return {
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "n": self.n,
            "per_group": dict(self.per_group),
            "f1_micro": self.f1_micro,
            "f1_macro": self.f1_macro,
            "per_label": [asdict(label) for label in self.per_label],
            "threshold": self.threshold,
        }


def evaluate(
    scores: NDArray[Any],
    truth: NDArray[Any],
    groups: Sequence[str] | None = None,
    labels: Sequence[str] = (),
    threshold: float = 0.5,
) -> Presence:
    """Exact matches with their interval, F1, and precision and recall a label.

    Args:
        scores: float [n, labels].
        truth: [n, labels], 1 where a label holds.
        groups: whom each window comes from.
        labels: names; numbers where there are none.
        threshold: from which score a label is taken to hold.

    Raises:
        SpecError: no windows, or shapes differ.
    """
    holds = np.asarray(truth) > 0.5
    if np.shape(scores) != holds.shape or not len(holds):
        raise SpecError("evaluation", expected=f"scores {list(holds.shape)}", found=list(np.shape(scores)))
    said = np.asarray(scores) >= threshold
    right = exact(scores, truth, threshold)
    names = np.asarray(groups if groups is not None else (), dtype=str)
    named = labels or [str(i) for i in range(holds.shape[1])]
    each = tuple(
        _label(name, np.asarray(scores)[:, i], said[:, i], holds[:, i]) for i, name in enumerate(named)
    )
    known = [label.f1 for label in each if label.f1 is not None]
    micro = _f1(int((said & holds).sum()), int(said.sum()), int(holds.sum()))
    return Presence(
        accuracy=float(right.mean()),
        interval=compare.interval(right, groups),
        n=len(right),
        per_group={str(name): float(right[names == name].mean()) for name in np.unique(names)},
        f1_micro=1.0 if micro is None else micro,
        f1_macro=float(np.mean(known)) if known else 1.0,
        per_label=each,
        threshold=threshold,
    )


def exact(scores: NDArray[Any], truth: NDArray[Any], threshold: float) -> NDArray[np.bool_]:
    """Bool [n]: whether all labels of a window are right."""
    return np.asarray(((np.asarray(scores) >= threshold) == (np.asarray(truth) > 0.5)).all(axis=1))


def average_precision(scores: NDArray[Any], holds: NDArray[np.bool_]) -> float | None:
    """Σ (recall gained) · precision over falling thresholds; equal scores pass together."""
    positives = int(holds.sum())
    if not positives:
        return None
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(holds[order])
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    found = hits[last]
    gained = np.diff(np.concatenate([[0], found])) / positives
    return float((gained * found / (last + 1)).sum())


def _label(
    name: str, scores: NDArray[Any], said: NDArray[np.bool_], holds: NDArray[np.bool_]
) -> LabelFigures:
    both, spoken, true = int((said & holds).sum()), int(said.sum()), int(holds.sum())
    return LabelFigures(
        label=name,
        n=true,
        precision=both / spoken if spoken else None,
        recall=both / true if true else None,
        f1=_f1(both, spoken, true),
        average_precision=average_precision(scores, holds),
    )


def _f1(both: int, said: int, true: int) -> float | None:
    return 2 * both / (said + true) if said + true else None
