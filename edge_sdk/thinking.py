"""One model in its own thread: what arrives goes through it, and what it says to the sinks."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from edge_sdk.blocks import Block, Fault
from edge_sdk.books import Books, Parcel
from edge_sdk.delivery import Delivery
from edge_sdk.edges import Junction
from edge_sdk.errors import EdgeError, SpecError, unexpected
from edge_sdk.feed import Feed
from edge_sdk.inference import Inference
from edge_sdk.metrics import Histogram
from edge_sdk.outlet import Arrival
from edge_sdk.prediction import Prediction
from edge_sdk.snapshot import ModelState
from edge_sdk.waiting import MemoryShelf, OutboxShelf

if TYPE_CHECKING:
    from edge_sdk.fusion import Fusion

#: Arrivals that are read at a time where the model takes several windows at once. One that holds many windows
#: counts as many: while they are looked at, nobody else's are.
_AT_ONCE = 256
#: How often idle and silent devices are looked for, s.
_SWEEP_S = 1.0
#: Predictions that are kept to be shown.
_SHOWN = 12


class Thinking:
    """Runs one model over what its junction brings.

    Args:
        inference: the model, its windows and its decision.
        deliveries: the sinks.
        books: of all predictions.
        fusion: joins several sensors first; None where each stands alone.
        on_prediction: told whether a sink wanted it; True ends the run.
        on_failure: called from the thread when the model cannot go on.
    """

    def __init__(
        self,
        inference: Inference,
        deliveries: Sequence[Delivery],
        books: Books,
        *,
        fusion: Fusion | None = None,
        on_prediction: Callable[[bool], bool],
        on_failure: Callable[[EdgeError], None],
    ) -> None:
        self.inference, self.fusion = inference, fusion
        self.name = inference.model.name
        self.junction = Junction[Arrival]()
        self.latency = Histogram()
        self.labels: Counter[str] = Counter()
        self.recent: deque[Prediction] = deque(maxlen=_SHOWN)
        #: Arrivals that were taken, and windows that went through, so far.
        self.taken = self.windows = 0
        #: Some of its sources bring many devices, which fall silent one by one.
        self.each_device = False
        #: It was asked to stop after this prediction.
        self.enough = False
        self._busy = self._offering = False
        self._shown = 0
        self._swept_s = time.monotonic()
        self._deliveries, self._books = deliveries, books
        self._on_prediction, self._on_failure = on_prediction, on_failure
        inference.on_latency = self.latency.observe
        inference.on_fault = self._fault
        self._feed: Feed | None = None
        self.thread = threading.Thread(target=self._run, name=f"model {self.name}", daemon=True)

    def moves(self) -> bool:
        """Whether it did something since it was last asked, or rightly waits; from one thread."""
        before, self._shown = self._shown, self.taken
        return not self._busy or self._offering or before != self.taken

    def state(self) -> ModelState:
        """This model at this moment."""
        inference = self.inference
        return ModelState(
            self.name,
            inference.run_id,
            inference.model.digest,
            self.latency,
            inference.invokes,
            self.windows,
            inference.devices,
            inference.device_bytes,
            self.labels.copy(),
            dict(inference.troubled),
            inference.received.used,
        )

    def _run(self) -> None:
        at_once = _AT_ONCE if self.inference.batch > 1 else 1
        try:
            while (arrivals := self.junction.take(at_once, _SWEEP_S, weight=self._windows)) is not None:
                self._busy = True
                self._take(arrivals)
                self._busy = False
                if self.enough:
                    break
        except EdgeError as error:
            self._on_failure(error)
        except Exception as error:  # noqa: BLE001 - a runtime's or our own bug ends the run, in one line
            self._on_failure(unexpected(f"model {self.name}", error))
        finally:
            self._busy = False
            self.junction.close()
            self.junction.discard("stopped")
            if self.fusion is not None:
                self.fusion.finish()
            self.inference.finish()

    def _windows(self, arrival: Arrival) -> int:
        """How many windows are about in it, one at least."""
        return 1 + arrival.samples // self.inference.model.hop

    def _take(self, arrivals: Sequence[Arrival]) -> None:
        """One invoke for each window where few wait, one for many where many do."""
        together = len(arrivals) > 1
        for nth, arrival in enumerate(arrivals):
            self.taken += 1
            try:
                self._process(arrival, together=together)
            except Exception:
                self._write_off(arrivals[nth + 1 :])
                raise
            if self.enough:
                self._write_off(arrivals[nth + 1 :])
                return
        if together:
            self._send(self.inference.flush())
        now = time.monotonic()
        if now - self._swept_s > _SWEEP_S:
            self._swept_s = now
            self.inference.sweep(each_device=self.each_device)

    def _process(self, arrival: Arrival, *, together: bool) -> None:
        self._feed = arrival.feed
        item = arrival.item
        if self.fusion is not None and not isinstance(item, Prediction):
            for fused in self.fusion.take(arrival.feed.name, item, arrival.at_s, arrival.number):
                self._infer(fused, None, arrival, together=together)
        else:
            self._infer(item, arrival.number, arrival, together=together)

    def _infer(
        self, item: Block | Fault | Prediction, number: int | None, arrival: Arrival, *, together: bool
    ) -> None:
        inference = self.inference
        if isinstance(item, Block):
            account, count = inference.samples, len(item.samples)
            run = inference.gather if together else inference.push
            predictions = run(item, number, live=arrival.feed.live, arrived_s=arrival.at_s)
        elif isinstance(item, Prediction):
            account, count = inference.received, 1
            predictions = inference.receive(item, number, arrived_s=arrival.at_s)
        else:
            inference.fault(item)
            return
        read = account.read
        try:
            self._send(predictions)
        except SpecError as error:
            if not arrival.feed.many or account.read != read:
                account.write_off(read, count)
                raise
            inference.refuse(item, error)
        except Exception:
            account.write_off(read, count)
            raise

    def _send(self, predictions: Iterator[Prediction]) -> None:
        for prediction in predictions:
            self.windows += 1
            if self.enough:  # the block completed more windows than the one that was asked for
                continue
            wanted = [delivery for delivery in self._deliveries if delivery.wants(prediction)]
            if prediction.window is not None and not any(delivery.keeps_windows for delivery in wanted):
                prediction.window = None  # the others' queues need not hold it
            self._books.sent()
            self.recent.append(prediction)
            if prediction.label is not None:
                self.labels[prediction.label] += 1
            self._offering = True
            self._offer(prediction, self.inference.arrived_s, wanted)
            self._offering = False
            self.enough = self._on_prediction(bool(wanted))

    def _offer(self, prediction: Prediction, arrived_s: float, wanted: Sequence[Delivery]) -> None:
        parcel = Parcel(prediction, arrived_s)
        lanes = [delivery.shelf.lane for delivery in wanted if isinstance(delivery.shelf, OutboxShelf)]
        if lanes and self._books.outbox is not None:
            parcel.letter = self._books.outbox.put(prediction, arrived_s, lanes)
            parcel.lost = parcel.letter is None  # it was refused, and is counted
        for delivery in wanted:
            if isinstance(delivery.shelf, MemoryShelf):
                delivery.shelf.put(parcel)

    def _fault(self, fault: Fault) -> None:
        if self._feed is not None:
            self._feed.note(fault)

    def _write_off(self, arrivals: Sequence[Arrival]) -> None:
        """Arrivals that were read and will not be looked at any more."""
        inference = self.inference
        for arrival in arrivals:
            if isinstance(arrival.item, Prediction):
                inference.received.drop(1, "stopped")
            else:
                inference.samples.drop(arrival.samples, "stopped")
