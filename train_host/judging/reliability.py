"""How far scores can be believed: what a model says beside how often it is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.compare import wilson
from train_host.judging import resampling
from train_host.judging.resampling import Figure

#: Bins of the reliability curve, equally wide.
BINS = 10
#: A likelihood below this counts as this: certain and wrong costs much, and is no infinity.
SMALLEST = 1e-12


@dataclass(frozen=True, slots=True)
class Bin:
    """Windows of like confidence.

    Attributes:
        confidence: what the model said, in the mean.
        accuracy: share of them that was right.
        interval: 95 % of `accuracy`, as if windows were independent.
        n: how many.
    """

    confidence: float
    accuracy: float
    interval: tuple[float, float]
    n: int


@dataclass(frozen=True, slots=True)
class Reliability:
    """How far scores can be believed.

    Attributes:
        ece: expected calibration error: how far confidence and accuracy are apart, in the mean over the bins.
        brier: mean square of what scores are off.
        nll: negative log-likelihood, nat.
        curve: the bins that have windows, by rising confidence.
    """

    ece: Figure
    brier: Figure
    nll: Figure
    curve: tuple[Bin, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **{name: getattr(self, name).as_dict() for name in ("ece", "brier", "nll")},
            "curve": [
                {
                    "confidence": one.confidence,
                    "accuracy": one.accuracy,
                    "interval": list(one.interval),
                    "n": one.n,
                }
                for one in self.curve
            ],
        }


def reliability(
    scores: NDArray[Any], truth: NDArray[Any], clusters: Sequence[Sequence[Any] | NDArray[Any]] = ()
) -> Reliability:
    """ECE, Brier score, negative log-likelihood with intervals, and the reliability curve.

    Args:
        scores: float [n, labels], probabilities.
        truth: int [n]; or 0 and 1, [n, labels], where each label has a probability of its own: then a
            confidence is that of one label, and right is that the label holds.
        clusters: as for `resampling.interval`, n names each.
    """
    p, y = np.asarray(scores, np.float64), np.asarray(truth)
    if y.ndim == 1:
        confidence, hit = p.max(axis=1), (p.argmax(axis=1) == y).astype(np.float64)
        right = p[np.arange(len(p)), y]
        brier = np.square(p - np.eye(p.shape[1])[y]).sum(axis=1)
    else:
        confidence, hit = p.ravel(), y.ravel().astype(np.float64)
        right = np.where(y.ravel() > 0, confidence, 1 - confidence)
        brier = np.square(confidence - hit)
        clusters = [np.repeat(np.asarray(names), y.shape[1]) for names in clusters]
    nll = -np.log(np.maximum(right, SMALLEST))
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    inside = np.eye(BINS)[place]
    parts = np.concatenate([inside * (hit - confidence)[:, None], np.ones((len(hit), 1))], axis=1)

    def ece(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.abs(sums[:, :-1]).sum(axis=1) / sums[:, -1])

    off = float(ece(parts.sum(axis=0)[None])[0])
    low, high = resampling.interval(parts, ece, clusters)  # of a sum of absolutes, draws lie too high
    return Reliability(
        ece=Figure(off, (min(low, off), high)),
        brier=mean(brier, clusters),
        nll=mean(nll, clusters),
        curve=tuple(_bin(confidence[place == k], hit[place == k]) for k in range(BINS) if (place == k).any()),
    )


def mean(values: NDArray[Any], clusters: Sequence[Sequence[Any] | NDArray[Any]]) -> Figure:
    """The mean of a value a window, with its interval."""
    parts = np.stack([values, np.ones(len(values))], axis=1)
    spread = resampling.interval(parts, lambda sums: sums[:, 0] / sums[:, 1], clusters)
    return Figure(float(values.mean()), spread)


def _bin(confidence: NDArray[Any], hit: NDArray[Any]) -> Bin:
    n, right = len(hit), int(hit.sum())
    return Bin(float(confidence.mean()), right / n, wilson(right, n), n)
