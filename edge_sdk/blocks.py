"""Blocks: what a source yields, and the clock it is stamped with."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Runs through suspend, never steps with the wall clock. Linux only; elsewhere the monotonic clock.
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boottime_s() -> float:
    """Seconds on the clock that all logic of edgeml runs on."""
    return time.clock_gettime(_BOOTTIME)


@dataclass(slots=True)
class Block:
    """Consecutive samples of one device.

    Attributes:
        samples: float32 [n, channels], in the units of the source's channels; pictures of a camera are uint8
            [n, height, width, channels], each of them a sample.
        rate_hz: sampling rate.
        channels: names, in column order; empty where the source does not know them.
        device: who measured it; empty means the pipeline's own device name.
        time_s: boot-clock time of the first sample, s.
        wall_s: wall-clock time of the first sample, s since the epoch. For people; no logic depends on it.
        gap: samples were lost between the block before and this one: windows must not span the two.
        end: the recording or stream of this device ends with this block.
    """

    samples: NDArray[Any]
    rate_hz: float
    channels: tuple[str, ...] = ()
    device: str = ""
    time_s: float = field(default_factory=boottime_s)
    wall_s: float = field(default_factory=time.time)
    gap: bool = False
    end: bool = False

    @property
    def has_pictures(self) -> bool:
        """Whether each sample is a picture."""
        return self.samples.ndim == 4


@dataclass(slots=True)
class Fault:
    """Something that a source noticed and did not hide: an unreadable line, a silent port.

    Attributes:
        reason: one word for the ledger and the logs: ``garbage``, ``silence``, ``channels``, …
        samples: how many samples were read and thrown away with it.
        detail: one line for people.
        device: as in Block.
        gap: something is missing before what this device sends next: no window spans it, and no smoothing.
    """

    reason: str
    samples: int = 0
    detail: str = ""
    device: str = ""
    gap: bool = False


class Ticks:
    """Paces a loop against absolute deadlines and counts the ones it missed.

    >>> [tick for tick in Ticks(1000.0, limit=3)]
    [0, 1, 2]
    """

    def __init__(self, rate_hz: float, *, limit: int | None = None) -> None:
        if rate_hz <= 0:
            raise ValueError(f"rate_hz: expected a positive rate, found {rate_hz}")
        self.period_s = 1.0 / rate_hz
        self.limit = limit
        self.missed = 0

    def __iter__(self) -> Iterator[int]:
        start = time.monotonic()
        tick = 0
        while self.limit is None or tick < self.limit:
            late_s = time.monotonic() - (start + tick * self.period_s)
            if late_s < 0:
                time.sleep(-late_s)
            elif late_s > self.period_s:
                skipped = int(late_s / self.period_s)
                self.missed += skipped
                start += skipped * self.period_s
            yield tick
            tick += 1


def ticks(rate_hz: float, *, limit: int | None = None) -> Ticks:
    """Yields 0, 1, 2, … at ``rate_hz`` by monotonic deadlines; its ``.missed`` counts late ones."""
    return Ticks(rate_hz, limit=limit)
