"""Calibrated confidence: scores that are as often right as they say.

A network that was trained until it fits says 0.99 too easily, one that was held back by dropout says 0.8
where it is always right. One number, the temperature T, mends both: logits are divided by it. It is chosen on
the validation groups and goes into the weights of the last layer, so that the graph stays what it was; which
label wins does not change.

The likeliest T of a few people is not that of others: it lies as far from theirs as theirs lies from 1. So it
is drawn towards 1, as if one more group had said 1: of k groups T^(k/(k+1)) is taken. On ten splits of the
watch set that made the likelihood better (see docs/calibration.md); T as it was found made it worse.

Source: C. Guo, G. Pleiss, Y. Sun, K. Weinberger, On calibration of modern neural networks, 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train_host.judging.reliability import SMALLEST, Reliability, mean, reliability
from train_host.judging.resampling import Figure

#: Less says nothing about confidence: windows of the validation side, and those of them that are wrong.
LEAST_WINDOWS, LEAST_WRONG = 100, 10
#: Temperatures that are considered, and how near to 1 they change nothing.
_COLDEST, _HOTTEST, _NEAR = 0.2, 20.0, 0.02
#: From so many groups on, some that a temperature was not chosen on can say whether it helps.
_FOLDS = 5


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


def unchanged(reason: str) -> Choice:
    """Scores that stay as they are."""
    return Choice((1.0,), reason, 0)


def choose(logits: NDArray[Any], truth: NDArray[Any], groups: Sequence[str]) -> Choice:
    """The temperature under which the validation side is likely, and others may be expected to be.

    Args:
        logits: float [n, labels].
        truth: int [n], the true label of a softmax; or 0 and 1, [n, labels], of a sigmoid a label.
        groups: n names.
    """
    z, y, n = np.asarray(logits, np.float64), np.asarray(truth), len(logits)
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    if y.ndim == 1:
        temperature, reason = _one(z, y, group, _softmax_loss, int((z.argmax(axis=1) != y).sum()))
        return Choice((temperature,), reason, n)
    chosen = [
        _one(z[:, j], y[:, j], group, _sigmoid_loss, int(((z[:, j] >= 0) != y[:, j]).sum()))
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
    z: NDArray[Any], y: NDArray[Any], group: NDArray[np.int64], loss: Any, wrong: int
) -> tuple[float, str | None]:
    """A temperature, or 1 and why."""
    if len(z) < LEAST_WINDOWS:
        return 1.0, f"{len(z)} validation windows are too few, {LEAST_WINDOWS} would do"
    if wrong < LEAST_WRONG:
        return 1.0, (
            f"{wrong} of {len(z)} validation windows are wrong, which is too few to measure confidence by: "
            f"{LEAST_WRONG} would do"
        )
    temperature = _shrunk(z, y, group, loss)
    if abs(temperature - 1) < _NEAR:
        return 1.0, f"there is nothing to mend: the temperature would be {temperature:.2f}"
    if group.max() + 1 >= _FOLDS and not _helps(z, y, group, loss):
        return 1.0, "a temperature helps the groups it is chosen on, and not others"
    return temperature, None


def _helps(z: NDArray[Any], y: NDArray[Any], group: NDArray[np.int64], loss: Any) -> bool:
    """Whether groups are likelier at a temperature that was chosen on others."""
    gained = 0.0
    for fold in range(_FOLDS):
        held = group % _FOLDS == fold
        temperature = _shrunk(z[~held], y[~held], group[~held], loss)
        gained += loss(1.0, z[held], y[held])[0] - loss(1 / temperature, z[held], y[held])[0]
    return gained > 0


def _shrunk(z: NDArray[Any], y: NDArray[Any], group: NDArray[np.int64], loss: Any) -> float:
    count = len(np.unique(group))
    return float(_fit(z, y, loss) ** (count / (count + 1)))


def _fit(z: NDArray[Any], y: NDArray[Any], loss: Any) -> float:
    """The likeliest temperature: the loss is convex in its inverse, so its slope is halved upon."""
    low, high = 1 / _HOTTEST, 1 / _COLDEST
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if loss(middle, z, y)[1] < 0 else (low, middle)
    return 2 / (low + high)


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
    loss = -np.log(np.maximum(right, SMALLEST))
    return np.asarray(loss if y.ndim == 1 else loss.mean(axis=1))
