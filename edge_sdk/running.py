"""One run of a pipeline: its threads, when they stop, and how the books are closed."""

from __future__ import annotations

import gc
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_sdk.blocks import Fault
from edge_sdk.delivery import Books, Delivery, Parcel, close_books
from edge_sdk.edges import Junction
from edge_sdk.errors import DeviceError, EdgeError, one_line, unexpected
from edge_sdk.feed import Arrival, Feed
from edge_sdk.inference import Inference
from edge_sdk.ledger import Ledger
from edge_sdk.metrics import Histogram

_LOG = logging.getLogger("edgeml")

#: How long a thread may make no progress while the run drains, s, and how long sinks get to open.
DRAIN_S = 5.0
_OPEN_S = 10.0
#: How long a source gets to end after it was closed, s.
_END_S = 2.0


@dataclass(slots=True)
class Report:
    """What a run did.

    Attributes:
        run_id: the same as in its predictions.
        ledger: the books; `ledger.balanced` says whether they add up.
        latency_us: ``p50 p90 p99 max`` of the model's invoke, µs.
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
    """The threads of one run: sources → one inference → sinks.

    Args:
        inference: the model, its windows and its decision.
        once: stop after the first prediction that a sink wants.
        requests: ``stop`` may be put here from any thread or signal handler.

    Attributes:
        failure: what ended the run, where something did.
    """

    def __init__(self, inference: Inference, *, once: bool, requests: queue.SimpleQueue[str]) -> None:
        self.failure: EdgeError | None = None
        self.report = Report(inference.run_id)
        self.books = Books()
        self.junction = Junction[Arrival]()
        self.feeds: list[Feed] = []
        self.deliveries: list[Delivery] = []
        self._requests, self._once = requests, once
        self._started_s = time.monotonic()
        self._latency = Histogram()
        self._inference = inference
        inference.on_latency = self._latency.observe
        self._model_name = inference.model.name
        self._numbers: dict[str, int] = {}
        self._taken = 0
        self._enough = False
        self._thread = threading.Thread(target=self._infer, name=f"model {self._model_name}", daemon=True)

    def supervise(self, duration_s: float | None) -> None:
        """Start everything; return when it is time to stop."""
        deadline = None if duration_s is None else self._started_s + duration_s
        for delivery in self.deliveries:
            delivery.thread.start()
        for delivery in self.deliveries:
            delivery.tried.wait(_OPEN_S)
        if not self._requests.empty() and self._must_stop(self._requests.get()):
            return
        gc.collect()
        gc.freeze()
        self._thread.start()
        for feed in self.feeds:
            feed.thread.start()
        running = len(self.feeds)
        while running:
            try:
                wait_s = None if deadline is None else max(0.0, deadline - time.monotonic())
                request = self._requests.get(timeout=wait_s)
            except queue.Empty:
                return
            if self._must_stop(request):
                return
            running -= request == "ended"

    def shut_down(self) -> Report:
        """Let everything that was read go through, as long as it moves; close the books."""
        for feed in self.feeds:
            feed.stop()
        _join([feed.thread for feed in self.feeds], lambda: 0, _END_S)
        self.junction.close()
        if self._enough:
            self.junction.discard("stopped")
        if not _join([self._thread], lambda: (self._taken, self._settled), DRAIN_S):
            # A sink that takes nothing holds the model's thread back: it may not any longer.
            for delivery in self.deliveries:
                delivery.finish()
            if not _join([self._thread], lambda: self._taken, _END_S):
                self._note(
                    DeviceError(f"model {self._model_name} does not come back", remedy="see its target")
                )
        for delivery in self.deliveries:
            delivery.finish()
        _join([delivery.thread for delivery in self.deliveries], lambda: self._settled, DRAIN_S)
        gc.unfreeze()
        return self._close_books()

    @property
    def _settled(self) -> int:
        return sum(delivery.account.delivered for delivery in self.deliveries)

    def _must_stop(self, request: Any) -> bool:
        return request in ("stop", "failed")

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

    def _infer(self) -> None:
        try:
            while (arrival := self.junction.take()) is not None:
                self._taken += 1
                self._process(arrival)
                if self._enough:
                    break
        except EdgeError as error:
            self.failed(error)
        except Exception as error:  # noqa: BLE001 - a runtime's or our own bug ends the run, in one line
            self.failed(unexpected(f"model {self._model_name}", error))
        finally:
            self.junction.close()
            self.junction.discard("stopped")
            self._inference.finish()

    def _process(self, arrival: Arrival) -> None:
        item = arrival.item
        if isinstance(item, Fault):
            self._inference.fault(item)
            return
        known = self._numbers.get(item.device)
        self._numbers[item.device] = arrival.number
        if known is not None and arrival.number != known + 1:
            item.gap = True
        read = self._inference.samples.read
        try:
            for prediction in self._inference.push(item):
                if self._enough:  # the block completed more windows than the one that was asked for
                    continue
                wanted = [delivery for delivery in self.deliveries if delivery.wants(prediction)]
                parcel = Parcel(prediction, arrival.at_s, len(wanted))
                self.books.sent(parcel)
                for delivery in wanted:
                    delivery.offer(parcel)
                if self._once and (wanted or not self.deliveries):
                    self._enough = True
                    self._requests.put("stop")
        except Exception:
            self._write_off(read, arrival.samples)
            raise

    def _write_off(self, read_before: int, count: int) -> None:
        """A block that the model failed on: what is not accounted for is a fault."""
        samples = self._inference.samples
        if samples.read == read_before:
            samples.read += count
        samples.dropped["fault"] += (
            samples.read - samples.used - samples.pending - sum(samples.dropped.values())
        )

    def _close_books(self) -> Report:
        report, ledger = self.report, self.report.ledger
        close_books(self.books, self.deliveries, ledger)
        ledger.samples = self._inference.samples
        ledger.faults = self._inference.faults
        block_to_sink = Histogram()
        for feed in self.feeds:
            ledger.samples.read += feed.samples.read
            ledger.samples.dropped += feed.samples.dropped
            ledger.faults += feed.faults
            report.missed += feed.missed
        for delivery in self.deliveries:
            block_to_sink.merge(delivery.latency)
            report.retries += delivery.retries
        ledger.samples.dropped = +ledger.samples.dropped
        report.latency_us = self._latency.summary()
        report.block_to_sink_us = block_to_sink.summary()
        report.predictions = ledger.predictions
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
