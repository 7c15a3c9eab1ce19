"""How fast a training goes, and how long it will take if nothing ends it early."""

from __future__ import annotations

import time
from collections.abc import Callable

from train_host.fitting.course import Course


class Pace:
    """Measures from where it was made; the first steps, in which a graph is compiled, do not count.

    Args:
        course: that it goes along.
        steps: in an epoch.
        windows: in an epoch.
        clock: seconds.
    """

    def __init__(
        self, course: Course, steps: int, windows: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._course, self._steps, self._windows, self._clock = course, steps, windows, clock
        self._began: tuple[float, int] | None = None

    def facts(self) -> dict[str, float]:
        """``windows_per_s`` and ``left_s``, s; nothing as long as nothing is known."""
        done, now = self._course.epoch * self._steps + self._course.step, self._clock()
        if self._began is None:
            self._began = now, done
            return {}
        began_s, began = self._began
        if done == began or now <= began_s:
            return {}
        steps_per_s = (done - began) / (now - began_s)
        left = self._course.epochs * self._steps - done
        return {
            "windows_per_s": round(steps_per_s * self._windows / self._steps, 1),
            "left_s": round(left / steps_per_s, 1),
        }
