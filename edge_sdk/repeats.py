"""Says a message once and then how often it came again, so that a fault for a year is no log of a year."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

#: What comes again is summed up after so long, then after twice as long, up to the last, s.
_FIRST_S, _LAST_S = 10.0, 600.0
#: Messages of one kind from one thread, which differ in details, that are said before they are summed up.
_ALIKE = 20
#: What has not come for so long is news again: longer than any pause between two attempts, s.
_FORGOTTEN_S = 120.0
#: Messages that are remembered; what is said while there are so many counts as alike.
_MOST = 256
#: Characters by which two messages are told apart.
_TOLD_APART = 500


@dataclass(slots=True)
class _Known:
    """A message that was said, and how often one like it was not."""

    record: logging.LogRecord
    until_s: float
    seen_s: float
    window_s: float = _FIRST_S
    said: int = 1
    unsaid: int = 0


class Repeats:
    """Tells which log records are to be said.

    The first of its kind is; the same again is counted, and so is, after twenty from one thread, what differs
    in its details only. Not thread-safe.
    """

    def __init__(self) -> None:
        self._known: dict[object, _Known] = {}

    def admits(self, record: logging.LogRecord, now_s: float) -> bool:
        """Whether to say it now; what is not said is summed up by `due`."""
        part = getattr(record, "part", None)
        same = ("same", record.levelno, part, record.getMessage()[:_TOLD_APART])
        alike = ("alike", record.levelno, part, record.threadName, record.msg)
        for kind, most in ((same, 1), (alike, _ALIKE)):
            crowded = len(self._known) >= _MOST and kind not in self._known
            key: object = "others" if crowded else kind
            limit = _ALIKE if crowded else most
            known = self._known.get(key)
            if known is None:
                self._known[key] = _Known(record, now_s + _FIRST_S, now_s)
                continue
            if now_s - known.seen_s >= _FORGOTTEN_S:
                known.said, known.until_s, known.window_s = 0, now_s + _FIRST_S, _FIRST_S
            known.seen_s = now_s
            if known.said < limit:
                known.said += 1
            else:
                known.record = record
                known.unsaid += 1
                return False
        return True

    def due(self, now_s: float) -> Iterator[tuple[logging.LogRecord, int]]:
        """The last record of each kind that came again meanwhile, and how often."""
        for key, known in list(self._known.items()):
            if now_s < known.until_s:
                continue
            if not known.unsaid:
                if now_s - known.seen_s >= _FORGOTTEN_S:
                    del self._known[key]
                continue
            yield known.record, known.unsaid
            known.window_s = min(2 * known.window_s, _LAST_S)
            known.until_s, known.unsaid = now_s + known.window_s, 0
