"""The kernel's buffer of an IIO device: set up, read without blocking, and left as it was found."""

from __future__ import annotations

import errno
import itertools
import os
import select
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_sdk.blocks import Block, Fault, boottime_s
from edge_sdk.closing import Closing
from edge_sdk.errors import ConfigError, DeviceError, Fatal, Retry, one_line
from edge_sdk.iio.device import Channel, SampleType, Scan, sample_type, scan_order, text
from edge_sdk.iio.settings import Attributes, BufferSettings, settle_rate, triggers

_POLL_S = 0.1
#: A reader is woken for so much of a second at once: 10 ms.
_WAKE_S = 0.01
#: A timestamp that is farther from now than this is not one, s.
_BELIEVABLE_S = 60.0
#: Scans that are farther apart than so many periods have lost some between them.
_HOLE = 1.5
#: The clock of `boottime_s`, which a device is asked for.
_OWN_CLOCK = "boottime"
#: The clocks that an IIO timestamp may be of.
_CLOCKS = {
    _OWN_CLOCK: time.CLOCK_BOOTTIME,
    "monotonic": time.CLOCK_MONOTONIC,
    "monotonic_coarse": time.CLOCK_MONOTONIC,
    "monotonic_raw": time.CLOCK_MONOTONIC_RAW,
    "realtime": time.CLOCK_REALTIME,
    "realtime_coarse": time.CLOCK_REALTIME,
    "tai": time.CLOCK_TAI,
}


