"""Histograms cheap enough for the loop, exact enough for a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

#: Up to 6.3 µs a bucket is 0.1 µs wide; above, each doubling is cut into 32 buckets: at most 1.6 % off.
_HALF: Final = 32
_FIRST: Final = 2 * _HALF
_SHIFT: Final = _FIRST.bit_length() - 1
#: 2**41 tenths of a microsecond is two and a half days; what is longer lands in the last bucket.
_OCTAVES: Final = 36
_BUCKETS: Final = _FIRST + _HALF * _OCTAVES
_LONGEST_US: Final = float(1 << (_SHIFT + _OCTAVES)) / 10.0

#: What a summary reports, by name.
QUANTILES: Final[Mapping[str, float]] = {"p50": 0.50, "p90": 0.90, "p99": 0.99}


class Histogram:
    """Log-linear histogram of durations in µs; one thread observes.

    >>> histogram = Histogram()
    >>> for us in (1.0, 2.0, 3.0, 400.0):
    ...     histogram.observe(us)
    >>> histogram.summary()
    {'p50': 2.0, 'p90': 400.0, 'p99': 400.0, 'max': 400.0}
    """

    __slots__ = ("_counts", "max_us")

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self.max_us = 0.0

    def observe(self, us: float) -> None:
        """Count one duration, µs; a negative one (a clock went backwards) counts as zero."""
        if us > self.max_us:
            self.max_us = us
        bucket = int(us * 10.0 + 0.5)
        if bucket >= _FIRST:
            shift = bucket.bit_length() - _SHIFT
            bucket = (shift << 5) + (bucket >> shift)
            if bucket >= _BUCKETS:
                bucket = _BUCKETS - 1
        elif bucket < 0:
            bucket = 0
        self._counts[bucket] += 1

    def __len__(self) -> int:
        return sum(self._counts)

    def quantile(self, q: float) -> float:
        """The duration, µs, that a share ``q`` (0..1) of the observations does not exceed; 0 without any."""
        total = len(self)
        if not total:
            return 0.0
        rank = max(1.0, q * total)
        seen = 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if seen >= rank:
                return min(_middle_us(bucket), self.max_us)
        return self.max_us

    def summary(self) -> dict[str, float]:
        """``p50``, ``p90``, ``p99`` and ``max``, µs."""
        return {
            **{name: round(self.quantile(q), 1) for name, q in QUANTILES.items()},
            "max": round(self.max_us, 1),
        }

    def buckets(self, bounds_us: Sequence[float]) -> list[int]:
        """How many observations each of some ascending bounds, µs, is not exceeded by; last: all there are.

        What lies within 1.6 % of a bound may be counted on its other side.
        """
        counts = self._counts
        cumulative, seen, start = [], 0, 0
        for bound in bounds_us:
            end = max(start, _bucket(bound) + 1)
            seen += sum(counts[start:end])
            start = end
            cumulative.append(seen)
        return [*cumulative, seen + sum(counts[start:])]

    @property
    def total_us(self) -> float:
        """The sum of all observations, µs, within 1.6 %: the loop does not pay for an exact one."""
        return sum(count * _middle_us(bucket) for bucket, count in enumerate(self._counts) if count)

    def copy(self) -> Histogram:
        """The same at this moment; while another thread observes, too."""
        twin = Histogram()
        twin.max_us, twin._counts = self.max_us, self._counts.copy()
        return twin

    def merge(self, other: Histogram) -> None:
        """Add another histogram's observations to this one's."""
        self._counts = [mine + theirs for mine, theirs in zip(self._counts, other._counts, strict=True)]
        self.max_us = max(self.max_us, other.max_us)


def _bucket(us: float) -> int:
    """Where a duration, µs, is counted; `Histogram.observe` has the same in line, for it is the hot path."""
    tenths = max(0, int(min(us, _LONGEST_US) * 10.0 + 0.5))
    if tenths < _FIRST:
        return tenths
    shift = tenths.bit_length() - _SHIFT
    return min((shift << 5) + (tenths >> shift), _BUCKETS - 1)


def _middle_us(bucket: int) -> float:
    """The middle of a bucket, µs."""
    if bucket < _FIRST:
        return bucket / 10.0
    shift = bucket // _HALF - 1
    low = (bucket - shift * _HALF) << shift
    return (low + (1 << shift) / 2) / 10.0
