"""Joins the channels of several sensors onto one clock.

One source sets the pace: each of its samples becomes one row. Every other channel holds the newest value that
its sensor had sent by then, unless that is too old: then there is no row, and no window spans the hole. This
is what a table join backwards in time with a tolerance does to recordings, so that training can do the same.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge_sdk.blocks import Block, Fault
from edge_sdk.errors import SpecError
from edge_sdk.ledger import Samples
from edge_sdk.roster import Roster, RosterSettings

#: Samples of a held sensor that may wait for the clock's, per device.
_AHEAD = 4096


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """``[fusion]`` of an edgeml.toml.

    Attributes:
        clock: the source that sets the pace, by its name or URL; default: the first.
        max_age_s: how old a held value may be, s.
        by_device: join what carries the same device id; otherwise all sources are one device.
    """

    clock: str | None = None
    max_age_s: float = 1.0
    by_device: bool = False


@dataclass(slots=True)
class _Held:
    """The channels of one sensor: the value that holds now, and those whose time has not come."""

    channels: tuple[str, ...] = ()
    value: NDArray[np.float32] | None = None
    time_s: float = float("-inf")
    ahead: deque[tuple[float, NDArray[np.float32]]] = field(default_factory=deque)


@dataclass(slots=True)
class _Group:
    """The sensors of one device."""

    held: dict[str, _Held]
    gap: bool = False
    last: tuple[str, int | None] = ("", None)
    """Of the clock's block before: its device and number."""


