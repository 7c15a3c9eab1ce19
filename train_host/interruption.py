"""Ctrl-C, or a system that shuts down: the first signal asks a training to leave a checkpoint and end.

A search leaves everything on the disk as it goes; all that it must not do is miss that it was asked to end.
"""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

#: What ends a process that does not handle it, and may come while there is work worth keeping.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_USUAL = (signal.SIG_DFL, signal.default_int_handler)


class Interruption:
    """While it is entered, a signal makes a file that the training process looks for; a second one ends all.

    Signals that somebody else handles or ignores are left alone, and so are all outside the main thread.

    Args:
        stop_path: the file.
    """

    def __init__(self, stop_path: Path) -> None:
        self._stop_path = stop_path
        self._before: dict[signal.Signals, Any] = {}
        self._asked: int | None = None
        self._fitting = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) in _USUAL:
                    self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def watch(self, facts: dict[str, Any]) -> None:
        """Take note of what the training process reports: only while it fits can it leave a checkpoint."""
        self._fitting = "epoch" in facts and "fold" not in facts

    def end(self) -> NoReturn:
        """End as the signal would have.

        Raises:
            KeyboardInterrupt: it was Ctrl-C.
            SystemExit: it was another, with the status that shells give it.
        """
        if self._asked in (None, signal.SIGINT):
            raise KeyboardInterrupt
        raise SystemExit(128 + int(self._asked or 0))

    def _heard(self, number: int, frame: FrameType | None) -> None:
        again, self._asked = self._asked is not None, number
        if again or not self._fitting:
            self.end()
        self._stop_path.touch()


class Remembered:
    """While it is entered, Ctrl-C is not forgotten.

    It raises KeyboardInterrupt as ever. But Python drops what is raised in a callback, as imports have them:
    `check` raises it once more.
    """

    def __init__(self) -> None:
        self._came, self._own = False, False

    def __enter__(self) -> Self:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._heard)
            self._own = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._own:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def check(self) -> None:
        """Raise KeyboardInterrupt if it came."""
        if self._came:
            raise KeyboardInterrupt

    def _heard(self, number: int, frame: FrameType | None) -> NoReturn:
        self._came = True
        raise KeyboardInterrupt
