"""Whether the wall clock can be believed: many boards have no battery behind theirs."""

from __future__ import annotations

import ctypes
import time

_TIME_ERROR = 5
#: struct timex of Linux is 208 bytes on 64-bit machines and 128 on 32-bit ones; its first word is `modes`,
#: and 0 there only reads.
_TIMEX_BYTES = 256
_VALID_FOR_S = 10.0


class ClockState:
    """Asks the kernel whether something disciplines the wall clock, at most every ten seconds."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None)
        self._timex = ctypes.create_string_buffer(_TIMEX_BYTES)
        self._asked_s = float("-inf")
        self._synced = False

    def synced(self) -> bool:
        """True when NTP or a reference clock has set the wall clock (adjtimex does not say TIME_ERROR)."""
        now = time.monotonic()
        if now - self._asked_s > _VALID_FOR_S:
            self._asked_s = now
            try:
                state = self._libc.adjtimex(self._timex)
            except AttributeError:  # not Linux
                state = _TIME_ERROR
            self._synced = 0 <= state < _TIME_ERROR
        return self._synced
