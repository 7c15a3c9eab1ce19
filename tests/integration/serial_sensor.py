"""A sensor on a real pseudo-terminal: CSV lines at a rate, as a microcontroller would print them."""

from __future__ import annotations

import contextlib
import os
import pty
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np


class SerialSensor:
    """Prints ``values(i)`` as a CSV line at `rate_hz` until it is unplugged."""

    def __init__(self, values: Callable[[int], np.ndarray], rate_hz: float) -> None:
        self._controller, device = pty.openpty()
        tty.setraw(device)
        os.set_blocking(self._controller, False)
        self.path = os.ttyname(device)
        self._device = device
        self._values, self._rate_hz = values, rate_hz
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._print, daemon=True)
        self._thread.start()

    def _print(self) -> None:
        start = time.monotonic()
        i = 0
        while not self._stop.is_set():
            line = ",".join(f"{v:.5f}" for v in self._values(i)) + "\r\n"
            with contextlib.suppress(BlockingIOError):  # nobody reads: a real sensor's bytes are lost too
                os.write(self._controller, line.encode())
            i += 1
            time.sleep(max(start + i / self._rate_hz - time.monotonic(), 0))

    def unplug(self) -> None:
        self._stop.set()
        self._thread.join()
        for end in (self._controller, self._device):
            os.close(end)


@contextmanager
def serial_sensor(values: Callable[[int], np.ndarray], rate_hz: float = 50.0) -> Iterator[SerialSensor]:
    sensor = SerialSensor(values, rate_hz)
    try:
        yield sensor
    finally:
        sensor.unplug()
