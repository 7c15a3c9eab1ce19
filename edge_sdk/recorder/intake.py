"""What a source gives, on its way into takes: in the dataset's columns, held to its sensor, under a label."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge_sdk.blocks import Block, Fault, boottime_s
from edge_sdk.contract import Channel, Input
from edge_sdk.dataset.facts import RATE_TOLERANCE
from edge_sdk.errors import EdgeError, SpecError
from edge_sdk.outlet import Arrival
from edge_sdk.recorder.report import Report, Settings
from edge_sdk.recorder.takes import Takes
from edge_sdk.recorder.timeline import Timeline
from edge_sdk.watch import SensorWatch, Watched

#: Seconds that the live view shows.
SHOWN_S = 6.0


@dataclass(slots=True)
class Device:
    """What is known of one device.

    Attributes:
        recent: its last samples, for the view: pieces of float32 [n, channels].
        rate_hz: of them.
    """

    name: str
    rate_hz: float
    watched: Watched = field(default_factory=Watched)
    number: int | None = None
    recent: deque[NDArray[np.float32]] = field(default_factory=deque)
    kept: int = 0

    def show(self, samples: NDArray[np.float32]) -> None:
        """Remember them for the view."""
        self.recent.append(samples)
        self.kept += len(samples)
        while self.kept - len(self.recent[0]) > SHOWN_S * self.rate_hz:
            self.kept -= len(self.recent.popleft())


class Intake:
    """What becomes of what sources give: every sample is in a take, or in the books with a reason.

    Args:
        takes: that it fills.
        timeline: the labels.
        settings: what the sensors are held to.
        report: the books.

    Attributes:
        devices: by name.
    """

    def __init__(self, takes: Takes, timeline: Timeline, settings: Settings, report: Report) -> None:
        self.devices: dict[str, Device] = {}
        self._takes, self._timeline, self._settings, self._report = takes, timeline, settings, report
        self._watch: SensorWatch | None = None
        self._rate_hz = 0.0

    @property
    def troubled(self) -> dict[str, str]:
        """What is wrong with a device now, by its name."""
        return dict(self._watch.troubled) if self._watch else {}

    def take_in(self, arrival: Arrival) -> None:
        """Samples, a fault, or something that cannot be recorded.

        Raises:
            SpecError: it does not fit what is recorded.
            EdgeError: the disk takes no more.
        """
        item = arrival.item
        if isinstance(item, Block):
            before = self._report.samples.read
            try:
                self._push(item, arrival)
            except EdgeError:
                self._report.samples.write_off(before, len(item.samples))
                raise
        elif isinstance(item, Fault):
            self._report.samples.drop(item.samples, "fault")
            if item.samples or item.gap:
                self._takes.finish(item.device)
        else:
            raise SpecError(
                f"source {arrival.feed.name}",
                expected="blocks of samples",
                found="predictions",
                remedy="firmware that infers by itself sends no samples to record",
            )

    def _push(self, block: Block, arrival: Arrival) -> None:
        if block.has_pictures:
            raise SpecError(
                f"source {arrival.feed.name}",
                expected="samples of a signal",
                found="pictures",
                remedy="a pipeline keeps what a model saw: the sink dataset: writes it as pictures",
            )
        if not self._takes.channels:
            self._begin(block)
        assert self._watch is not None
        samples = self._ordered(block, arrival.feed.name)
        self._report.samples.read += len(samples)
        device = self.devices.setdefault(block.device, Device(block.device, block.rate_hz))
        if block.gap or (device.number is not None and arrival.number != device.number + 1):
            self._takes.finish(device.name)
            device.watched.restart()
        device.number = arrival.number
        for fault in self._watch.begun(device.watched, block, samples, live=arrival.feed.live):
            self._report.faults[fault.reason] += 1
            arrival.feed.note(fault)
        device.show(samples)
        for start, end, label in self._labelled(block, samples, arrival.feed.live):
            self._keep(device.name, samples[start:end], label, block)
        if block.end:
            self._takes.finish(device.name)

    def _labelled(
        self, block: Block, samples: NDArray[np.float32], live: bool
    ) -> list[tuple[int, int, str | None]]:
        """The pieces of a block; a recording that is replayed has the label of the moment."""
        if live:
            return list(self._timeline.pieces(block.time_s, block.rate_hz, len(samples)))
        return [(0, len(samples), self._timeline.at(boottime_s()))]

    def _keep(self, device: str, samples: NDArray[np.float32], label: str | None, block: Block) -> None:
        """Samples of one label; those that are no numbers, or out of range, end a take."""
        assert self._watch is not None
        books = self._report.samples
        if label is None:
            self._takes.finish(device)
            books.dropped["paused"] += len(samples)
            return
        good = self._watch.good(samples)
        inner = [] if good is None else (np.flatnonzero(np.diff(good)) + 1).tolist()
        for start, end in zip([0, *inner], [*inner, len(samples)], strict=True):
            piece = samples[start:end]
            if good is None or good[start]:
                self._takes.append(device, piece, label, block)
            else:
                self._takes.finish(device)
                self._report.faults[self._watch.describe(piece)] += 1
                books.dropped["fault"] += len(piece)

    def _begin(self, block: Block) -> None:
        self._takes.begin(block)
        self._rate_hz = block.rate_hz
        self._watch = SensorWatch(self._settings.sensor, as_input(self._takes.channels, block.rate_hz))

    def _ordered(self, block: Block, source: str) -> NDArray[np.float32]:
        """The columns of the dataset, in its order: float32 [n, channels]."""
        names = tuple(channel.name for channel in self._takes.channels)
        if abs(block.rate_hz / self._rate_hz - 1) > RATE_TOLERANCE:
            raise SpecError(
                f"source {source}: rate",
                expected=f"{self._rate_hz:g} Hz",
                found=f"{block.rate_hz:g} Hz",
                remedy="record sources of unlike rates into folders of their own",
            )
        samples = block.samples
        if block.channels and block.channels != names:
            if not set(names) <= set(block.channels):
                raise SpecError(
                    f"source {source}: channels",
                    expected=", ".join(names),
                    found=", ".join(block.channels),
                    remedy="record sources of unlike channels into folders of their own",
                )
            samples = samples[:, [block.channels.index(name) for name in names]]
        if samples.ndim != 2 or samples.shape[1] != len(names):
            raise SpecError(
                f"source {source}", expected=f"[n, {len(names)}] samples", found=list(samples.shape)
            )
        return np.ascontiguousarray(samples, np.float32)


def as_input(channels: tuple[Channel, ...], rate_hz: float | None) -> Input:
    """What a source and a watch are told of the samples; the rate is None where it is not known yet."""
    return Input(channels=channels, rate_hz=rate_hz, window=1, hop=1, layout="TC")
