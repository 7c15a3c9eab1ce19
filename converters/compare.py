"""How good a model is, and how far two models are apart: the figures that everybody reports.

Numpy only. Training, conversion and tests on hardware all take their accuracy and its interval from here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import SpecError

#: Two-sided 95 % point of the normal distribution.
_Z95 = 1.959963984540054
_RESAMPLES = 2000
#: So many values of an output are ranked at most.
_RANKED = 200_000


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one model reached on labelled windows.

    Attributes:
        accuracy: share of windows whose most probable label is the right one.
        interval: 95 % confidence interval of `accuracy`.
        n: number of windows.
        confusion: int64 [classes, classes], rows are true labels, columns predicted ones.
        per_class: share of each true class found (recall), None for a class without windows.
        per_group: accuracy within each group, sorted by name; empty without groups.
    """

    figure: ClassVar[str] = "accuracy"
    accuracy: float
    interval: tuple[float, float]
    n: int
    confusion: NDArray[np.int64]
    per_class: tuple[float | None, ...]
    per_group: dict[str, float]

    @property
    def value(self) -> float:
        """The accuracy: what `figure` names, for who does not care which it is."""
        return self.accuracy

    def headline(self) -> str:
        """In one line."""
        return f"accuracy {self.accuracy:.3f} (95 %: {self.interval[0]:.3f} to {self.interval[1]:.3f})"

    def as_dict(self) -> dict[str, Any]:
        """Plain Python values for JSON."""
        return {
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "n": self.n,
            "confusion": self.confusion.tolist(),
            "per_class": list(self.per_class),
            "per_group": dict(self.per_group),
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """How far one model's outputs are from another's on the same inputs.

    Attributes:
        agreement: share of inputs on which both choose the same label; None for no row of scores.
        sqnr_db: signal to quantization noise ratio, dB; infinite where all outputs are equal.
        max_error: largest absolute difference of an output.
        mean_error: mean absolute difference of an output.
        n: number of inputs.
        rank: Spearman's correlation of the values: whether small ones keep their order beside large ones,
            which a ratio of energies does not see. None where all values are equal.
    """

    agreement: float | None
    sqnr_db: float
    max_error: float
    mean_error: float
    n: int
    rank: float | None = None


def evaluate(
    scores: NDArray[Any], labels: NDArray[Any], groups: Sequence[str] | None = None, *, seed: int = 0
) -> Evaluation:
    """Accuracy with its interval, confusion, and accuracy per class and per group.

    Args:
        scores: float [n, classes]; [n, 1] or [n] is the probability of class 1 of 2.
        labels: int [n], index of the true class.
        groups: who or what each window comes from (a person, a machine). Windows of one group are alike, so
            that the interval is taken over groups instead of over windows.
        seed: of the bootstrap.

    Raises:
        SpecError: no windows, lengths differ, or a label outside of the classes.
    """
    classes = _classes(scores)
    truth = np.asarray(labels)
    if len(truth) != len(scores) or (groups is not None and len(groups) != len(truth)):
        found = f"{len(scores)} scores, {len(truth)} labels, {'no' if groups is None else len(groups)} groups"
        raise SpecError("evaluation", expected="one label and one group for each score", found=found)
    if not len(truth):
        raise SpecError("evaluation", expected="at least one window", found="none")
    if truth.min() < 0 or truth.max() >= classes:
        raise SpecError(
            "evaluation: labels", expected=f"0 to {classes - 1}", found=f"{truth.min()} to {truth.max()}"
        )
    predicted = decide(scores)
    hits = predicted == truth
    matrix = confusion(predicted, truth, classes)
    totals = matrix.sum(axis=1)
    names = np.asarray(groups, dtype=str) if groups is not None else np.empty(0, dtype=str)
    return Evaluation(
        accuracy=float(hits.mean()),
        interval=interval(hits, groups, seed=seed),
        n=len(truth),
        confusion=matrix,
        per_class=tuple(float(matrix[i, i] / total) if total else None for i, total in enumerate(totals)),
        per_group={str(name): float(hits[names == name].mean()) for name in np.unique(names)},
    )


def difference(reference: NDArray[Any], other: NDArray[Any], *, classes: bool = True) -> Difference:
    """How far `other` is from `reference`.

    Args:
        reference: float [n, …].
        other: float [n, …], from the same inputs.
        classes: whether a row holds one score a class, so that its largest means something.

    Raises:
        SpecError: shapes differ, or there is nothing to compare.
    """
    a, b = np.asarray(reference, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if a.shape != b.shape or not a.size:
        raise SpecError(
            "comparison of outputs", expected=list(a.shape) if a.size else "outputs", found=list(b.shape)
        )
    error = np.abs(a - b)
    return Difference(
        agreement=float(np.mean(decide(a) == decide(b)))
        if classes and a.ndim == 2 and a.shape[-1] > 1
        else None,
        sqnr_db=sqnr_db(a, b),
        max_error=float(error.max()),
        mean_error=float(error.mean()),
        n=len(a),
        rank=rank_correlation(a, b),
    )


def rank_correlation(a: NDArray[Any], b: NDArray[Any]) -> float | None:
    """Spearman's rank correlation of two arrays, ties at their mean rank; None where one has no spread.

    Of very large arrays every k-th value is taken.
    """
    step = max(1, a.size // _RANKED)
    ranks = [_ranks(np.ravel(values)[::step]) for values in (a, b)]
    first, second = (rank - rank.mean() for rank in ranks)
    spread = float(np.sqrt(np.square(first).sum() * np.square(second).sum()))
    return float((first * second).sum() / spread) if spread > 0 else None


def decide(scores: NDArray[Any]) -> NDArray[np.int64]:
    """The winning class of each row: the largest score, or for a single score whether it reaches 0.5.

    Args:
        scores: float [n, classes], [n, 1] or [n].

    Returns:
        int64 [n].
    """
    scores = np.asarray(scores)
    if scores.ndim > 1 and scores.shape[-1] > 1:
        return np.asarray(np.argmax(scores.reshape(len(scores), -1), axis=1), dtype=np.int64)
    return np.asarray(scores.reshape(len(scores)) >= 0.5, dtype=np.int64)


def accuracy(scores: NDArray[Any], labels: NDArray[Any]) -> float:
    """Share of rows whose winning class is the right one; arguments as in `evaluate`."""
    return float(np.mean(decide(scores) == np.asarray(labels)))


def interval(
    hits: NDArray[Any], groups: Sequence[str] | None = None, *, seed: int = 0
) -> tuple[float, float]:
    """95 % confidence interval of a share.

    Without groups this is Wilson's interval. With two groups or more, groups are drawn with replacement
    (percentile bootstrap); a few groups that happen to be alike would give an interval that is too good, so
    it is never narrower than Wilson's.

    Args:
        hits: bool [n].
        groups: one name for each hit.
        seed: of the bootstrap: the same input gives the same interval.
    """
    correct = np.asarray(hits, dtype=bool)
    return _wider(wilson(int(correct.sum()), len(correct)), correct, groups, seed)


def paired_interval(
    before: NDArray[Any], after: NDArray[Any], groups: Sequence[str] | None = None, *, seed: int = 0
) -> tuple[float, float]:
    """95 % confidence interval of the accuracy that `after` lost against `before`, on the same inputs.

    Two models that are right and wrong together differ by less than their own intervals suggest: only inputs
    on which one is right and the other wrong count. With two groups or more, groups are drawn with
    replacement, and the wider of both intervals is returned, as in `interval`.

    Args:
        before: bool [n], whether the first model is right.
        after: bool [n], whether the second is.
        groups: one name for each input.
        seed: of the bootstrap.

    Source: A. Agresti and Y. Min, Simple improved confidence intervals for comparing matched proportions,
    2005.
    """
    first, second = np.asarray(before, dtype=bool), np.asarray(after, dtype=bool)
    lost, won, n = int((first & ~second).sum()), int((~first & second).sum()), len(first)
    middle = (lost - won) / (n + 2)
    spread = _Z95 * math.sqrt(max(lost + won + 1 - (lost - won) ** 2 / (n + 2), 0.0)) / (n + 2)
    return _wider((middle - spread, middle + spread), first.astype(float) - second, groups, seed)


def wilson(correct: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of `correct` out of `n`.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """
    if n < 1:
        return 0.0, 1.0
    share = correct / n
    spread = _Z95 * math.sqrt(share * (1 - share) / n + _Z95**2 / (4 * n**2))
    middle = share + _Z95**2 / (2 * n)
    scale = 1 + _Z95**2 / n
    low = (middle - spread) / scale if correct else 0.0  # rounding would leave 1e-17 or so
    high = (middle + spread) / scale if correct < n else 1.0
    return low, high


def confusion(predicted: NDArray[Any], labels: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Confusion matrix.

    Returns:
        int64 [classes, classes]; row: true class, column: predicted class.
    """
    flat = np.asarray(labels, dtype=np.int64) * classes + np.asarray(predicted, dtype=np.int64)
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def sqnr_db(reference: NDArray[Any], other: NDArray[Any]) -> float:
    """10·log10(Σ reference² / Σ (reference − other)²), dB: +inf where equal, −inf for noise on silence."""
    signal = float(np.sum(np.square(np.asarray(reference, dtype=np.float64))))
    noise = float(
        np.sum(np.square(np.asarray(reference, dtype=np.float64) - np.asarray(other, dtype=np.float64)))
    )
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def decibels(value: float) -> str:
    """A ratio for people: ``47.7 dB``, or what it means where it is no number."""
    if value == math.inf:
        return "outputs equal"
    return f"{value:.1f} dB" if math.isfinite(value) else "not a number"


def _ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[place], dtype=np.float64)


def mean_interval(
    values: NDArray[Any], groups: Sequence[str] | None = None, *, seed: int = 0
) -> tuple[float, float]:
    """95 % confidence interval of a mean, such as of errors.

    The normal one; with two groups or more, groups are drawn with replacement, and the wider of both is
    returned, as in `interval`.

    Args:
        values: float [n].
        groups: one name for each value.
        seed: of the bootstrap.
    """
    numbers = np.asarray(values, np.float64)
    middle = float(numbers.mean())
    spread = _Z95 * float(numbers.std(ddof=1)) / math.sqrt(len(numbers)) if len(numbers) > 1 else math.inf
    return _wider((middle - spread, middle + spread), numbers, groups, seed)


def _wider(
    found: tuple[float, float], values: NDArray[Any], groups: Sequence[str] | None, seed: int
) -> tuple[float, float]:
    """An interval of a mean, widened to what its values give when groups, if there are two, are drawn."""
    if groups is None:
        return found
    _, index = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    sizes = np.bincount(index)
    if len(sizes) < 2:
        return found
    low, high = bootstrap(np.bincount(index, weights=values), sizes, seed)
    return min(found[0], low), max(found[1], high)


def draws(count: int, seed: int) -> NDArray[np.int64]:
    """How often each of so many groups is drawn, in every resample: int64 [resamples, count]."""
    shares = np.full(count, 1 / count)
    return np.random.default_rng(seed).multinomial(count, shares, size=_RESAMPLES)


def bootstrap(sums: NDArray[Any], sizes: NDArray[Any], seed: int) -> tuple[float, float]:
    """Percentile interval of Σ sums / Σ sizes when groups are drawn with replacement."""
    drawn = draws(len(sizes), seed)
    low, high = np.percentile((drawn @ sums) / (drawn @ sizes), [2.5, 97.5])
    return float(low), float(high)


def _classes(scores: NDArray[Any]) -> int:
    shape = np.shape(scores)
    if len(shape) > 2:
        raise SpecError("evaluation: scores", expected="[n, classes]", found=list(shape))
    return shape[-1] if len(shape) == 2 and shape[-1] > 1 else 2
