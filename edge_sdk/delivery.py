"""One sink in its own thread: what waits for it is written in batches; what fails is tried again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from edge_sdk.backoff import Backoff
from edge_sdk.errors import EdgeError, Rejected, Retry, one_line, unexpected
from edge_sdk.expression import Expression
from edge_sdk.metrics import Histogram
from edge_sdk.prediction import Prediction
from edge_sdk.snapshot import SinkState
from edge_sdk.waiting import Item, Shelf

_LOG = logging.getLogger("edgeml")
#: Rows that are written together when so many wait; nothing waits for them.
BATCH = 64
#: How often a sink that has nothing to do may look after its connection, s.
_IDLE_S = 1.0
#: For how long a sink that is away is tried at the end of a run, and with what pauses, s.
_LAST_TRIES_S, _LAST_WAIT_S = 1.0, 0.2


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
    """Writes what waits on a shelf to one sink.

    Args:
        name: what to call the sink in the books and in messages.
        kind: ``direct``, ``outbox`` or ``actuator``.
        open_sink: opens it; called again after `Retry` where `reopens`.
        shelf: what waits.
        on_failure: called from the delivery's thread when the sink cannot go on.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        open_sink: Callable[[], Any],
        shelf: Shelf,
        on_failure: Callable[[EdgeError], None],
    ) -> None:
        self.name, self.kind, self.shelf = name, kind, shelf
        self.reopens = True
        #: What the model saw goes along with its predictions.
        self.keeps_windows = False
        self.batch = BATCH
        self.when: Expression | None = None
        self.latency = Histogram()
        self.retries = self.settled = 0
        #: Set when the first attempt to open the sink is over, well or not.
        self.tried = threading.Event()
        #: Why it does not work now.
        self.problem: str | None = None
        self._open, self._on_failure = open_sink, on_failure
        self._abandoned = threading.Event()
        self._sink: Any = None
        self._draining_s: float | None = None
        self._backoff = Backoff(limit_s=10.0)
        self.thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)

    def wants(self, prediction: Prediction) -> bool:
        """Whether the sink's ``when`` holds."""
        return self.when is None or self.when(prediction)

    def finish(self) -> None:
        """Nothing more comes: deliver what waits, then end."""
        self.shelf.close()

    def abandon(self) -> None:
        """Close the books of this sink, whatever its thread may still do."""
        self._abandoned.set()
        self.shelf.abandon()

    def state(self) -> SinkState:
        """This sink at this moment."""
        return SinkState(
            self.name,
            self.kind,
            self._sink is not None and self.problem is None,
            self.shelf.account,
            self.retries,
            self.latency,
            self.problem,
        )

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
        batches: list[Sequence[Item]] = []
        while not self._abandoned.is_set():
            try:
                if not self._step(batches):
                    return
            except Retry as error:
                if self.shelf.closed and self._gives_up(batches):
                    return
                self._note_retry(error)
            except Rejected as error:
                if len(batches[0]) > 1:  # find out which of them it was
                    batches[:1] = [[item] for item in batches[0]]
                else:
                    self._refuse(batches.pop(0)[0], error)

    def _step(self, batches: list[Sequence[Item]]) -> bool:
        """Write the first batch, taken now where there is none yet; False when nothing more comes."""
        if self._sink is None:
            self._sink = self._open()
        self.tried.set()
        if not batches:
            taken = self.shelf.take(getattr(self._sink, "at_once", self.batch), self._patience_s())
            if not taken:
                if self.shelf.closed:
                    return False
                self._idle()
                self._works()
                return True
            batches.append(taken)
        batch = self._fresh(batches[0])
        if batch:
            self._sink.write([item.prediction for item in batch])
            self._settle(batch)
        del batches[0]
        return True

    def _gives_up(self, batches: Sequence[Any]) -> bool:
        """Whether it is of no use to try again, now that the run ends."""
        if not batches and not len(self.shelf):
            return True
        now = time.monotonic()
        self._draining_s = self._draining_s or now
        # What is in the outbox is safe there, and nobody need wait for a sink that is away.
        return self.kind == "outbox" and now - self._draining_s > _LAST_TRIES_S

    def _patience_s(self) -> float | None:
        """How long to wait for something to write before looking after the sink, s."""
        return _IDLE_S if hasattr(self._sink, "idle") else None

    def _idle(self) -> None:
        """Nothing is to be written."""
        if hasattr(self._sink, "idle"):
            self._sink.idle()

    def _fresh(self, batch: Sequence[Item]) -> Sequence[Item]:
        """Those of a batch that may still be written."""
        return batch

    def _works(self) -> None:
        self.problem = self._draining_s = None
        self._backoff.reset()

    def _settle(self, batch: Sequence[Item]) -> None:
        now = time.monotonic()
        if not self.shelf.settle(batch):
            return
        self.settled += len(batch)
        self._works()
        for item in batch:
            if item.arrived_s is not None:
                self.latency.observe((now - item.arrived_s) * 1e6)

    def _refuse(self, item: Item, error: Rejected) -> None:
        _LOG.warning("%s: %s", self.name, one_line(error), extra={"part": self.name})
        self.shelf.refuse(item, error)
        self.settled += 1

    def _note_retry(self, error: Retry) -> None:
        self.retries += 1
        self.problem = one_line(error)
        self.tried.set()
        if self.reopens:
            self._close()
        delay_s = self._backoff.delay_s(error.retry_after_s)
        if self.shelf.closed:  # the run is draining: be quick about it
            delay_s = min(delay_s, _LAST_WAIT_S)
        _LOG.warning("%s; trying again in %.1f s", self.problem, delay_s, extra={"part": self.name})
        deadline = time.monotonic() + delay_s
        while time.monotonic() < deadline and not self._abandoned.wait(0.05):
            if self.shelf.closed:
                deadline = min(deadline, time.monotonic() + _LAST_WAIT_S)

    def _fail(self, error: EdgeError) -> None:
        self.problem = one_line(error)
        self.shelf.fail()
        self._on_failure(error)

    def _close(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None and self.reopens:
            try:
                sink.close()
            except Exception as error:  # noqa: BLE001 - what was acknowledged is safe; say so and go on
                _LOG.warning("closing %s failed: %s", self.name, one_line(error))


class Actuation(Delivery):
    """Acts on the world: what is too old must not happen any more, and when nothing comes, nothing happens.

    Attributes:
        max_age_s: of a prediction that is acted on, and for how long one holds, s.
    """

    max_age_s = 1.0

    def _patience_s(self) -> float | None:
        return max(self.max_age_s, float(getattr(self._sink, "holds_s", 0.0)))

    def _idle(self) -> None:
        self._make_safe()
        super()._idle()

    def _fresh(self, batch: Sequence[Item]) -> Sequence[Item]:
        oldest = time.monotonic() - self.max_age_s
        fresh: list[Item] = []
        for item in batch:
            if item.arrived_s is None or item.arrived_s < oldest:
                self.shelf.expire(item)
            else:
                fresh.append(item)
        return fresh

    def _close(self) -> None:
        if self._sink is not None:
            try:
                self._make_safe()
            except Exception as error:  # noqa: BLE001 - nothing is left to try; a person must know
                _LOG.error("%s could not be made safe: %s", self.name, one_line(error))
        super()._close()

    def _make_safe(self) -> None:
        if hasattr(self._sink, "safe"):
            self._sink.safe()
