"""Calibrated confidence: scores that are as often right as they say.

A network that was trained until it fits says 0.99 too easily. One number, the temperature T, mends that:
logits are divided by it. T is chosen on the validation groups and goes into the weights of the last layer, so
that the graph stays what it was; which label wins does not change.

Source: C. Guo, G. Pleiss, Y. Sun, K. Weinberger, On calibration of modern neural networks, 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.compare import wilson
from train_host import resampling

#: Bins of the reliability curve, equally wide.
BINS = 10
#: Less says nothing about confidence: windows of the validation side, and those of them that are wrong.
LEAST_WINDOWS, LEAST_WRONG = 100, 10
#: Temperatures that are considered.
_COLDEST, _HOTTEST = 0.2, 20.0
_FOLDS = 5
_SMALLEST = 1e-12


@dataclass(frozen=True, slots=True)
class Choice:
    """What the validation side says about the temperature.

    Attributes:
        temperatures: one for a softmax, one a label for sigmoids; all 1 where nothing is to be changed.
        reason: why the scores stay as they are; None where they change.
        n: windows that it was chosen on.
    """

    temperatures: tuple[float, ...]
    reason: str | None
    n: int

    @property
    def applied(self) -> bool:
        """Whether scores change."""
        return self.reason is None


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure and its 95 % interval."""

    value: float
    interval: tuple[float, float]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"value": self.value, "interval": list(self.interval)}


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


def unchanged(reason: str, labels: int) -> Choice:
    """Scores that stay as they are."""
    return Choice((1.0,) * labels, reason, 0)


def choose(
    logits: NDArray[Any], truth: NDArray[Any], clusters: Sequence[Sequence[Any] | NDArray[Any]]
) -> Choice:
    """The temperature under which the validation side is most likely.

    It is taken only where it also helps on the part of the validation side that it was not chosen on.

    Args:
        logits: float [n, labels].
        truth: int [n], the true label of a softmax; or 0 and 1, [n, labels], of a sigmoid a label.
        clusters: n names each, of groups and of recordings: what windows are alike by. The first that tells
            some apart divides the validation side for this.
    """
    z, y, n = np.asarray(logits, np.float64), np.asarray(truth), len(logits)
    if y.ndim == 1:
        temperature, reason = _one(z, y, clusters, _softmax_loss, int((z.argmax(axis=1) != y).sum()))
        return Choice((temperature,), reason, n)
    chosen = [
        _one(z[:, j], y[:, j], clusters, _sigmoid_loss, int(((z[:, j] >= 0) != y[:, j]).sum()))
        for j in range(z.shape[1])
    ]
    reasons = [reason for _, reason in chosen]
    unchanged = None if None in reasons else reasons[0]
    return Choice(tuple(temperature for temperature, _ in chosen), unchanged, n)