class Buffer(Closing):
    """Scans of some elements of a device, as they come.

    Args:
        url: the source, for messages.
        folder: the device's, in sysfs.
        elements: which elements are wanted.
        settings: rate, length, trigger.

    Attributes:
        rate_hz: what the device says it does.
        scan: how the bytes lie.
        order: the elements in it.
        clock: name of the timestamps' clock; empty where there are none.

    Raises:
        ConfigError: the device cannot do what was asked.
        Fatal: this user may not.
        Retry: it is gone, or another program reads it.
    """

    def __init__(self, url: str, folder: Path, elements: Sequence[str], settings: BufferSettings) -> None:
        self._url, self._folder = url, folder
        self._attributes = Attributes(url)
        self._rest = b""
        self.order = [name for name in scan_order(folder) if name in set(elements)]
        self._file = self._open()
        try:
            self._set_up(settings)
        except BaseException:
            self.close()
            raise

    def read(self) -> NDArray[np.uint8] | None:
        """uint8 [n, scan.length] of what has come, or None after a tenth of a second.

        Raises:
            Retry: the device is gone, or somebody ended its buffer.
        """
        try:
            # A device that was unplugged is never ready, but reading it says so.
            select.select([self._file], [], [], _POLL_S)
            data = os.read(self._file, self.length * self.scan.length)
        except BlockingIOError:
            self._check_there()
            return None
        except (OSError, ValueError) as error:
            raise Retry(f"{self._url}: the device is gone", found=one_line(error)) from error
        if not data:
            raise Retry(f"{self._url}: the device is gone", found="end of stream")
        data = self._rest + data
        whole = len(data) // self.scan.length * self.scan.length
        self._rest = data[whole:]
        return np.frombuffer(data[:whole], np.uint8).reshape(-1, self.scan.length)

    def numbers(self, scans: NDArray[np.uint8], picked: Sequence[Channel]) -> NDArray[np.float64]:
        """float64 [n, channels], raw, of uint8 [n, scan.length]."""
        elements = {name: self.scan.element(scans, at) for at, name in enumerate(self.order)}
        return np.stack([elements[c.element][:, c.part].astype(np.float64) for c in picked], axis=1)

    def stamps(self, scans: NDArray[np.uint8]) -> NDArray[np.int64] | None:
        """int64 [n], ns on `clock`; None where the device has no timestamps."""
        if not self.clock:
            return None
        return self.scan.element(scans, len(self.order))[:, 0].astype(np.int64)

    def boot_s(self, stamp_ns: int) -> float:
        """A timestamp on the clock that edgeml runs on, s."""
        if self.clock == _OWN_CLOCK:  # to the nanosecond; of two clocks, one is read a moment after the other
            return stamp_ns / 1e9
        ago_s = (time.clock_gettime_ns(_CLOCKS[self.clock]) - stamp_ns) / 1e9
        return boottime_s() - ago_s

    def close(self) -> None:
        """Stop the device and put its settings back; may be called twice."""
        self._attributes.restore()
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _open(self) -> int:
        node = Path("/dev") / self._folder.name
        try:
            return os.open(node, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            remedy = None
            kind: type[DeviceError] = Retry
            if error.errno == errno.EBUSY:
                remedy = "end the program that reads it, such as iio-sensor-proxy"
            elif isinstance(error, PermissionError):
                kind, remedy = Fatal, "let a udev rule give the group of this user the device: docs/board.md"
            raise kind(f"{self._url}: {node}", found=os.strerror(error.errno or 0), remedy=remedy) from error

    def _set_up(self, settings: BufferSettings) -> None:
        put, folder = self._attributes.set, self._folder
        scan = folder / "scan_elements"
        # This process has the device now: a buffer that runs was left behind by one that was killed.
        if text(folder / "buffer/enable") == "1":
            self._attributes.write(folder / "buffer/enable", "0")
        if settings.trigger:
            if settings.trigger not in (known := triggers()):  # the kernel would take none, and not say so
                raise Retry(
                    f"{self._url}: no trigger {settings.trigger!r}",
                    found=", ".join(sorted(known)) or "none at all",
                    remedy="create it first: see docs/board.md",
                )
            put(folder / "trigger/current_trigger", settings.trigger)
        self.rate_hz = settle_rate(
            self._attributes, folder, self.order, settings, text(folder / "trigger/current_trigger")
        )
        for path in sorted(scan.glob("in_*_en")):
            name = path.name[3:-3]
            put(path, "1" if name in self.order or name == "timestamp" else "0")
        self.clock = self._settle_clock() if (scan / "in_timestamp_en").exists() else ""
        types = {name: sample_type(folder, name) for name in self.order}
        ordered = list(types.values())
        if self.clock:
            ordered.append(SampleType.parse(text(scan / "in_timestamp_type")))
        self.scan = Scan.of(ordered)
        self.length = settings.length or max(64, round(2 * self.rate_hz))
        put(folder / "buffer/length", str(self.length))
        if (folder / "buffer/watermark").exists():
            put(
                folder / "buffer/watermark", str(max(1, min(round(self.rate_hz * _WAKE_S), self.length // 2)))
            )
        put(folder / "buffer/enable", "1", remedy=self._why_not())

    def _settle_clock(self) -> str:
        """Have the timestamps on the boot clock where the kernel lets us; else on what it says."""
        path = self._folder / "current_timestamp_clock"
        if path.exists() and os.access(path, os.W_OK):
            self._attributes.set(path, _OWN_CLOCK)
        clock = text(path) or "realtime"  # what it was before Linux 4.8 let one choose
        if clock not in _CLOCKS:
            raise ConfigError(
                f"{self._url}: current_timestamp_clock", expected=", ".join(_CLOCKS), found=clock
            )
        return clock

    def _why_not(self) -> str | None:
        trigger = self._folder / "trigger/current_trigger"
        if trigger.exists() and not text(trigger):
            known = ", ".join(sorted(triggers())) or "none: load one, such as iio-trig-hrtimer"
            return f"it needs a trigger: add ?trigger=NAME, of {known}"
        return None

    def _check_there(self) -> None:
        if not (self._folder / "name").exists():
            raise Retry(f"{self._url}: the device is gone", found=f"no {self._folder}")
        if text(self._folder / "buffer/enable") == "0":
            raise Retry(f"{self._url}: somebody else ended the buffer")


class Track:
    """Scans into blocks: their times, and the holes between them.

    Args:
        buffer: where they come from.
        names: of the columns.
        device: name of the sensor.

    Attributes:
        gap: samples were lost before what comes next.
    """

    def __init__(self, buffer: Buffer, names: tuple[str, ...], device: str) -> None:
        self.gap = False
        self._buffer, self._names, self._device = buffer, names, device
        self._last_ns: int | None = None
        self._doubted = False

    def blocks(
        self, samples: NDArray[np.float32], stamps: NDArray[np.int64] | None
    ) -> Iterator[Block | Fault]:
        """A block for each stretch without a hole, a fault for each hole.

        Args:
            samples: float32 [n, channels].
            stamps: int64 [n], ns; None where the device has none.
        """
        if stamps is None:
            yield self._block(samples, self._arrival_s(len(samples)))
            if len(samples) >= self._buffer.length:
                self.gap = True
                yield Fault("overrun", detail="the buffer was full: scans may be lost", device=self._device)
            return
        period_ns = 1e9 / self._buffer.rate_hz
        first = stamps[0] if self._last_ns is None else self._last_ns
        steps = np.diff(stamps, prepend=first)
        self._last_ns = int(stamps[-1])
        holes = np.flatnonzero((steps > _HOLE * period_ns) | (steps < 0))
        edges = sorted({0, *holes.tolist(), len(samples)})
        for start, stop in itertools.pairwise(edges):
            if start in holes:
                self.gap = True
                yield Fault("overrun", detail=self._lost(steps[start] / period_ns), device=self._device)
            time_s = self._buffer.boot_s(int(stamps[start]))
            if abs(time_s - boottime_s()) > _BELIEVABLE_S:
                time_s = self._arrival_s(stop - start)
                if not self._doubted:
                    self._doubted = True
                    yield Fault("clock", detail="timestamps are not of now: stamped on arrival")
            yield self._block(samples[start:stop], time_s)

    def _lost(self, periods: float) -> str:
        return "the clock went back" if periods < 0 else f"about {max(1, round(periods) - 1)} scans are lost"

    def _arrival_s(self, count: int) -> float:
        return boottime_s() - (count - 1) / self._buffer.rate_hz

    def _block(self, samples: NDArray[np.float32], time_s: float) -> Block:
        gap, self.gap = self.gap, False
        wall_s = time.time() - (boottime_s() - time_s)
        return Block(samples, self._buffer.rate_hz, self._names, self._device, time_s, wall_s, gap)
