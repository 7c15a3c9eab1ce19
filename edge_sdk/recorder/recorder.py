"""From sources into a dataset folder: every sample is in a recording, or in the books with a reason."""

from __future__ import annotations

import queue
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_sdk import assembly, plugins
from edge_sdk.blocks import boottime_s
from edge_sdk.config import From
from edge_sdk.contract import Channel
from edge_sdk.dataset.naming import check_name
from edge_sdk.edges import Junction
from edge_sdk.errors import EdgeError
from edge_sdk.feed import Feed
from edge_sdk.outlet import Arrival, Outlet
from edge_sdk.recorder.intake import Intake, as_input
from edge_sdk.recorder.report import Report, Settings
from edge_sdk.recorder.takes import Takes
from edge_sdk.recorder.timeline import Timeline
from edge_sdk.roster import RosterSettings

#: The loop looks up so often, s.
_LOOK_S = 0.1
#: So long a source is waited for at the end, s.
_END_S = 2.0


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
        self.takes = Takes(settings, self.report)
        self._intake = Intake(self.takes, timeline, settings, self.report)
        self.devices = self._intake.devices
        self._requests: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._failure: EdgeError | None = None
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
        return next(
            (f"{name}: {what}" for name, what in (*problems, *self._intake.troubled.items()) if what), None
        )

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
                    self._intake.take_in(arrival)
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
                    self._intake.take_in(arrival)
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
                feed.expected = as_input(wanted, known.rate_hz if known is not None else None)
            feed.outlets.append(Outlet(feed, self._junction, assembly.source_edge(part, live)))
            feeds.append(feed)
        return feeds

    def _ended(self, error: EdgeError | None) -> None:
        if error is not None:
            self._fail(error)

    def _fail(self, error: EdgeError) -> None:
        self._failure = self._failure or error
