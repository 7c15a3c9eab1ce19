"""What was shown when: the labels of a recording, as they were set while it ran."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterator

#: Recorded, though nobody has said what it shows.
UNLABELLED = ""


class Timeline:
    """Labels over time; set from one thread, read from others.

    Args:
        label: from the beginning on; None records nothing, `UNLABELLED` what nobody has named.
    """

    def __init__(self, label: str | None) -> None:
        self._lock = threading.Lock()
        self._times: list[float] = [float("-inf")]
        self._labels: list[str | None] = [label]

    def set(self, label: str | None, at_s: float) -> None:
        """From this moment on it is another label."""
        with self._lock:
            at_s = max(at_s, self._times[-1])
            if self._labels[-1] != label:
                self._times.append(at_s)
                self._labels.append(label)

    def at(self, time_s: float) -> str | None:
        """The label at a moment."""
        with self._lock:
            return self._labels[bisect.bisect_right(self._times, time_s) - 1]

    @property
    def now(self) -> str | None:
        """The latest label."""
        with self._lock:
            return self._labels[-1]

    @property
    def since_s(self) -> float:
        """When it was set."""
        with self._lock:
            return self._times[-1]

    def pieces(self, start_s: float, rate_hz: float, count: int) -> Iterator[tuple[int, int, str | None]]:
        """Cut samples where the label changed.

        Args:
            start_s: time of the first.
            rate_hz: of them.
            count: how many.

        Yields:
            From which sample to which (not included), and the label between.
        """
        with self._lock:
            first = bisect.bisect_right(self._times, start_s) - 1
            changes = list(zip(self._times[first:], self._labels[first:], strict=True))
        at = 0
        for index, (_, label) in enumerate(changes):
            later = index + 1 < len(changes)
            end = round((changes[index + 1][0] - start_s) * rate_hz) if later else count
            end = min(max(end, at), count)
            if end > at:
                yield at, end, label
            at = end