class Fusion:
    """Takes the blocks of several sources and gives those of one.

    Args:
        settings: the clock, and how old a held value may be.
        sources: names of the sources, the clock's among them.
        wanted: names of the channels, in the model's order; empty takes all, the clock's first.
        device: what the joined stream is called.
        devices: how many, and for how long each is remembered.

    Attributes:
        samples: what became of every sample of every sensor: used in a row, pending, or dropped as
            ``superseded`` (a newer one came before the clock's next), ``stale`` (the clock's, where another
            sensor's value was too old), ``missing`` (where it had none yet), ``fault``.
        faults: its own, by reason.
    """

    def __init__(
        self,
        settings: FusionSettings,
        sources: Sequence[str],
        wanted: Sequence[str] = (),
        *,
        device: str = "",
        devices: RosterSettings | None = None,
    ) -> None:
        self.settings, self.device = settings, device
        self.clock = settings.clock or sources[0]
        self.samples = Samples()
        self.faults: Counter[str] = Counter()
        self._others = tuple(name for name in sources if name != self.clock)
        self._wanted = tuple(wanted)
        self._groups: Roster[_Group] = Roster(devices or RosterSettings(), self._begin, self._forget)

    def take(
        self, source: str, item: Block | Fault, now_s: float, number: int | None = None
    ) -> Iterator[Block | Fault]:
        """What one source's block or fault makes of the joined stream.

        Args:
            source: its name.
            item: what it yielded.
            now_s: monotonic time.
            number: counts a device's blocks of that source; where one is missing, blocks were lost.

        Raises:
            SpecError: the sensors together lack a channel of the model.
        """
        device = item.device if self.settings.by_device else self.device
        group = self._groups.get(device, now_s)
        if isinstance(item, Fault):
            self.samples.read += item.samples
            self._drop("fault", item.samples)
            yield Fault(item.reason, 0, item.detail, device)
            if source == self.clock and group is not None:
                group.gap = group.gap or item.gap or item.samples > 0
            return
        if item.has_pictures:
            raise SpecError(f"source {source}", expected="samples of a signal to join", found="pictures")
        self.samples.read += len(item.samples)
        if group is None:
            self._drop("fault", len(item.samples))
            yield Fault("too_many_devices", 0, device=device)
        elif source == self.clock:
            before, group.last = group.last, (item.device, number)
            if before[1] is not None and before[0] == item.device and number != before[1] + 1:
                group.gap = True
            yield from self._rows(group, item, device)
        else:
            self._hold(group.held[source], item)

    def finish(self) -> None:
        """The streams ended: what waits for the clock is given up."""
        for _, group in self._groups:
            self._give_up(group)

    def _rows(self, group: _Group, block: Block, device: str) -> Iterator[Block | Fault]:
        count = len(block.samples)
        times = block.time_s + np.arange(count) / block.rate_hz
        columns: list[NDArray[np.float32]] = []
        names: list[str] = list(block.channels)
        good = np.ones(count, bool)
        missing = stale = None
        for source, held in group.held.items():
            values, ages = self._held_at(held, times)
            if values is None:
                missing = source
                break
            fresh = ages <= self.settings.max_age_s
            if not fresh.all():
                stale = source
                good &= fresh
            columns.append(values)
            names += held.channels
        if missing is not None:
            self._drop("missing", count)
            self.faults["missing"] += 1
            group.gap = True
            return
        if stale is not None:
            self._drop("stale", int(count - good.sum()))
            self.faults["stale"] += 1
            yield Fault("stale", 0, f"{stale}: no value for {self.settings.max_age_s:g} s", device)
        joined = np.concatenate([block.samples, *columns], axis=1, dtype=np.float32)
        order = self._order(tuple(names), device)
        if order is not None:
            joined = joined[:, order]
        channels = self._wanted or tuple(names)
        edges = np.flatnonzero(np.diff(good)) + 1
        group.gap = group.gap or block.gap
        for start, stop in zip([0, *edges], [*edges, count], strict=True):
            if not good[start]:
                group.gap = True
                continue
            self.samples.used += int(stop - start)
            ahead_s = float(start / block.rate_hz)
            yield Block(
                joined[start:stop],
                block.rate_hz,
                channels,
                device,
                block.time_s + ahead_s,
                block.wall_s + ahead_s,
                gap=group.gap,
                end=block.end and stop == count,
            )
            group.gap = False

    def _held_at(
        self, held: _Held, times: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32] | None, NDArray[np.float64]]:
        """The value that held at each time, float32 [n, channels], and its age, s."""
        values: list[NDArray[np.float32] | None] = []
        ages = np.empty(len(times))
        for row, at_s in enumerate(times):
            while held.ahead and held.ahead[0][0] <= at_s:
                self.samples.pending -= 1
                self.samples.used += 1
                held.time_s, held.value = held.ahead.popleft()
                if held.ahead and held.ahead[0][0] <= at_s:
                    self.samples.used -= 1
                    self._drop("superseded", 1)
            values.append(held.value)
            ages[row] = at_s - held.time_s
        if values and values[0] is None:
            return None, ages
        return np.array(values, np.float32), ages

    def _hold(self, held: _Held, block: Block) -> None:
        if held.channels != block.channels:
            held.channels = block.channels or tuple(f"c{i}" for i in range(block.samples.shape[1]))
            self.samples.pending -= len(held.ahead)
            self._drop("superseded", len(held.ahead))
            held.ahead.clear()
            held.value, held.time_s = None, float("-inf")
        for row, sample in enumerate(block.samples):
            if len(held.ahead) >= _AHEAD:  # the clock's sensor is away
                held.ahead.popleft()
                self.samples.pending -= 1
                self._drop("superseded", 1)
            held.ahead.append((block.time_s + row / block.rate_hz, sample))
            self.samples.pending += 1

    def _order(self, names: tuple[str, ...], device: str) -> list[int] | None:
        if not self._wanted or names == self._wanted:
            return None
        missing = [name for name in self._wanted if name not in names]
        if missing:
            raise SpecError(
                f"channels of {device or 'the sources'} together",
                expected=", ".join(self._wanted),
                found=", ".join(names),
                remedy="name each source's columns with its option channels=…",
            )
        return [names.index(name) for name in self._wanted]

    def _begin(self, device: str) -> _Group:
        return _Group({name: _Held() for name in self._others}, gap=True)

    def _forget(self, device: str, group: _Group) -> None:
        self._give_up(group)

    def _give_up(self, group: _Group) -> None:
        for held in group.held.values():
            self.samples.pending -= len(held.ahead)
            self._drop("tail", len(held.ahead))
            held.ahead.clear()

    def _drop(self, reason: str, count: int) -> None:
        if count:
            self.samples.dropped[reason] += count
