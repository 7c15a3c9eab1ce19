"""A sensor that says nothing by itself: asked for each sample at a steady rate."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from edge_sdk.blocks import Block, Fault, boottime_s
from edge_sdk.contract import Input
from edge_sdk.errors import ConfigError, Retry

#: Reads that may fail in a row until the device is opened anew.
FAILURES = 10
#: What says that a device is gone, not that it failed once.
GONE = {errno.ENODEV, errno.ENOENT, errno.EBADF, errno.ESHUTDOWN}


class Polled:
    """Reads one sample a deadline, and hides neither what failed nor what it came too late for.

    A failed read is the fault ``read``; no window spans it, nor a deadline that was missed.

    Args:
        url: the source, for messages.
        rate_hz: samples a second.
        channels: names of the columns.
        device: name of what is read.
        closing: ends the iteration when it is set.

    Attributes:
        missed: deadlines that passed before the sensor could be asked.
    """

    def __init__(
        self, url: str, rate_hz: float, channels: tuple[str, ...], device: str, closing: threading.Event
    ) -> None:
        self.missed = 0
        self._url, self._rate_hz, self._channels, self._device = url, rate_hz, channels, device
        self._closing = closing

    def blocks(self, read: Callable[[], NDArray[np.float32] | Fault]) -> Iterator[Block | Fault]:
        """Ask until closed.

        Args:
            read: gives float32 [channels], a fault, or raises OSError.

        Raises:
            Retry: the device is gone, or fails `FAILURES` times in a row.
        """
        failed, gap, missed = 0, False, 0
        for _ in self._deadlines():
            time_s, wall_s = boottime_s(), time.time()
            try:
                found = read()
            except OSError as error:
                failed += 1
                gap = True
                reason = os.strerror(error.errno) if error.errno else str(error)
                if error.errno in GONE:
                    raise Retry(f"{self._url}: the device is gone", found=reason) from error
                if failed >= FAILURES:
                    raise Retry(f"{self._url}: {failed} reads in a row failed", found=reason) from error
                yield Fault("read", detail=f"{self._url}: {reason}", device=self._device)
                continue
            failed = 0
            if isinstance(found, Fault):
                gap = True
                found.device = self._device
                yield found
                continue
            yield Block(
                found[None],
                self._rate_hz,
                self._channels,
                self._device,
                time_s=time_s,
                wall_s=wall_s,
                gap=gap or self.missed > missed,
            )
            gap, missed = False, self.missed

    def _deadlines(self) -> Iterator[None]:
        """As `edge_sdk.blocks.Ticks`, but a long wait ends when the source is closed."""
        period_s = 1 / self._rate_hz
        due = time.monotonic()
        while True:
            late_s = time.monotonic() - due
            if late_s > period_s:
                skipped = int(late_s / period_s)
                self.missed += skipped
                due += skipped * period_s
            if self._closing.wait(max(0.0, due - time.monotonic())):
                return
            yield
            due += period_s


def settled_rate_hz(url: str, option: float | None, wanted: Input | None) -> float:
    """The source's rate: its option, else the model's.

    Raises:
        ConfigError: neither says one.
    """
    rate_hz = option or (wanted.rate_hz if wanted else None)
    if not rate_hz:
        raise ConfigError(
            f"{url}: rate_hz is missing",
            remedy="add ?rate_hz=… (a model with a contract tells it by itself)",
        )
    return rate_hz
