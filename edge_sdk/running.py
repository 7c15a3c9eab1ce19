"""One run of a pipeline: its threads, when they stop, and how the books are closed."""

from __future__ import annotations

import gc
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge_sdk.books import Books, Parcel
from edge_sdk.clock import ClockState
from edge_sdk.delivery import Delivery
from edge_sdk.errors import DeviceError, EdgeError, one_line
from edge_sdk.feed import Feed
from edge_sdk.ledger import Ledger, Samples
from edge_sdk.metrics import Histogram
from edge_sdk.snapshot import Snapshot
from edge_sdk.waiting import MemoryShelf

if TYPE_CHECKING:
    from edge_sdk.outbox import Outbox
    from edge_sdk.thinking import Thinking

_LOG = logging.getLogger("edgeml")

#: How long a thread may make no progress while the run drains, s, and how long sinks get to open.
DRAIN_S = 5.0
_OPEN_S = 10.0
#: How long a source gets to end after it was closed, s.
_END_S = 2.0
#: How often the sources are looked at, s.
_LOOK_S = 0.5


@dataclass(slots=True)
class Report:
    """What a run did.

    Attributes:
        run_id: the same as in its predictions; of the first model, where there are several.
        ledger: the books; `ledger.balanced` says whether they add up.
        latency_us: ``p50 p90 p99 max`` of the model's invoke for one window, µs.
        block_to_sink_us: the same from a block's arrival to the sink's acknowledgement, µs.
        predictions: how many there were.
        duration_s: how long it ran.
        missed: deadlines that sources missed.
        retries: how often a sink had to be tried again.
    """

    run_id: str
    ledger: Ledger = field(default_factory=Ledger)
    latency_us: dict[str, float] = field(default_factory=dict)
    block_to_sink_us: dict[str, float] = field(default_factory=dict)
    predictions: int = 0
    duration_s: float = 0.0
    missed: int = 0
    retries: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The keys of ``edgeml run --json``."""
        return {
            "run_id": self.run_id,
            "predictions": self.predictions,
            "ledger": self.ledger.as_dict(),
            "latency_us": self.latency_us,
            "block_to_sink_us": self.block_to_sink_us,
            "duration_s": round(self.duration_s, 3),
            "missed": self.missed,
            "retries": self.retries,
        }


class Running:
    """The threads of one run: sources → models → sinks.

    Args:
        device: the pipeline's name.
        once: stop after the first prediction that a sink wants.
        silence_s: a live source that sends nothing for so long is silent.
        requests: ``stop`` may be put here from any thread or signal handler.

    Attributes:
        failure: what ended the run, where something did.
    """

    def __init__(
        self, device: str, *, once: bool, silence_s: float, requests: queue.SimpleQueue[str]
    ) -> None:
        self.device = device
        self.failure: EdgeError | None = None
        self.books = Books()
        self.feeds: list[Feed] = []
        self.models: list[Thinking] = []
        self.deliveries: list[Delivery] = []
        self.outbox: Outbox | None = None
        self._requests, self._once, self._silence_s = requests, once, silence_s
        self._started_s = time.monotonic()
        self._enough = False
        self._progress = 0
        self._clock = ClockState()

    def supervise(self, duration_s: float | None) -> None:
        """Start everything; return when it is time to stop."""
        deadline = float("inf") if duration_s is None else self._started_s + duration_s
        for delivery in self.deliveries:
            delivery.thread.start()
        for delivery in self.deliveries:
            delivery.tried.wait(_OPEN_S)
        if not self._requests.empty() and self._must_stop(self._requests.get()):
            return
        gc.collect()
        gc.freeze()
        for model in self.models:
            model.thread.start()
        for feed in self.feeds:
            feed.thread.start()
        self._wait(len(self.feeds), deadline)

    def _wait(self, running: int, deadline: float) -> None:
        """Until all sources have ended, something asks to stop, or the time is over."""
        while running:
            try:
                request = self._requests.get(timeout=min(_LOOK_S, max(0.0, deadline - time.monotonic())))
            except queue.Empty:
                if time.monotonic() >= deadline:
                    return
                for feed in self.feeds:
                    feed.check_silence(self._silence_s)
                continue
            if self._must_stop(request):
                return
            running -= request == "ended"

    def shut_down(self) -> Report:
        """Let everything that was read go through, as long as it moves; close the books."""
        for feed in self.feeds:
            feed.stop()
        _join([feed.thread for feed in self.feeds], lambda: 0, _END_S)
        for model in self.models:
            model.junction.close()
            if self._enough:
                model.junction.discard("stopped")
        thinking = [model.thread for model in self.models]
        if not _join(thinking, lambda: (self._taken, self._settled), DRAIN_S):
            # A sink that takes nothing holds the model's thread back: it may not any longer.
            for delivery in self.deliveries:
                delivery.finish()
            if not _join(thinking, lambda: self._taken, _END_S):
                hung = ", ".join(model.name for model in self.models if model.thread.is_alive())
                self._note(DeviceError(f"model {hung} does not come back", remedy="see its target"))
        for delivery in self.deliveries:
            delivery.finish()
        _join([delivery.thread for delivery in self.deliveries], lambda: self._settled, DRAIN_S)
        gc.unfreeze()
        for delivery in self.deliveries:
            delivery.abandon()
        return self._report()

    def snapshot(self) -> Snapshot:
        """The run at this moment; from any thread."""
        stuck = [model for model in self.models if not model.moves()]
        if not stuck:
            self._progress += 1
        return Snapshot(
            device=self.device,
            uptime_s=time.monotonic() - self._started_s,
            ready=all(feed.tried.is_set() for feed in self.feeds)
            and all(delivery.tried.is_set() for delivery in self.deliveries),
            progress=self._progress,
            clock_synced=self._clock.synced(),
            ledger=self._settled_ledger(),
            sources=[feed.state() for feed in self.feeds],
            models=[model.state() for model in self.models],
            sinks=[delivery.state() for delivery in self.deliveries],
            outbox=None if self.outbox is None else self.outbox.state(),
            recent=sorted((p for model in self.models for p in tuple(model.recent)), key=lambda p: p.time_s),
        )

    def ledger(self) -> Ledger:
        """The books so far."""
        ledger = Ledger(queued=self._owed(), lost=self.books.lost)
        ledger.predictions = self.books.predictions  # last: what comes meanwhile must not be missing there
        ledger.sinks = {delivery.name: delivery.shelf.account for delivery in self.deliveries}
        ledger.delivered = ledger.predictions - ledger.lost - ledger.queued
        received = Samples()
        for nth, model in enumerate(self.models):
            samples = Samples()
            outlets = [feed.outlets[nth] for feed in self.feeds if nth < len(feed.outlets)]
            for books in (model.inference.samples, *(outlet.samples for outlet in outlets)):
                samples.add(books)
            for books in (model.inference.received, *(outlet.received for outlet in outlets)):
                received.add(books)
            ledger.samples.add(samples)
            ledger.faults += model.inference.noticed
            if len(self.models) > 1:
                ledger.models[model.name] = samples
            if model.fusion is not None:
                ledger.fusion = ledger.fusion or Samples()
                ledger.fusion.add(model.fusion.samples)
                ledger.faults += model.fusion.faults
        if received.read:
            ledger.received = received
        for feed in self.feeds:
            ledger.faults += feed.faults
        if self.outbox is not None:
            ledger.lost_in_crash = dict(self.outbox.recovered.lost_in_crash)
        return ledger

    def _settled_ledger(self) -> Ledger:
        ledger = self.ledger()
        some = filter(None, (ledger.fusion, ledger.received))
        for samples in (ledger.samples, *ledger.models.values(), *some):
            samples.settle()
        return ledger

    def _owed(self) -> int:
        """Predictions that a sink still owes and none has given up, each counted once."""
        parcels: dict[int, Parcel] = {}
        for delivery in self.deliveries:
            if isinstance(delivery.shelf, MemoryShelf):
                parcels.update((id(parcel), parcel) for parcel in delivery.shelf.owed())
        waiting = [
            parcel
            for parcel in parcels.values()
            if not parcel.lost and (parcel.letter is None or not parcel.letter.lost)
        ]
        if self.outbox is None:
            return len(waiting)
        also = sum(parcel.letter is None or not self.outbox.owes(parcel.letter) for parcel in waiting)
        return also + self.outbox.owed()

    @property
    def _taken(self) -> int:
        return sum(model.taken for model in self.models)

    @property
    def _settled(self) -> int:
        return sum(delivery.settled for delivery in self.deliveries)

    def _must_stop(self, request: Any) -> bool:
        return request in ("stop", "failed")

    def predicted(self, wanted: bool) -> bool:
        """A prediction was made; whether it was the last. From a model's thread."""
        if not self._once or not (wanted or not self.deliveries):
            return False
        self._enough = True
        self._requests.put("stop")
        return True

    def ended(self, error: EdgeError | None) -> None:
        """A source has ended; from its thread."""
        if error is not None:
            self.failed(error)
        self._requests.put("ended")

    def failed(self, error: EdgeError) -> None:
        """Something cannot go on: the run ends; from any thread."""
        self._note(error)
        self._requests.put("failed")

    def _note(self, error: EdgeError) -> None:
        if self.failure is None:
            self.failure = error
        else:
            _LOG.error("%s", one_line(error))

    def _report(self) -> Report:
        report = Report(self.models[0].inference.run_id, self.ledger())
        block_to_sink, invoke = Histogram(), Histogram()
        for model in self.models:
            invoke.merge(model.latency)
        for feed in self.feeds:
            report.missed += feed.missed
        for delivery in self.deliveries:
            block_to_sink.merge(delivery.latency)
            report.retries += delivery.retries
        report.latency_us = invoke.summary()
        report.block_to_sink_us = block_to_sink.summary()
        report.predictions = report.ledger.predictions
        report.duration_s = time.monotonic() - self._started_s
        return report


def _join(threads: Sequence[threading.Thread], progress: Callable[[], Any], patience_s: float) -> bool:
    """Wait for threads as long as something moves; False when nothing did for `patience_s`."""
    moved, last = time.monotonic(), progress()
    alive = [thread for thread in threads if thread.is_alive()]
    while alive:
        alive[0].join(0.05)
        alive = [thread for thread in alive if thread.is_alive()]
        if (now := progress()) != last:
            moved, last = time.monotonic(), now
        elif time.monotonic() - moved > patience_s:
            return not alive
    return True