def probabilities(logits: NDArray[Any], temperatures: Sequence[float], *, softmax: bool) -> NDArray[Any]:
    """float64 [n, labels]: the scores at these temperatures."""
    z = np.asarray(logits, np.float64) / np.asarray(temperatures)
    if not softmax:
        return np.asarray(np.exp(-np.logaddexp(0, -z)))
    shifted = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


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
    nll = -np.log(np.maximum(right, _SMALLEST))
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    inside = np.eye(BINS)[place]
    parts = np.concatenate([inside * (hit - confidence)[:, None], np.ones((len(hit), 1))], axis=1)

    def ece(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.abs(sums[:, :-1]).sum(axis=1) / sums[:, -1])

    return Reliability(
        ece=Figure(float(ece(parts.sum(axis=0)[None])[0]), resampling.interval(parts, ece, clusters)),
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


def _softmax_loss(beta: float, z: NDArray[Any], y: NDArray[Any]) -> tuple[float, float]:
    """Sum of the negative log-likelihoods at the inverse temperature beta, and its slope."""
    scaled = beta * z
    top = scaled.max(axis=1, keepdims=True)
    powers = np.exp(scaled - top)
    total = powers.sum(axis=1)
    own = z[np.arange(len(z)), y]
    loss = np.log(total) + top[:, 0] - beta * own
    slope = (powers * z).sum(axis=1) / total - own
    return float(loss.sum()), float(slope.sum())


def _sigmoid_loss(beta: float, z: NDArray[Any], y: NDArray[Any]) -> tuple[float, float]:
    """As `_softmax_loss`, for one label."""
    loss = np.logaddexp(0, beta * z) - y * beta * z
    slope = z * (np.exp(-np.logaddexp(0, -beta * z)) - y)
    return float(loss.sum()), float(slope.sum())


def _one(
    z: NDArray[Any], y: NDArray[Any], clusters: Sequence[Any], loss: Any, wrong: int
) -> tuple[float, str | None]:
    """A temperature, or 1 and why."""
    if len(z) < LEAST_WINDOWS:
        return 1.0, f"{len(z)} validation windows are too few, {LEAST_WINDOWS} would do"
    if wrong < LEAST_WRONG:
        return 1.0, (
            f"{wrong} of {len(z)} validation windows are wrong, which is too few to measure confidence by: "
            f"{LEAST_WRONG} would do"
        )
    before = after = 0.0
    folds = _folds(clusters, len(z))
    for fold in range(int(folds.max()) + 1):
        held = folds == fold
        temperature = _fit(z[~held], y[~held], loss)
        before += loss(1.0, z[held], y[held])[0]
        after += loss(1 / temperature, z[held], y[held])[0]
    if after >= before:
        return 1.0, "no temperature helps on the parts of the validation side that it was not chosen on"
    return _fit(z, y, loss), None


def _fit(z: NDArray[Any], y: NDArray[Any], loss: Any) -> float:
    """The likeliest temperature: the loss is convex in its inverse, so its slope is halved upon."""
    low, high = 1 / _HOTTEST, 1 / _COLDEST
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if loss(middle, z, y)[1] < 0 else (low, middle)
    return 2 / (low + high)


def _folds(clusters: Sequence[Sequence[Any] | NDArray[Any]], count: int) -> NDArray[np.int64]:
    """int64 [n]: clusters as a whole into folds; pieces of neighbours where none tells windows apart."""
    for names in clusters:
        _, index = np.unique(np.asarray(names), return_inverse=True)
        if index.max(initial=0) > 0:
            return np.asarray(index % _FOLDS, np.int64)
    return np.asarray(np.arange(count) * _FOLDS // count, np.int64)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was done to a model's confidence, and how far it can be believed on the test groups.

    Attributes:
        choice: what the validation side said.
        before: on the test side, as the network was trained.
        after: on the test side, as the model is kept; the same where nothing was changed.
        gain: what the negative log-likelihood became less by, a window in the mean, nat; None likewise.
    """

    choice: Choice
    before: Reliability
    after: Reliability
    gain: Figure | None

    def as_dict(self) -> dict[str, Any]:
        """For run.json and ``--json``."""
        return {
            "applied": self.choice.applied,
            "temperature": list(self.choice.temperatures),
            "reason": self.choice.reason,
            "n_validation": self.choice.n,
            "before": self.before.as_dict(),
            "after": self.after.as_dict(),
            "nll_gain": None if self.gain is None else self.gain.as_dict(),
        }


def compare(
    choice: Choice,
    before: NDArray[Any],
    after: NDArray[Any],
    truth: NDArray[Any],
    clusters: Sequence[Sequence[Any] | NDArray[Any]] = (),
) -> Calibration:
    """What a choice does on the test side.

    Args:
        choice: that was made on the validation side.
        before: float [n, labels], scores of the model as it was trained.
        after: the same of the model as it is kept.
        truth: as for `reliability`.
        clusters: likewise.
    """
    first = reliability(before, truth, clusters)
    if not choice.applied:
        return Calibration(choice, first, first, None)
    change = _nll(before, truth) - _nll(after, truth)
    return Calibration(choice, first, reliability(after, truth, clusters), mean(change, clusters))


def _nll(scores: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.float64]:
    """float64 [n]: of each window; of several labels the mean over them."""
    p, y = np.asarray(scores, np.float64), np.asarray(truth)
    right = p[np.arange(len(p)), y] if y.ndim == 1 else np.where(y > 0, p, 1 - p)
    loss = -np.log(np.maximum(right, _SMALLEST))
    return np.asarray(loss if y.ndim == 1 else loss.mean(axis=1))
