"""How far a figure may be off: what it would have been on other people, or on other recordings of them.

Windows of one recording are alike, and so are recordings of one person. So these are drawn with replacement
and not windows; of two ways to draw, the one that gives the wider interval counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Each row is what one draw sums up to; the result is one figure a row.
Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_DRAWS = 1000
#: Without anything to tell windows apart by, neighbours are drawn together: so many pieces there are at most.
_PIECES = 200


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure and its 95 % interval."""

    value: float
    interval: tuple[float, float]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"value": self.value, "interval": list(self.interval)}


def interval(
    parts: NDArray[Any],
    statistic: Statistic,
    clusters: Sequence[Sequence[Any] | NDArray[Any]] = (),
    *,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % interval of a figure that is computed from sums over windows.

    Args:
        parts: float [n, k], what each window adds to k sums.
        statistic: float64 [draws, k] sums -> float64 [draws].
        clusters: n names each, of what is drawn as a whole: groups, recordings. One name for all is no help.
        seed: the same input gives the same interval.
    """
    bounds = []
    for names in clusters:
        _, index = np.unique(np.asarray(names), return_inverse=True)
        if index.max(initial=0) > 0:
            bounds.append(_drawn(parts, index, statistic, seed))
    if not bounds:
        pieces = np.arange(len(parts)) * min(_PIECES, len(parts)) // max(len(parts), 1)
        bounds.append(_drawn(parts, pieces, statistic, seed))
    lows, highs = zip(*bounds, strict=True)
    return min(lows), max(highs)


def poisson(count: int) -> tuple[float, float]:
    """Exact 95 % interval of the mean behind a number of events that happen independently.

    Source: F. Garwood, Fiducial limits for the Poisson distribution, 1936.

    >>> [round(bound, 3) for bound in poisson(0)]
    [0.0, 3.689]
    >>> [round(bound, 3) for bound in poisson(10)]
    [4.795, 18.39]
    """
    low = _solve(lambda mean: 1 - _at_most(count - 1, mean), 0.025, count) if count else 0.0
    return low, _solve(lambda mean: 1 - _at_most(count, mean), 0.975, count)


def _drawn(parts: NDArray[Any], index: NDArray[Any], statistic: Statistic, seed: int) -> tuple[float, float]:
    count = int(index.max()) + 1
    sums = np.zeros((count, parts.shape[1]))
    np.add.at(sums, index, parts)
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=_DRAWS)
    low, high = np.percentile(statistic(draws @ sums), [2.5, 97.5])
    return float(low), float(high)


def _at_most(count: int, mean: float) -> float:
    """Chance of at most `count` events where `mean` are expected."""
    if mean <= 0:
        return 1.0
    steps = np.arange(count + 1)
    logs = steps * math.log(mean) - mean - np.cumsum(np.log(np.maximum(steps, 1)))
    return float(np.exp(logs).sum())


def _solve(rising: Callable[[float], float], value: float, count: int) -> float:
    """Where a rising function of the mean reaches `value`."""
    low, high = 0.0, count + 10 * math.sqrt(count + 1) + 10
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < value else (low, middle)
    return (low + high) / 2
