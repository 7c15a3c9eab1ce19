"""``synthetic:WAVEFORM`` is a sensor that does not exist: any number of devices, and any fault on demand."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_sdk.blocks import Block, Fault, boottime_s
from edge_sdk.closing import Closing
from edge_sdk.contract import Input
from edge_sdk.errors import ConfigError, Retry
from edge_sdk.sources._mishaps import Course, Mishap, Victim
from edge_sdk.sources._polled import settled_rate_hz
from edge_sdk.sources._waveforms import Wave, table, waves

#: What one block holds where nothing else is said: a tenth of a second.
_BLOCK_S = 0.1
#: Blocks from where one device is in the signal to where the next one is; a prime.
_STRIDE = 1009
#: Sleeping for less costs more than it gains.
_SHORTEST_WAIT_S = 0.0005
_OF_EACH = ("silence", "garbage", "stuck", "range", "nan", "rate", "jitter")
_OF_ALL = ("unplug", "hang")


class Source(Closing):
    """Waveforms at a steady rate, with faults by chance or by the clock; the same ones for the same seed.

    The location is a waveform, or one for each channel: ``sine``, ``square``, ``saw``, ``impulse``,
    ``noise``, ``walk``, ``constant``. The signal repeats after 30,000 samples. Numbers that differ between
    channels are written as lists: ``amplitude=1,0.5,2``.

    A fault's option says when, how long and how badly: ``0.01`` begins with every hundredth block by chance,
    ``30s`` every 30 s, ``30s/2s`` for 2 s each time instead of a single block, ``30s/2s/5`` with 5 as its
    size. It happens to each device by itself; ``unplug`` and ``hang`` happen to all.

    Args:
        location: the waveform; default: ``sine``.
        channels: their names; default: the model's.
        rate_hz: samples a second; default: the model's rate.
        devices: so many, named device-0001, device-0002, …, a bit later each; 0: a single one.
        device: name of the single device, or what the names of several begin with.
        seconds: how long each lasts; default: for ever.
        speed: 1 is real time, 10 ten times as fast, ``max`` (or 0) as fast as the model can.
        block: samples a block; default: a tenth of a second.
        seed: of noise, walks and chance.
        amplitude: default: half of what the model's range allows, else 1.
        freq_hz: periods a second; default: one in 50 samples.
        phase: where in a period a channel begins, 0 to 1; default: spread over the channels.
        noise: standard deviation of normal noise; default: a hundredth of the amplitude.
        offset: default: the middle of the model's range, else 0.
        silence: fault: nothing comes, and the samples are lost.
        garbage: fault: what comes cannot be read.
        stuck: fault: the values stay as they are.
        range: fault: the values are out of range; size: so many amplitudes beyond what they should be (10).
        nan: fault: the values are no numbers.
        rate: fault: the sensor runs at another rate than it says; size: the share of it (0.8).
        jitter: fault: blocks come late and are stamped so; size: by at most so many seconds (2).
        unplug: fault: the connection breaks; opened again, the sensor begins anew.
        hang: fault: reading blocks, and then everything comes at once.
    """

    live = False

    def __init__(  # noqa: PLR0913 - the parameters are the options that a URL may have
        self,
        location: str = "sine",
        *,
        channels: tuple[str, ...] = (),
        rate_hz: Annotated[float, msgspec.Meta(gt=0)] | None = None,
        devices: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 0,
        device: str = "",
        seconds: Annotated[float, msgspec.Meta(gt=0)] | None = None,
        speed: Annotated[float, msgspec.Meta(ge=0)] | Literal["max"] = 1.0,
        block: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None,
        seed: Annotated[int, msgspec.Meta(ge=0)] = 0,
        amplitude: float | tuple[float, ...] | None = None,
        freq_hz: float | tuple[float, ...] | None = None,
        phase: float | tuple[float, ...] | None = None,
        noise: float | tuple[float, ...] | None = None,
        offset: float | tuple[float, ...] | None = None,
        silence: float | str = 0,
        garbage: float | str = 0,
        stuck: float | str = 0,
        range: float | str = 0,  # noqa: A002 - the option's name
        nan: float | str = 0,
        rate: float | str = 0,
        jitter: float | str = 0,
        unplug: float | str = 0,
        hang: float | str = 0,
    ) -> None:
        self.speed = 0.0 if speed == "max" else float(speed)
        self.live = self.live_with(speed=speed)
        self.kinds = tuple(location.split(",")) if location else ("sine",)
        self.channels, self.rate_hz, self.block, self.seed = channels, rate_hz, block, seed
        self.seconds, self.devices, self.device = seconds, devices, device
        self._numbers = {
            "amplitude": amplitude, "freq_hz": freq_hz, "phase": phase, "noise": noise, "offset": offset,
        }  # fmt: skip
        self._faults = {
            "silence": silence, "garbage": garbage, "stuck": stuck, "range": range, "nan": nan, "rate": rate,
            "jitter": jitter, "unplug": unplug, "hang": hang,
        }  # fmt: skip
        #: Blocks that came more than their own length late: the reader did not keep up.
        self.missed = 0
        self._expected: Input | None = None
        self._closing = threading.Event()

    @classmethod
    def live_with(cls, **options: Any) -> bool:
        """Whether samples come in real time with these options."""
        return options.get("speed", 1.0) not in ("max", 0)

    @classmethod
    def many_with(cls, **options: Any) -> bool:
        """Whether it is more than one device."""
        return int(options.get("devices", 0)) > 1

    def expect(self, wanted: Input) -> None:
        """What the model was trained with: the default for channels, rate, amplitude and offset."""
        self._expected = wanted

    @classmethod
    def preflight(cls, location: str, wanted: Input | None, **options: Any) -> None:
        """Compute the signal, as `edgeml check` does.

        Raises:
            ConfigError: an option is wrong, or nothing says the channels or the rate.
        """
        with cls(location, **options) as source:
            source._expected = wanted
            source._crowd(source.signal())
            source._courses(_OF_ALL, "")

    @property
    def names(self) -> tuple[str, ...]:
        """The channels, from the option or from the model.

        Raises:
            ConfigError: neither names any.
        """
        names = self.channels or (self._expected.names if self._expected else ())
        if not names:
            raise ConfigError(
                "synthetic: channels is missing",
                remedy="add ?channels=… (a model with a contract tells them by itself)",
            )
        return names

    @property
    def pace(self) -> tuple[float, int]:
        """Samples a second, and samples a block.

        Raises:
            ConfigError: neither an option nor a model tells the rate.
        """
        rate_hz = settled_rate_hz("synthetic", self.rate_hz, self._expected)
        return rate_hz, self.block or max(1, round(rate_hz * _BLOCK_S))

    def signal(self) -> NDArray[np.float32]:
        """All channels up to where they repeat: float32 [n, channels], read-only; what a single device sends.

        Raises:
            ConfigError: an option is wrong, or nothing says the channels or the rate.
        """
        rate_hz, size = self.pace
        return table(self._waves(), rate_hz, size, self.seed)

    def __iter__(self) -> Iterator[Block | Fault]:
        signal, names, (rate_hz, size) = self.signal(), self.names, self.pace
        block_s = size / rate_hz
        total = None if self.seconds is None else max(1, round(self.seconds * rate_hz))
        crowd, shared, lap = self._crowd(signal), self._courses(_OF_ALL, "all"), 0
        started_s, started_wall_s, started = boottime_s(), time.time(), time.monotonic()
        queue = [(victim.due_s(), place) for place, victim in enumerate(crowd)]
        heapq.heapify(queue)
        while queue:
            due_s, place = queue[0]
            while shared and lap * block_s < due_s:
                self._befall(shared, lap, block_s)
                lap += 1
            if self.speed:
                self._wait(started + due_s / self.speed, block_s)
            if self._closing.is_set():
                return
            victim = crowd[place]
            first = victim.block * size
            row = (first + victim.shift) % len(signal)
            samples, end = signal[row : row + size], False
            if total is not None and first + size >= total:
                samples, end = samples[: total - first], True
            at_s = due_s - block_s
            block = Block(
                samples, rate_hz, names, victim.name, started_s + at_s, started_wall_s + at_s, victim.gap, end
            )
            found = victim.spoiled(block) if victim.courses else block
            if found is not None:
                yield found
            victim.block += 1
            if end:
                heapq.heappop(queue)
            else:
                heapq.heapreplace(queue, (victim.due_s(), place))

    def close(self) -> None:
        """End the iteration; may be called twice, and from any thread."""
        self._closing.set()

    def _waves(self) -> tuple[Wave, ...]:
        """What each channel does; its range where the model knows one."""
        wanted = self._expected.channels if self._expected else ()
        known = {channel.name: channel.range for channel in wanted}
        ranges = [known.get(name) for name in self.names]
        return waves(self.kinds, self._numbers, ranges, self.pace[0])

    def _crowd(self, signal: NDArray[np.float32]) -> list[Victim]:
        """Every device, each elsewhere in the signal, their blocks one after the other."""
        rate_hz, size = self.pace
        blocks, block_s, digits = len(signal) // size, size / rate_hz, max(4, len(str(self.devices)))
        names = [self.device]
        if self.devices:
            names = [f"{self.device or 'device'}-{n:0{digits}}" for n in np.arange(1, self.devices + 1)]
        reach = np.array([wave.amplitude or 1.0 for wave in self._waves()], np.float32)
        crowd = []
        for n, name in enumerate(names):
            victim = Victim(name, self._courses(_OF_EACH, name), reach)
            victim.shift = n * _STRIDE % blocks * size
            victim.block_s, victim.begins_s = block_s, n / len(names) * block_s
            crowd.append(victim)
        return crowd

    def _courses(self, faults: Sequence[str], whose: str) -> tuple[Course, ...]:
        rate_hz, size = self.pace
        found = (Mishap.parse(name, self._faults[name], size / rate_hz) for name in faults)
        return tuple(Course(mishap, f"{self.seed}/{whose}") for mishap in found if mishap is not None)

    def _befall(self, courses: Sequence[Course], lap: int, block_s: float) -> None:
        """What happens to the connection, and so to all."""
        for course in courses:
            if course.begins(lap):
                if course.mishap.name == "unplug":
                    raise Retry("synthetic: unplugged", found=f"its option unplug={self._faults['unplug']}")
                self._closing.wait(course.mishap.lasts * block_s)

    def _wait(self, until: float, block_s: float) -> None:
        """Sleep until a moment of the monotonic clock, or until closed."""
        late_s = time.monotonic() - until
        if late_s * self.speed > block_s:
            self.missed += 1
        if late_s < -_SHORTEST_WAIT_S:
            self._closing.wait(-late_s)
