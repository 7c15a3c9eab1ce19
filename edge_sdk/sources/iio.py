"""``iio:DEVICE`` reads a sensor that a Linux driver knows: Industrial I/O, without libiio."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from edge_sdk.blocks import Block, Fault
from edge_sdk.closing import Closing
from edge_sdk.contract import Input
from edge_sdk.errors import ConfigError, Retry
from edge_sdk.iio import device as kernel
from edge_sdk.iio.buffer import Buffer, Track
from edge_sdk.iio.device import Channel
from edge_sdk.iio.settings import Attributes, BufferSettings, ensure_rate
from edge_sdk.iio.values import Formula, Readings
from edge_sdk.sources._polled import Polled, settled_rate_hz
from edge_sdk.sources._quantities import columns

_LOG = logging.getLogger("edgeml")
Mode = Literal["auto", "poll", "buffer"]
Rate = Annotated[float, msgspec.Meta(gt=0)]


class Source(Closing):
    """Values in the units of the kernel (m/s², rad/s, m°C, kPa, …), or in the model's where they differ.

    Channels are called as in sysfs without ``in_`` and ``_raw``: ``accel_x``. A model's ``ax``, ``acc_x`` or
    ``gyro_z`` finds its own; others are named with `inputs`. A contract that wants g, dps or °C gets these:
    converted exactly, and refused where the units do not fit.

    With the kernel's buffer, channels are sampled together and carry the kernel's time; by polling, each is
    read from its file in turn. What the buffer lost is the fault ``overrun``, and no window spans it.

    Args:
        location: ``device0``, or the name of its chip as in ``/sys/bus/iio/devices/*/name``.
        rate_hz: samples a second, set in the device where it has such a setting; default: the model's rate.
        channels: names of the columns; default: the model's.
        inputs: channels of the device in the order of the columns; default: found by name.
        units: unit of each column; default: the model's, else the kernel's.
        mode: ``buffer``, ``poll``, or ``auto``: the buffer where the device has one that is ready.
        length: scans that the kernel's buffer holds; default: two seconds of them.
        trigger: name of the trigger that starts each scan; default: what is set.
        timeout_s: seconds without a scan until the fault ``silence`` is counted, each time anew.
        device: name of the sensor; default: the pipeline's device.
    """

    live = True

    def __init__(  # noqa: PLR0913 - the parameters are the options that a URL may have
        self,
        location: str,
        *,
        rate_hz: Rate | None = None,
        channels: tuple[str, ...] = (),
        inputs: tuple[str, ...] = (),
        units: tuple[str, ...] = (),
        mode: Mode = "auto",
        length: Annotated[int, msgspec.Meta(ge=2, le=65536)] | None = None,
        trigger: str = "",
        timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0,
        device: str = "",
    ) -> None:
        self.preflight(location, None, mode=mode, length=length, trigger=trigger)
        self._url = f"iio:{location}"
        self._rate_hz, self._mode, self._length, self._trigger = rate_hz, mode, length, trigger
        self._names = {"channels": channels, "inputs": inputs, "units": units}
        self._timeout_s, self._device = timeout_s, device
        self._expected: Input | None = None
        self._closing = threading.Event()
        self._polled: Polled | None = None
        self._folder = kernel.find(location)

    @classmethod
    def preflight(cls, location: str, wanted: Input | None, **options: Any) -> None:
        """See that the options go together, as `edgeml check` does."""
        if not location:
            raise ConfigError("iio: no device", expected="iio:DEVICE, such as iio:device0 or iio:mpu6050")
        for name in ("length", "trigger"):
            if options.get(name) and options.get("mode") == "poll":
                raise ConfigError(
                    f"iio:{location}: option {name!r}", expected="mode=buffer", found="mode=poll"
                )

    @property
    def missed(self) -> int:
        """Deadlines that polling missed."""
        return self._polled.missed if self._polled else 0

    def expect(self, wanted: Input) -> None:
        """What the model was trained with: the default for rate, channels and units."""
        self._expected = wanted

    def __iter__(self) -> Iterator[Block | Fault]:
        with kernel.while_there(self._url, self._folder):
            picked, formula, wanted = self._plan()
        if self._buffers(picked):
            yield from self._scans(picked, formula, wanted)
        else:
            yield from self._poll(picked, formula, wanted)

    def close(self) -> None:
        """End the iteration; may be called twice, and from any thread."""
        self._closing.set()

    def _plan(self) -> tuple[list[Channel], Formula, BufferSettings]:
        """Which channels are read, how their numbers become values, and how often."""
        there = kernel.channels(self._folder)
        if not there:
            raise Retry(f"{self._url}: no channel to read", found=str(self._folder))
        chosen = columns(self._url, [(c.name, c.unit) for c in there], self._expected, **self._names)
        picked = [there[index] for index in chosen.picked]
        rate_hz = settled_rate_hz(self._url, self._rate_hz, self._expected)
        wanted = BufferSettings(rate_hz, self._length, self._trigger)
        if self._expected:
            wanted = replace(wanted, tolerance=self._expected.rate_tolerance)
        return picked, Formula(picked, chosen), wanted

    def _buffers(self, picked: Sequence[Channel]) -> bool:
        """Whether the kernel's buffer is used; `mode` decides, or what the device has."""
        if self._mode != "auto":
            return self._mode == "buffer"
        trigger = self._folder / "trigger/current_trigger"
        missing = {channel.element for channel in picked} - set(kernel.scan_order(self._folder))
        ready = (
            not missing
            and os.access(Path("/dev") / self._folder.name, os.R_OK)
            and os.access(self._folder / "buffer/enable", os.W_OK)
            and bool(self._trigger or not trigger.exists() or kernel.text(trigger))
        )
        _LOG.info("%s: reading %s", self._url, "the kernel's buffer" if ready else "each sample from sysfs")
        return ready

    def _poll(
        self, picked: Sequence[Channel], formula: Formula, wanted: BufferSettings
    ) -> Iterator[Block | Fault]:
        attributes = Attributes(self._url)
        polled = Polled(self._url, wanted.rate_hz, formula.names, self._device, self._closing)
        self._polled = polled
        try:
            with kernel.while_there(self._url, self._folder):
                ensure_rate(attributes, self._folder, [channel.element for channel in picked], wanted)
                opened = Readings(self._url, self._folder, picked)
            with opened as readings:
                yield from polled.blocks(lambda: formula(readings.values()))
        finally:
            attributes.restore()

    def _scans(
        self, picked: Sequence[Channel], formula: Formula, wanted: BufferSettings
    ) -> Iterator[Block | Fault]:
        with kernel.while_there(self._url, self._folder):
            opened = Buffer(self._url, self._folder, [channel.element for channel in picked], wanted)
        with opened as buffer:
            track = Track(buffer, formula.names, self._device)
            heard_s = time.monotonic()
            while not self._closing.is_set():
                scans = buffer.read()
                if scans is not None and len(scans):
                    heard_s = time.monotonic()
                    yield from track.blocks(formula(buffer.numbers(scans, picked)), buffer.stamps(scans))
                elif time.monotonic() - heard_s > self._timeout_s:
                    heard_s = time.monotonic()
                    track.gap = True
                    detail = f"no scan for {self._timeout_s:g} s"
                    yield Fault("silence", detail=detail, device=self._device)
