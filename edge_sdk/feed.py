"""One source in its own thread: read, numbered, handed over; reopened when it fails."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from edge_sdk.backoff import Backoff
from edge_sdk.blocks import Block, Fault
from edge_sdk.contract import Input
from edge_sdk.edges import EdgeSettings, Junction
from edge_sdk.errors import EdgeError, Fatal, Retry, SpecError, one_line, unexpected
from edge_sdk.ledger import Samples

_LOG = logging.getLogger("edgeml")


@dataclass(slots=True, eq=False)
class Arrival:
    """A block or a fault on its way to the model.

    Attributes:
        item: what the source yielded.
        number: counts the blocks of a device; a missing number is a gap.
        at_s: monotonic time at which it came.
    """

    item: Block | Fault
    number: int
    at_s: float

    @property
    def samples(self) -> int:
        """How many samples it stands for."""
        return self.item.samples if isinstance(self.item, Fault) else len(self.item.samples)


class Feed:
    """Reads one source into an edge of the junction.

    Args:
        name: what to call the source in the books and in messages.
        open_source: opens it; called again after `Retry` where `reopens`.
        settings: of the edge to the model.
        junction: where the model's thread reads.
        on_end: called from the feed's thread at its end, with what went wrong or None.
    """

    def __init__(
        self,
        name: str,
        open_source: Callable[[], Iterable[Any]],
        settings: EdgeSettings,
        junction: Junction[Arrival],
        on_end: Callable[[EdgeError | None], None],
    ) -> None:
        self.name = name
        self.reopens = True
        #: Given to blocks that carry no device.
        self.device = ""
        self.expected: Input | None = None
        #: Samples that never reached the model: read = dropped here.
        self.samples = Samples()
        self.faults: Counter[str] = Counter()
        self._open, self._on_end = open_source, on_end
        self._edge = junction.edge(settings, self._dropped)
        self._numbers: Counter[str] = Counter()
        self._source: Any = None
        self._missed = 0
        self._stopping = threading.Event()
        self._backoff = Backoff()
        self.thread = threading.Thread(target=self._run, name=f"source {name}", daemon=True)

    @property
    def missed(self) -> int:
        """Deadlines that the source itself says it missed."""
        return self._missed + int(getattr(self._source, "missed", 0))

    @property
    def waiting(self) -> int:
        """Blocks on their way to the model."""
        return len(self._edge)

    def stop(self) -> None:
        """Ask the source to end; returns at once."""
        self._stopping.set()
        close = getattr(self._source, "close", None)
        if close is not None and not hasattr(
            self._source, "gi_frame"
        ):  # a running generator cannot be closed
            threading.Thread(target=_quietly, args=(close,), name=f"close {self.name}", daemon=True).start()

    def _run(self) -> None:
        failure: EdgeError | None = None
        try:
            self._pump()
        except EdgeError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - somebody else's code: its bug ends the run, in one line
            failure = unexpected(f"source {self.name}", error)
        finally:
            self._edge.close()
            self._on_end(failure)

    def _pump(self) -> None:
        while not self._stopping.is_set():
            try:
                self._source = self._open()
                self._read()
                return
            except Retry as error:
                self._note_retry(error)
            finally:
                self._close()

    def _read(self) -> None:
        if self.expected is not None and hasattr(self._source, "expect"):
            self._source.expect(self.expected)
        for item in self._source:
            if not self._put(item) or self._stopping.is_set():
                return

    def _put(self, item: Any) -> bool:
        now = time.monotonic()
        if isinstance(item, Block):
            item.device = item.device or self.device
            self._numbers[item.device] += 1
            arrival = Arrival(item, self._numbers[item.device], now)
            self._backoff.reset()
        elif isinstance(item, Fault):
            item.device = item.device or self.device
            arrival = Arrival(item, 0, now)
        else:
            raise SpecError(f"source {self.name}", expected="blocks", found=type(item).__name__)
        if self._edge.put(arrival):
            return True
        with self._edge.lock:
            self._dropped(arrival, "stopped")
        return False

    def _note_retry(self, error: Retry) -> None:
        if not self.reopens:
            raise Fatal(f"source {self.name} cannot be opened again", found=one_line(error)) from error
        self.faults["retry"] += 1
        # The next block of each device is not the neighbour of the last one.
        self._numbers.update(dict.fromkeys(self._numbers, 1))
        delay_s = self._backoff.delay_s()
        if not self._stopping.is_set():
            _LOG.warning("%s; trying again in %.1f s", one_line(error), delay_s)
            self._stopping.wait(delay_s)

    def _close(self) -> None:
        source, self._source = self._source, None
        self._missed += int(getattr(source, "missed", 0))
        if hasattr(source, "close"):
            source.close()

    def _dropped(self, arrival: Arrival, reason: str) -> None:
        self.samples.read += arrival.samples
        if isinstance(arrival.item, Fault):
            self.faults[arrival.item.reason] += 1
            reason = "fault"
        self.samples.dropped[reason] += arrival.samples


def _quietly(close: Callable[[], None]) -> None:
    try:
        close()
    except Exception as error:  # noqa: BLE001 - the run is over; closing is only a courtesy
        _LOG.warning("closing failed: %s", one_line(error))
