"""When a picture was taken, and whether it is one of those that are wanted."""

from __future__ import annotations

import time

#: How old a picture may be that was only just taken, s; else its time is that of another clock.
_LATE_S = 5.0


class Pace:
    """Lets so many pictures a second through, of a camera that may be faster.

    Args:
        rate_hz: wanted.

    Attributes:
        missed: that should have come in between.

    >>> pace = Pace(10.0)
    >>> [pace.takes(time_s) for time_s in (0.0, 0.033, 0.067, 0.1, 0.133)]
    [True, False, False, True, False]
    """

    def __init__(self, rate_hz: float) -> None:
        self.missed = 0
        self._period_s = 1 / rate_hz
        self._due_s: float | None = None

    def takes(self, time_s: float) -> bool:
        """Whether a picture of this time is due; a quarter of a period early is early enough."""
        if self._due_s is None:
            self._due_s = time_s
        late_s = time_s - self._due_s
        if late_s < -self._period_s / 4:
            return False
        skipped = int(max(0.0, late_s) / self._period_s)
        self.missed += skipped
        self._due_s += (skipped + 1) * self._period_s
        return True


def age_s(stamp_ns: int) -> float:
    """How long ago that was on the sensor's clock; 0 where it is no clock of this machine.

    libcamera promises the boot clock; the driver of a USB camera stamps with the monotonic one.
    """
    for clock in (time.CLOCK_BOOTTIME, time.CLOCK_MONOTONIC):
        ago_s = time.clock_gettime(clock) - stamp_ns / 1e9
        if 0 <= ago_s < _LATE_S:
            return ago_s
    return 0.0
