"""How well one score tells what is normal from what is not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters import compare
from edge_sdk.errors import SpecError

#: The partial area counts false alarms up to this share of the normal windows.
PARTIAL = 0.1


@dataclass(frozen=True, slots=True)
class Detection:
    """What an anomaly detector reached.

    Attributes:
        auc: chance that a window that is not normal has a higher score than a normal one; None without both.
        interval: 95 % confidence interval of `auc`, or of `accuracy` without one.
        n: number of windows.
        anomalies: how many of them are not normal.
        pauc: area under the curve up to 10 % false alarms, so scaled that 0.5 is chance; None as `auc`.
        threshold: from which score a window is taken for an anomaly.
        detection: share of the anomalies that reach it, with its interval; None without any.
        false_alarms: share of the normal windows that reach it, with its interval; None without any.
        accuracy: share of windows on the right side of the threshold.
        per_group: `accuracy` within each group, sorted by name.
        per_label: share found of each kind of anomaly.
    """

    auc: float | None
    interval: tuple[float, float]
    n: int
    anomalies: int
    pauc: float | None
    threshold: float
    detection: tuple[float, tuple[float, float]] | None
    false_alarms: tuple[float, tuple[float, float]] | None
    accuracy: float
    per_group: dict[str, float]
    per_label: dict[str, float]

    @property
    def figure(self) -> str:
        """``auc``; without anomalies to find, ``accuracy``."""
        return "accuracy" if self.auc is None else "auc"

    @property
    def value(self) -> float:
        """What `figure` names."""
        return self.accuracy if self.auc is None else self.auc

    def headline(self) -> str:
        """In one line."""
        low, high = self.interval
        alarms = (
            "" if self.false_alarms is None else f"false alarms {self.false_alarms[0]:.1%} of normal windows"
        )
        if self.auc is None or self.detection is None:
            return (
                f"{alarms or 'nothing normal'}; the test groups have no {'anomalies' if alarms else 'more'}"
            )
        return (
            f"AUC {self.auc:.3f} (95 %: {low:.3f} to {high:.3f}), "
            f"{self.detection[0]:.1%} of anomalies found, {alarms}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain Python values for JSON."""
        return {
            "auc": self.auc,
            "interval": list(self.interval),
            "n": self.n,
            "anomalies": self.anomalies,
            "pauc": self.pauc,
            "threshold": self.threshold,
            "detection": _plain(self.detection),
            "false_alarms": _plain(self.false_alarms),
            "accuracy": self.accuracy,
            "per_group": dict(self.per_group),
            "per_label": dict(self.per_label),
        }


def evaluate(
    scores: NDArray[Any],
    truth: NDArray[Any],
    groups: Sequence[str] | None = None,
    labels: Sequence[str] = (),
    threshold: float = 0.5,
) -> Detection:
    """Areas under the ROC curve, and what happens at the threshold.

    Args:
        scores: float [n].
        truth: int [n], 0 where a window is normal, otherwise which kind of anomaly it is.
        groups: whom each window comes from.
        labels: names of the kinds, that of normal first.
        threshold: from which score a window is taken for an anomaly.

    Raises:
        SpecError: no windows, or lengths differ.
    """
    said, kinds = np.asarray(scores, np.float64).ravel(), np.asarray(truth)
    if said.shape != kinds.shape or not len(said):
        raise SpecError("evaluation", expected=f"{len(kinds)} scores", found=len(said))
    odd, alarm = kinds > 0, said >= threshold
    right = odd == alarm
    names = np.asarray(groups if groups is not None else (), dtype=str)
    both = bool(odd.any() and not odd.all())
    return Detection(
        auc=area(said[odd], said[~odd]) if both else None,
        interval=_interval(said, odd, groups) if both else compare.interval(right, groups),
        n=len(said),
        anomalies=int(odd.sum()),
        pauc=partial_area(said, odd) if both else None,
        threshold=threshold,
        detection=_share(alarm, odd, groups),
        false_alarms=_share(alarm, ~odd, groups),
        accuracy=float(right.mean()),
        per_group={str(name): float(right[names == name].mean()) for name in np.unique(names)},
        per_label={
            str(labels[kind]) if kind < len(labels) else str(kind): float(alarm[kinds == kind].mean())
            for kind in np.unique(kinds[odd])
        },
    )


