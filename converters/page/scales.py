"""From values to pixels, and the round numbers that stand beside an axis."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps `low`…`high` to the pixels `start`…`end`.

    Attributes:
        low: value at `start`.
        high: value at `end`; larger than `low`.
        start: pixel; larger than `end` for an axis that points upwards.
        end: pixel.
        log: whether equal ratios are equally far apart; `low` is then positive.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value; values outside end up outside."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(max(value, 1e-300))
        return self.start + (self.end - self.start) * (value - low) / (high - low)

    @property
    def ticks(self) -> list[float]:
        """Round values from `low` to `high`, as many as there is room for."""
        upright = self.end < self.start
        room = max(int(abs(self.end - self.start) / (45 if upright else 65)), 2)
        if self.log:
            return _log_ticks(self.low, self.high, room)
        return linear_ticks(self.low, self.high, room)


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    """As many round values as there is room for, at best three a decade."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [factor * 10.0**e for e in decades for factor in factors if low <= factor * 10.0**e <= high]
        if len(found) <= count:
            return found
    return found[:: -(-len(found) // count)]


def linear_ticks(low: float, high: float, count: int) -> list[float]:
    """At most `count` + 1 round values from `low` to `high`, equally far apart."""
    rough = (high - low) / max(count, 1)
    if not rough > 0 or not math.isfinite(rough):
        return [low]
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(f * magnitude for f in (1, 2, 5, 10) if f * magnitude >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def around(values: list[float], *, least: float = 0.0, margin: float = 0.08) -> tuple[float, float]:
    """The range of the values with a margin on both sides, `least` wide at least."""
    low, high = min(values), max(values)
    width = max(high - low, least, abs(high) * 1e-6, 1e-9)
    middle = (low + high) / 2
    return middle - width * (0.5 + margin), middle + width * (0.5 + margin)
