"""From sources into a dataset folder: every sample is in a recording, or in the books with a reason."""

from __future__ import annotations

import queue
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk import assembly, plugins
from edge_sdk.blocks import Block, Fault, boottime_s
from edge_sdk.config import From
from edge_sdk.contract import Channel, Input
from edge_sdk.dataset.collection import check_name
from edge_sdk.dataset.facts import RATE_TOLERANCE
from edge_sdk.edges import Junction
from edge_sdk.errors import EdgeError, SpecError
from edge_sdk.feed import Feed
from edge_sdk.outlet import Arrival, Outlet
from edge_sdk.recorder.report import Report, Settings
from edge_sdk.recorder.takes import Takes
from edge_sdk.recorder.timeline import Timeline
from edge_sdk.roster import RosterSettings
from edge_sdk.watch import SensorWatch, Watched

#: The loop looks up so often, s.
_LOOK_S = 0.1
#: Seconds that the live view shows.
SHOWN_S = 6.0
#: So long a source is waited for at the end, s.
_END_S = 2.0


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


class Recorder:
    """Records sources under the labels of a timeline.

    Args:
        sources: URLs, `From` with options, or open sources.
        timeline: the labels.
        settings: where to and how.
        folder: where relative paths in URLs begin.

    Attributes:
        report: so far; may be read from another thread.
        devices: by name.
        takes: what is open.
    """

    def __init__(
        self, sources: Sequence[Any], timeline: Timeline, settings: Settings, folder: Path | None = None
    ) -> None:
        if settings.group is not None:
            check_name(settings.group)
        self.timeline, self.settings, self.report = timeline, settings, Report()
        self.devices: dict[str, Device] = {}
        self.takes = Takes(settings, self.report)
        self._requests: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._failure: EdgeError | None = None
        self._watch: SensorWatch | None = None
        self._rate_hz = 0.0
        self._junction: Junction[Arrival] = Junction()
        parts = [each if isinstance(each, From) else From(each) for each in sources]
        self._feeds = self._build(parts, folder or Path())
        self.takes.name_devices = settings.group is not None and (
            len(parts) > 1 or any(feed.many for feed in self._feeds)
        )

    @property
    def channels(self) -> tuple[Channel, ...]:
        """What is recorded; nothing before the first block."""
        return self.takes.channels

    @property
    def faults(self) -> Counter[str]:
        """Of the sources and of their samples, counted by reason."""
        return sum((feed.faults for feed in self._feeds), self.report.faults.copy())

    @property
    def trouble(self) -> str | None:
        """What is wrong now, in a few words."""
        problems = ((state.name, state.problem) for state in [feed.state() for feed in self._feeds])
        troubled = dict(self._watch.troubled) if self._watch else {}
        return next((f"{name}: {what}" for name, what in (*problems, *troubled.items()) if what), None)

    def stop(self) -> None:
        """Finish what is open and return from `run`; from any thread, or from a signal's handler."""
        self._requests.put("stop")

    def undo(self) -> None:
        """Throw away what is open, or the last recording where nothing is; from any thread."""
        self._requests.put("undo")

    def run(self, duration_s: float | None = None) -> Report:
        """Record until the sources end, `stop` is called, or the time is over.

        Raises:
            EdgeError: a source or the disk failed for good. What was finished before stays, and what had been
                begun is finished by the next recorder into that folder.
        """
        deadline = float("inf") if duration_s is None else time.monotonic() + duration_s
        for feed in self._feeds:
            feed.thread.start()
        try:
            while time.monotonic() < deadline and not self._must_stop():
                arrivals = self._junction.take(16, min(_LOOK_S, max(0.0, deadline - time.monotonic())))
                if arrivals is None:
                    break
                for arrival in arrivals:
                    self._take_in(arrival)
                for feed in self._feeds:
                    feed.check_silence(self.settings.sensor.silence_s)
        except EdgeError as error:
            self._fail(error)
        self._end()
        if self._failure is not None:
            self._failure.report = self.report
            raise self._failure
        return self.report

    def _must_stop(self) -> bool:
        while not self._requests.empty():
            if self._requests.get() == "stop":
                return True
            self.takes.undo()
            self.timeline.set(None, boottime_s())
        return self._failure is not None

    def _end(self) -> None:
        for feed in self._feeds:
            feed.stop()
        ends_s = time.monotonic() + _END_S
        for feed in self._feeds:
            feed.thread.join(max(0.0, ends_s - time.monotonic()))
        self._junction.close()
        try:
            # What was read before the stop belongs into the recordings, too.
            while self._failure is None and (arrivals := self._junction.take(64, 0.0)):
                for arrival in arrivals:
                    self._take_in(arrival)
        except EdgeError as error:
            self._fail(error)
        self._junction.discard("stopped")
        try:
            self.takes.close()
        except EdgeError as error:
            self._fail(error)
        self.report.faults = self.faults
        for outlet in (outlet for feed in self._feeds for outlet in feed.outlets):
            self.report.samples.add(outlet.samples)

    def _take_in(self, arrival: Arrival) -> None:
        item = arrival.item
        if isinstance(item, Block):
            before = self.report.samples.read
            try:
                self._push(item, arrival)
            except EdgeError:
                self.report.samples.write_off(before, len(item.samples))
                raise
        elif isinstance(item, Fault):
            self.report.samples.drop(item.samples, "fault")
            if item.samples or item.gap:
                self.takes.finish(item.device)
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
        if not self.channels:
            self._begin(block)
        assert self._watch is not None
        samples = self._ordered(block, arrival.feed.name)
        self.report.samples.read += len(samples)
        device = self.devices.setdefault(block.device, Device(block.device, block.rate_hz))
        if block.gap or (device.number is not None and arrival.number != device.number + 1):
            self.takes.finish(device.name)
            device.watched.restart()
        device.number = arrival.number
        for fault in self._watch.begun(device.watched, block, samples, live=arrival.feed.live):
            self.report.faults[fault.reason] += 1
            arrival.feed.note(fault)
        device.show(samples)
        for start, end, label in self._labelled(block, samples, arrival.feed.live):
            self._keep(device.name, samples[start:end], label, block)
        if block.end:
            self.takes.finish(device.name)

    def _labelled(
        self, block: Block, samples: NDArray[np.float32], live: bool
    ) -> list[tuple[int, int, str | None]]:
        """The pieces of a block; a recording that is replayed has the label of the moment."""
        if live:
            return list(self.timeline.pieces(block.time_s, block.rate_hz, len(samples)))
        return [(0, len(samples), self.timeline.at(boottime_s()))]

    def _keep(self, device: str, samples: NDArray[np.float32], label: str | None, block: Block) -> None:
        """Samples of one label; those that are no numbers, or out of range, end a take."""
        assert self._watch is not None
        books = self.report.samples
        if label is None:
            self.takes.finish(device)
            books.dropped["paused"] += len(samples)
            return
        good = self._watch.good(samples)
        inner = [] if good is None else (np.flatnonzero(np.diff(good)) + 1).tolist()
        for start, end in zip([0, *inner], [*inner, len(samples)], strict=True):
            piece = samples[start:end]
            if good is None or good[start]:
                self.takes.append(device, piece, label, block)
            else:
                self.takes.finish(device)
                self.report.faults[self._watch.describe(piece)] += 1
                books.dropped["fault"] += len(piece)

    def _begin(self, block: Block) -> None:
        self.takes.begin(block)
        self._rate_hz = block.rate_hz
        self._watch = SensorWatch(self.settings.sensor, _input(self.channels, block.rate_hz))

    def _ordered(self, block: Block, source: str) -> NDArray[np.float32]:
        """The columns of the dataset, in its order: float32 [n, channels]."""
        names = tuple(channel.name for channel in self.channels)
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

    def _build(self, parts: Sequence[From], folder: Path) -> list[Feed]:
        names = assembly.distinct([part.name or assembly.name_of(part.source) for part in parts])
        feeds = []
        for number, (name, part) in enumerate(zip(names, parts, strict=True), start=1):
            live = plugins.says(part.source, part.options, "live")
            opened = assembly.source_opener(part, folder)
            feed = Feed(name, opened, RosterSettings(), self._ended)
            feed.reopens, feed.live = isinstance(part.source, str), live
            feed.many = plugins.says(part.source, part.options, "many")
            feed.device = self.settings.device if len(parts) == 1 else f"{self.settings.device}-{number}"
            known = self.takes.known
            if known is not None or self.settings.channels:
                wanted = known.channels if known is not None else self.settings.channels
                feed.expected = _input(wanted, known.rate_hz if known is not None else None)
            feed.outlets.append(Outlet(feed, self._junction, assembly.source_edge(part, live)))
            feeds.append(feed)
        return feeds

    def _ended(self, error: EdgeError | None) -> None:
        if error is not None:
            self._fail(error)

    def _fail(self, error: EdgeError) -> None:
        self._failure = self._failure or error


def _input(channels: tuple[Channel, ...], rate_hz: float | None) -> Input:
    return Input(channels=channels, rate_hz=rate_hz, window=1, hop=1, layout="TC")