def area(odd: NDArray[Any], normal: NDArray[Any]) -> float:
    """Share of pairs in which the first is higher; equal ones count half (Mann and Whitney, 1947)."""
    return float(_above(odd, np.sort(normal)).mean() / len(normal))


def curve(scores: NDArray[Any], odd: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ROC curve: false alarms and detections, both from 0 to 1, as the threshold falls."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits, alarms = np.cumsum(odd[order])[last], np.cumsum(~odd[order])[last]
    zero = np.zeros(1)
    return (
        np.concatenate([zero, alarms / max(int((~odd).sum()), 1)]),
        np.concatenate([zero, hits / max(int(odd.sum()), 1)]),
    )


def partial_area(scores: NDArray[Any], odd: NDArray[np.bool_], most: float = PARTIAL) -> float:
    """Area under the curve up to a share of false alarms, scaled to 0.5 for chance and 1 for no mistake.

    Source: D. K. McClish, Analyzing a portion of the ROC curve, 1989.
    """
    alarms, hits = curve(scores, odd)
    stop = int(np.searchsorted(alarms, most, "right"))
    reached = np.interp(most, alarms[stop - 1 : stop + 1], hits[stop - 1 : stop + 1])
    under = float(np.trapezoid(np.append(hits[:stop], reached), np.append(alarms[:stop], most)))
    least = most * most / 2
    return 0.5 * (1 + (under - least) / (most - least))


def _above(odd: NDArray[Any], normal: NDArray[Any]) -> NDArray[np.float64]:
    """For each of the first how many of the others, sorted, it is above; equal ones count half."""
    below, upto = np.searchsorted(normal, odd, "left"), np.searchsorted(normal, odd, "right")
    return np.asarray((below + upto) / 2, np.float64)


def _interval(
    scores: NDArray[Any], odd: NDArray[np.bool_], groups: Sequence[str] | None
) -> tuple[float, float]:
    """That of Hanley and McNeil; with two groups or more, groups are drawn as well, and the wider counts."""
    first, second = scores[odd], scores[~odd]
    reached = area(first, second)
    low, high = _hanley(reached, len(first), len(second))
    if groups is None:
        return low, high
    _, index = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    count = int(index.max()) + 1
    if count < 2:
        return low, high
    # How many pairs of an anomaly of one group and a normal window of another are in order.
    won = np.array(
        [
            [
                _above(scores[odd & (index == a)], np.sort(scores[~odd & (index == b)])).sum()
                for b in range(count)
            ]
            for a in range(count)
        ]
    )
    pairs = np.outer(np.bincount(index, odd, count), np.bincount(index, ~odd, count))
    drawn = compare.draws(count, 0)
    there = np.einsum("ra,ab,rb->r", drawn, pairs, drawn)
    areas = np.einsum("ra,ab,rb->r", drawn, won, drawn)[there > 0] / there[there > 0]
    drawn_low, drawn_high = np.percentile(areas, [2.5, 97.5])
    return min(low, float(drawn_low)), max(high, float(drawn_high))


def _hanley(auc: float, odd: int, normal: int) -> tuple[float, float]:
    """Source: J. A. Hanley and B. J. McNeil, The meaning and use of the area under a ROC curve, 1982."""
    first, second = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    variance = auc * (1 - auc) + (odd - 1) * (first - auc * auc) + (normal - 1) * (second - auc * auc)
    # A curve without a mistake would have no spread: half a pair is taken to be out of order.
    spread = 1.96 * math.sqrt(max(variance / (odd * normal), 0.25 / (odd * normal) ** 2))
    return max(auc - spread, 0.0), min(auc + spread, 1.0)


def _share(
    alarm: NDArray[np.bool_], chosen: NDArray[np.bool_], groups: Sequence[str] | None
) -> tuple[float, tuple[float, float]] | None:
    if not chosen.any():
        return None
    own = None if groups is None else [group for group, take in zip(groups, chosen, strict=True) if take]
    return float(alarm[chosen].mean()), compare.interval(alarm[chosen], own)


def _plain(share: tuple[float, tuple[float, float]] | None) -> dict[str, Any] | None:
    return None if share is None else {"value": share[0], "interval": list(share[1])}
