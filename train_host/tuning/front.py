"""Trials that have ended, and those of them that no other one beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from train_host.tuning.goals import Goals
from train_host.tuning.trial import Result


@dataclass(frozen=True)
class Tried:
    """One trial that has ended.

    Attributes:
        number: counts from 0.
        values: what was tried.
        result: what came of it.
        beyond: the limits that it passes, ``board`` among them where that cannot run it.
    """

    number: int
    values: Mapping[str, Any]
    result: Result
    beyond: tuple[str, ...] = ()

    @property
    def feasible(self) -> bool:
        """Whether it has become a model, and passes no limit."""
        return self.result.failure is None and not self.beyond

    @property
    def figures(self) -> Mapping[str, Any]:
        """Of the result."""
        return self.result.figures


def tried(number: int, values: Mapping[str, Any], result: Result, goals: Goals) -> Tried:
    """A trial, judged by the limits."""
    passed = [name for name, excess in goals.excess(result.figures).items() if excess > 0]
    return Tried(number, values, result, (*passed, *(["board"] if result.reasons else [])))


def front(trials: Sequence[Tried], goals: Goals) -> list[Tried]:
    """Those that no other one beats in all objectives, within the limits; the best of the first ahead."""
    points = [(each, goals.cost(each.figures)) for each in trials if each.feasible]
    best = [pair for pair in points if not any(_dominates(other, pair[1]) for _, other in points)]
    return [each for each, _ in sorted(best, key=lambda pair: (pair[1], pair[0].number))]


def nearest(trials: Sequence[Tried], goals: Goals) -> tuple[Tried, str] | None:
    """The trial that passes its limits least, and the figure that passes its own most.

    None where all have failed, or one passes none: then a board is why it is no model.
    """
    worst = [
        (max((excess, name) for name, excess in goals.excess(each.figures).items()), each)
        for each in trials
        if each.result.failure is None and goals.limits
    ]
    if not worst:
        return None
    (excess, name), each = min(worst, key=lambda pair: (pair[0], pair[1].number))
    return (each, name) if excess > 0 else None


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)
