"""One sink in its own thread, and the books of what it was offered."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edge_sdk.backoff import Backoff
from edge_sdk.edges import Edge, EdgeSettings
from edge_sdk.errors import EdgeError, Rejected, Retry, one_line, unexpected
from edge_sdk.expression import Expression
from edge_sdk.ledger import Ledger, SinkAccount
from edge_sdk.metrics import Histogram
from edge_sdk.prediction import Prediction

_LOG = logging.getLogger("edgeml")
#: Rows that are written together when so many wait; nothing waits for them.
BATCH = 64


@dataclass(slots=True, eq=False)
class Parcel:
    """A prediction on its way to those sinks that want it.

    Attributes:
        prediction: the content.
        arrived_s: monotonic time at which the block came that completed its window.
        owing: sinks that have neither taken it nor given it up.
        lost: a sink gave it up.
    """

    prediction: Prediction
    arrived_s: float
    owing: int
    lost: bool = False


class Books:
    """Counts predictions over all sinks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.predictions = self.delivered = self.lost = 0

    def sent(self, parcel: Parcel) -> None:
        """A prediction leaves the model."""
        with self._lock:
            self.predictions += 1
            if not parcel.owing:
                self.delivered += 1

    def settled(self, parcels: Sequence[Parcel]) -> None:
        """A sink has them."""
        with self._lock:
            for parcel in parcels:
                parcel.owing -= 1
                if not parcel.owing and not parcel.lost:
                    self.delivered += 1

    def given_up(self, parcel: Parcel) -> None:
        """A sink will never have it."""
        with self._lock:
            parcel.owing -= 1
            if not parcel.lost:
                parcel.lost = True
                self.lost += 1


class Call:
    """A function as a sink: called with each prediction."""

    delivery = "direct"

    def __init__(self, function: Callable[[Prediction], Any]) -> None:
        self._function = function

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Call it."""
        for prediction in predictions:
            self._function(prediction)

    def close(self) -> None:
        """Nothing is held."""


class Delivery:
    """Writes parcels to one sink, batching what waits.

    Args:
        name: what to call the sink in the books and in messages.
        open_sink: opens it; called again after `Retry` where `reopens`.
        settings: of the edge from the model.
        books: shared by all sinks.
        on_failure: called from the delivery's thread when the sink cannot go on.
    """

    def __init__(
        self,
        name: str,
        open_sink: Callable[[], Any],
        settings: EdgeSettings,
        books: Books,
        on_failure: Callable[[EdgeError], None],
    ) -> None:
        self.name = name
        self.reopens = True
        self.batch = BATCH
        self.when: Expression | None = None
        self.account = SinkAccount()
        self.latency = Histogram()
        self.retries = 0
        #: Set when the first attempt to open the sink is over, well or not.
        self.tried = threading.Event()
        self._open, self._books, self._on_failure = open_sink, books, on_failure
        self._edge = Edge[Parcel](settings, self._dropped)
        self._closed_because = "stopped"
        self._refused = 0
        self._abandoned = threading.Event()
        self._sink: Any = None
        self._backoff = Backoff(limit_s=10.0)
        self.thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)

    def wants(self, prediction: Prediction) -> bool:
        """Whether the sink's ``when`` holds."""
        return self.when is None or self.when(prediction)

    def offer(self, parcel: Parcel) -> None:
        """Queue a parcel; waits or drops as the edge's policy says."""
        if not self._edge.put(parcel):
            with self._edge.lock:
                self._refused += 1
                self._dropped(parcel, self._closed_because)

    def finish(self) -> None:
        """Nothing more comes: deliver what waits, then end."""
        self._edge.close()

    def abandon(self) -> list[Parcel]:
        """Close the books of this sink, whatever its thread may still do; returns what it owes."""
        self._abandoned.set()
        self._edge.close()
        with self._edge.lock:
            owed = self._edge.owed()
            self.account.offered = self._edge.offered + self._refused
            self.account.queued = len(owed)
            return owed

    def _run(self) -> None:
        try:
            self._deliver()
        except EdgeError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - somebody else's code: its bug ends the run, in one line
            self._fail(unexpected(f"sink {self.name}", error))
        finally:
            self.tried.set()
            self._close()

    def _deliver(self) -> None:
        batches: list[list[Parcel]] = []
        while not self._abandoned.is_set():
            try:
                if self._sink is None:
                    self._sink = self._open()
                self.tried.set()
                batches = batches or [self._edge.take(self.batch)]
                batch = batches[0]
                if not batch:
                    return
                self._sink.write([parcel.prediction for parcel in batch])
                self._settle(batch)
                del batches[0]
            except Retry as error:
                if not batches and self._edge.closed and not len(self._edge):
                    return
                self._note_retry(error)
            except Rejected as error:
                if len(batches[0]) > 1:  # find out which of them it was
                    batches[:1] = [[parcel] for parcel in batches[0]]
                else:
                    self._refuse(batches.pop(0)[0], error)

    def _settle(self, batch: list[Parcel]) -> None:
        now = time.monotonic()
        with self._edge.lock:
            if self._abandoned.is_set():
                return
            self._edge.release(len(batch))
            self.account.delivered += len(batch)
            self._books.settled(batch)
        self._backoff.reset()
        for parcel in batch:
            self.latency.observe((now - parcel.arrived_s) * 1e6)

    def _refuse(self, parcel: Parcel, error: Rejected) -> None:
        _LOG.warning("%s: %s", self.name, one_line(error))
        with self._edge.lock:
            if not self._abandoned.is_set():
                self._edge.release()
                self._dropped(parcel, "rejected")

    def _note_retry(self, error: Retry) -> None:
        self.retries += 1
        self.tried.set()
        if self.reopens:
            self._close()
        delay_s = self._backoff.delay_s()
        _LOG.warning("%s; trying again in %.1f s", one_line(error), delay_s)
        deadline = time.monotonic() + delay_s
        while time.monotonic() < deadline and not self._abandoned.wait(0.05):
            if self._edge.closed:  # the run is draining: be quick about it
                deadline = min(deadline, time.monotonic() + 0.2)

    def _fail(self, error: EdgeError) -> None:
        with self._edge.lock:
            self._closed_because = "failed"
            self._edge.close()
            if not self._abandoned.is_set():
                for parcel in self._edge.forget():
                    self._dropped(parcel, "failed")
        self._on_failure(error)

    def _close(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None and self.reopens:
            try:
                sink.close()
            except Exception as error:  # noqa: BLE001 - what was acknowledged is safe; say so and go on
                _LOG.warning("closing %s failed: %s", self.name, one_line(error))

    def _dropped(self, parcel: Parcel, reason: str) -> None:
        self.account.dropped[reason] += 1
        self._books.given_up(parcel)


def close_books(books: Books, deliveries: Sequence[Delivery], ledger: Ledger) -> None:
    """Write what became of the predictions into a ledger; later deliveries do not count any more."""
    owed = {id(parcel): parcel for delivery in deliveries for parcel in delivery.abandon()}
    ledger.predictions, ledger.delivered, ledger.lost = books.predictions, books.delivered, books.lost
    ledger.queued = sum(not parcel.lost for parcel in owed.values())
    ledger.sinks = {delivery.name: delivery.account for delivery in deliveries}
