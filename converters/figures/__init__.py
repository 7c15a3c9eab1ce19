"""How good models are that do not choose one label out of several; `compare` has accuracy for those that do.

multilabel   several labels at once: F1, precision and recall a label
errors       values: how far they are off
detection    an anomaly score: how well it tells what is normal from what is not
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from converters import compare
from converters.figures import detection, errors, multilabel
from edge_sdk.contract import Channel

#: Mean errors below this share of the spread of what is learned count as that: nothing grows from nought.
_LEAST_ERROR = 0.01


class Figures(Protocol):
    """What one model reached.

    Attributes:
        figure: which one counts most: ``accuracy``, ``error`` or ``auc``.
        interval: 95 % confidence interval of that.
        n: number of windows.
        per_group: the same, or the share of windows that are right, within each group.
    """

    @property
    def figure(self) -> str:
        """See above."""

    @property
    def value(self) -> float:
        """What `figure` names."""

    @property
    def interval(self) -> tuple[float, float]:
        """See above."""

    @property
    def n(self) -> int:
        """See above."""

    @property
    def per_group(self) -> dict[str, float]:
        """See above."""

    def headline(self) -> str:
        """In one line, for people."""

    def as_dict(self) -> dict[str, Any]:
        """Plain Python values for JSON."""


@dataclass(frozen=True)
class Truth:
    """What is true of some windows, for a task other than classification.

    Attributes:
        task: ``multilabel``, ``regression`` or ``anomaly``.
        values: one row a window: float32 [n, labels] of 0 and 1; float32 [n, targets]; int64 [n], 0 for
            normal.
        groups: whom each comes from, or None.
        labels: names of labels.
        targets: names and units of values.
        threshold: from which score a label holds, or a window is no longer normal.
    """

    task: str
    values: NDArray[Any]
    groups: tuple[str, ...] | None = None
    labels: tuple[str, ...] = ()
    targets: tuple[Channel, ...] = ()
    threshold: float = 0.5

    def evaluate(self, outputs: NDArray[Any]) -> Figures:
        """How good these outputs are: float [n, …], one row a window."""
        rows = np.asarray(outputs).reshape(len(outputs), -1)
        if self.task == "regression":
            return errors.evaluate(rows, self.values, self.groups, self.targets)
        if self.task == "anomaly":
            return detection.evaluate(rows[:, 0], self.values, self.groups, self.labels, self.threshold)
        return multilabel.evaluate(rows, self.values, self.groups, self.labels, self.threshold)

    def fits(self, outputs: NDArray[Any]) -> bool:
        """Whether an output, [n, …], is one that this is true of."""
        return (
            outputs.size == len(self.values) if self.task == "anomaly" else outputs.size == self.values.size
        )

    def judge(self, before: NDArray[Any], after: NDArray[Any]) -> Judged:
        """Two models beside each other, float [n, …] of the same windows."""
        rows = [np.asarray(outputs).reshape(len(outputs), -1) for outputs in (before, after)]
        first, second = self.evaluate(rows[0]), self.evaluate(rows[1])
        return Judged(first, second, lost(first, second), self._lost_interval(*rows), self._agreement(*rows))

    def _lost_interval(self, before: NDArray[Any], after: NDArray[Any]) -> tuple[float, float] | None:
        """95 % interval of what is lost, from pairs; None for an anomaly detector."""
        if self.task == "multilabel":
            right, still = (multilabel.exact(rows, self.values, self.threshold) for rows in (before, after))
            return compare.paired_interval(right, still, self.groups)
        if self.task == "regression":
            first, second = (errors.absolute(rows, self.values) for rows in (before, after))
            least = max(float(first.mean()), _LEAST_ERROR)
            low, high = compare.mean_interval(second - first, self.groups)
            return low / least, high / least
        return None

    def _agreement(self, before: NDArray[Any], after: NDArray[Any]) -> float | None:
        if self.task == "regression":
            return None
        return float(((before >= self.threshold) == (after >= self.threshold)).all(axis=1).mean())


@dataclass(frozen=True, slots=True)
class Judged:
    """A model before and after something was done to it.

    Attributes:
        before: figures of the original.
        after: of the result.
        lost: a share of windows, or of a regression by which part its error has grown.
        interval: 95 % interval of `lost`, from pairs; None for an anomaly detector.
        agreement: share of windows on which both decide the same; None of a regression.
    """

    before: Figures
    after: Figures
    lost: float
    interval: tuple[float, float] | None
    agreement: float | None

    def failure(self, allowed: float) -> str | None:
        """Why so much must not be lost; None where it is not more."""
        first, second = self.before, self.after
        if not self.lost <= allowed + 1e-9:
            if isinstance(second, errors.Errors):
                grown = f"from {first.value:.4g} to {second.value:.4g} {second.unit}".rstrip()
                return f"its error grew by {self.lost:.1%}, {grown}"
            what = {"auc": "AUC ", "accuracy": ""}[second.figure]
            return f"{what}{100 * self.lost:.1f} points, from {first.value:.3f} to {second.value:.3f}"
        if isinstance(first, multilabel.Presence) and isinstance(second, multilabel.Presence):
            f1 = first.f1_macro, second.f1_macro
            if f1[0] - f1[1] > allowed + 1e-9:
                return f"F1 {100 * (f1[0] - f1[1]):.1f} points, from {f1[0]:.3f} to {f1[1]:.3f}"
        return None


def lost(before: Figures, after: Figures) -> float:
    """What the second has lost against the first: a share of windows, or by which part an error has grown."""
    if isinstance(after, errors.Errors) and isinstance(before, errors.Errors):
        return (after.relative - before.relative) / max(before.relative, _LEAST_ERROR)
    return before.value - after.value
