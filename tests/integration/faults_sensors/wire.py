"""A sensor on a real pseudo-terminal, which can be unplugged and does to a line whatever is asked of it."""

from __future__ import annotations

import os
import pty
import select
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.integration.faults_sensors.truth import Stream, samples

#: How long a line may wait until somebody reads, s.
_PATIENCE_S = 20.0


class Sensor:
    """Sends known samples as lines of numbers, at the rate of whoever calls.

    Args:
        link: the path at which it is found while it is plugged in, as in /dev/serial/by-id.
        rate_hz: samples a second.
        seed: of its samples.
        columns: how many of the three channels it has.

    Attributes:
        stream: what it sent.
        spoilt: lines that are no samples.
        over: set when nobody will read any more.
    """

    def __init__(self, link: Path, rate_hz: float = 100.0, seed: int = 0, columns: int = 3) -> None:
        self.link, self.rate_hz = link, rate_hz
        self.stream = Stream()
        self._rows = samples(50_000, seed)[:, :columns]
        self._next = 0
        self._ends: tuple[int, int] | None = None
        self._last = self._rows[0]
        self.spoilt = 0
        self.over = threading.Event()

    def plug(self) -> None:
        """Be there; a port's first line is skipped, so it holds no sample."""
        controller, device = self._ends = pty.openpty()
        tty.setraw(device)
        os.set_blocking(controller, False)
        self.link.symlink_to(os.ttyname(device))

    def greet(self) -> None:
        """The first line after the port was opened, which is skipped: reading may begin in its middle."""
        self.write(b"# hello\n")

    def unplug(self, half: bytes = b"") -> None:
        """Be gone, whatever was not read yet, and in the middle of a line."""
        if self._ends is not None:
            self.write(half)
            self.link.unlink()
            for end in self._ends:
                os.close(end)
            self._ends = None
        self.stream.hole(torn=True)

    def write(self, data: bytes) -> bool:
        """All of it, as fast as it is read; False where nobody reads any more."""
        assert self._ends is not None
        controller, deadline = self._ends[0], time.monotonic() + _PATIENCE_S
        while data:
            try:
                data = data[os.write(controller, data) :]
            except BlockingIOError:
                if self.over.is_set():
                    return False
                assert time.monotonic() < deadline, "nobody reads"
                select.select([], [controller], [], 0.1)
        return True

    def send(
        self, seconds: float = 10.0, until: Callable[[], object] | None = None, times: float = 1.0
    ) -> None:
        """Samples at `times` the rate, for so long or until something holds, which it must in that time."""
        self._pace(self._sample, seconds, until, times)

    def spoil(self, line: Callable[[], bytes], until: Callable[[], object], seconds: float = 20.0) -> None:
        """Send lines that are no samples instead of those that are, until something holds."""

        def step() -> None:
            self.spoilt += self.write(line())

        self.stream.hole()
        self._pace(step, seconds, until, 1.0)

    def hang(self, until: Callable[[], object], seconds: float = 10.0) -> None:
        """Send the last sample again and again: no hole, these are samples."""
        self._pace(lambda: self._say(self._last), seconds, until, 1.0)

    def rest(self, until: Callable[[], object], seconds: float = 10.0) -> None:
        """Send nothing."""
        self.stream.hole()
        self._pace(lambda: None, seconds, until, 1.0)

    def _sample(self) -> None:
        self._last = self._rows[self._next % len(self._rows)]
        self._next += 1
        self._say(self._last)

    def _say(self, row: NDArray[np.float32]) -> None:
        if self.write(line_of(row)):
            self.stream.sent(row)

    def _pace(
        self, step: Callable[[], None], seconds: float, until: Callable[[], object] | None, times: float
    ) -> None:
        begun, look_s, done = time.monotonic(), 0.0, 0
        while (now := time.monotonic() - begun) < seconds and not self.over.is_set():
            if until is not None and now >= look_s:
                if until():
                    return
                look_s = time.monotonic() - begun + 0.05
            while done < now * self.rate_hz * times:
                step()
                done += 1
            time.sleep(0.002)
        assert until is None or self.over.is_set(), f"not within {seconds} s"


def line_of(row: NDArray[np.float32]) -> bytes:
    return ",".join(f"{value:.5f}" for value in row).encode() + b"\r\n"
