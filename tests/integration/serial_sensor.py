"""A sensor on a real pseudo-terminal: lines or packets at a rate, as a microcontroller would send them."""

from __future__ import annotations

import contextlib
import os
import pty
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


def csv_line(values: np.ndarray) -> bytes:
    return ",".join(f"{v:.5f}" for v in values).encode() + b"\r\n"


class SerialSensor:
    """Sends ``encode(values(i))`` at `rate_hz` until it is unplugged; rate 0 is as fast as it can.

    With `link`, that path leads to it, as /dev/serial/by-id does, and is gone when it is unplugged.
    """

    def __init__(
        self,
        values: Callable[[int], Any],
        rate_hz: float,
        encode: Callable[[Any], bytes] = csv_line,
        link: Path | None = None,
    ) -> None:
        self._controller, device = pty.openpty()
        tty.setraw(device)
        os.set_blocking(self._controller, False)
        self.path = os.ttyname(device)
        self._device = device
        self._values, self._rate_hz, self._encode, self._link = values, rate_hz, encode, link
        if link is not None:
            link.symlink_to(self.path)
        self.sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._print, daemon=True)
        self._thread.start()

    def _print(self) -> None:
        start = time.monotonic()
        i = 0
        while not self._stop.is_set():
            data = self._encode(self._values(i))
            try:
                self.sent += os.write(self._controller, data)
            except BlockingIOError:  # nobody reads: a real sensor's bytes are lost too
                self._stop.wait(0.001)
            i += 1
            if self._rate_hz:
                self._stop.wait(max(start + i / self._rate_hz - time.monotonic(), 0))

    def unplug(self) -> None:
        self._stop.set()
        self._thread.join()
        if self._link is not None:
            self._link.unlink(missing_ok=True)
        for end in (self._controller, self._device):
            with contextlib.suppress(OSError):
                os.close(end)


@contextmanager
def serial_sensor(
    values: Callable[[int], Any], rate_hz: float = 50.0, encode: Callable[[Any], bytes] = csv_line
) -> Iterator[SerialSensor]:
    sensor = SerialSensor(values, rate_hz, encode)
    try:
        yield sensor
    finally:
        sensor.unplug()
