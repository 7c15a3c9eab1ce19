"""A core that runs must not run forever."""

from __future__ import annotations

import math
import threading
import time
import weakref
from typing import Any

from firmware_bridge.peripherals import Uart

#: How late a core that is busy may be stopped, s.
_WATCH_S = 0.02


class Watch:
    """Keeps an eye on a core that runs; unicorn's own time limit costs a millisecond each time it is set.

    To stop it from here while it is in an access to a register would make it repeat that access: a byte would
    be lost, or come twice. So the UART is told to pause it, and only a core that lost its way is stopped.

    Args:
        core: of unicorn.
        uart: that pauses it.

    Attributes:
        gave_up: the core was stopped, and must not go on before a reset.
    """

    def __init__(self, core: Any, uart: Uart) -> None:
        self.gave_up = False
        self._until_s = self._lost_s = math.inf
        self._uart, self._ended = uart, threading.Event()
        self._core = core
        arguments = weakref.ref(self), self._ended
        self._thread = threading.Thread(target=_look, args=arguments, name="virtual board", daemon=True)
        self._thread.start()
        weakref.finalize(self, self._ended.set)

    @property
    def ended(self) -> bool:
        """Whether it was closed."""
        return self._ended.is_set()

    def arm(self, until_s: float, lost_s: float) -> None:
        """The core runs from now on: when it is to be paused, and when it has lost its way."""
        self._uart.hurry = self.gave_up = False
        self._until_s, self._lost_s = until_s, lost_s

    def disarm(self) -> None:
        """The core stands."""
        self._until_s = self._lost_s = math.inf

    def close(self) -> None:
        """End the thread; may be called twice."""
        self._ended.set()

    def look(self) -> None:
        """See whether a time is over."""
        now_s = time.monotonic()
        if now_s > self._until_s:
            self._uart.hurry = True
        if now_s > self._lost_s:
            self.gave_up = True
            self._core.emu_stop()


def _look(reference: weakref.ref[Watch], ended: threading.Event) -> None:
    """Until the watch is closed, or forgotten with its emulator."""
    while not ended.wait(_WATCH_S):
        watch = reference()
        if watch is None:
            return
        watch.look()
        del watch
