"""One source in its own thread: read, numbered, handed to every model; reopened when it fails."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from edge_sdk.backoff import Backoff
from edge_sdk.blocks import Block, Fault
from edge_sdk.contract import Input
from edge_sdk.errors import EdgeError, Fatal, Retry, SpecError, one_line, unexpected
from edge_sdk.outlet import Arrival, Outlet
from edge_sdk.prediction import Prediction
from edge_sdk.received import home_of
from edge_sdk.roster import Roster, RosterSettings
from edge_sdk.snapshot import SourceState

_LOG = logging.getLogger("edgeml")
#: For how long a fault of a source is shown as its problem, s.
_SHOWN_S = 10.0


class Feed:
    """Reads one source into the junctions of the models.

    Args:
        name: what to call the source in the books and in messages.
        open_source: opens it; called again after `Retry` where `reopens`.
        devices: how many devices it may have, and for how long each is remembered.
        on_end: called from the feed's thread at its end, with what went wrong or None.
    """

    def __init__(
        self,
        name: str,
        open_source: Callable[[], Iterable[Any]],
        devices: RosterSettings,
        on_end: Callable[[EdgeError | None], None],
    ) -> None:
        self.name = name
        self.reopens = True
        #: Samples come in real time, and their times are those of a clock.
        self.live = False
        #: Its devices are named by whoever sends: none of them may harm the others.
        self.many = False
        #: Given to blocks that carry no device.
        self.device = ""
        self.expected: Input | None = None
        #: Of one window of the model, where that is known.
        self.shape: tuple[int, ...] | None = None
        self.faults: Counter[str] = Counter()
        self.outlets: list[Outlet] = []
        #: Set when the first attempt to open the source is over, well or not.
        self.tried = threading.Event()
        self._open, self._on_end = open_source, on_end
        #: Of each device's last block, and of its last prediction on each outlet.
        self._numbers: Roster[list[int]] = Roster(devices, lambda device: [0] * (1 + len(self.outlets)))
        self._source: Any = None
        self._missed = self._reopened = self._samples = 0
        self._heard_s: float | None = None
        self._opened_s = time.monotonic()
        self._block_s = 0.0
        self._silent = False
        self._trouble: tuple[float, str] | None = None
        self._said: dict[str, float] = {}
        self._lost: str | None = None
        self._broken = False
        self._over = False
        self._stopping = threading.Event()
        self._backoff = Backoff(longest_asked_s=60.0)
        self.thread = threading.Thread(target=self._run, name=f"source {name}", daemon=True)

    @property
    def missed(self) -> int:
        """Deadlines that the source itself says it missed."""
        return self._missed + int(getattr(self._source, "missed", 0))

    def stop(self) -> None:
        """Ask the source to end; returns at once."""
        self._stopping.set()
        close = getattr(self._source, "close", None)
        if close is not None and not hasattr(
            self._source, "gi_frame"
        ):  # a running generator cannot be closed
            threading.Thread(target=_quietly, args=(close,), name=f"close {self.name}", daemon=True).start()

    def check_silence(self, silence_s: float) -> None:
        """Count it when a live source says nothing for so long; called now and then from any thread.

        A source of large blocks may take three times the length of one.
        """
        if not self.live or not silence_s or self._source is None or self._silent or self._over:
            return
        since_s = time.monotonic() - max(self._opened_s, self._heard_s or 0.0)
        if since_s > max(silence_s, 3 * self._block_s):
            self._silent = True
            self.faults["silence"] += 1
            _LOG.warning("source %s: no sample for %.1f s", self.name, since_s, extra={"part": self.name})

    def state(self) -> SourceState:
        """This source at this moment."""
        now = time.monotonic()
        problem = self._lost
        if problem is None and self._silent:
            problem = f"no sample for {now - max(self._opened_s, self._heard_s or 0.0):.0f} s"
        trouble = self._trouble
        if problem is None and trouble is not None and now - trouble[0] < _SHOWN_S:
            problem = trouble[1]
        return SourceState(
            self.name,
            self._source is not None or self._over,
            sum(len(outlet.edge) for outlet in self.outlets),
            None if self._heard_s is None else now - self._heard_s,
            len(self._numbers),
            self.faults.copy(),
            self._reopened,
            problem,
            self._samples,
        )

    def note(self, fault: Fault) -> None:
        """Something is wrong with its data: shown for a while, and each kind of it said once a while."""
        now = time.monotonic()
        text = f"{fault.reason}{': ' + fault.detail if fault.detail else ''}"
        self._trouble = (now, text)
        if now - self._said.get(fault.reason, -math.inf) > _SHOWN_S:
            self._said[fault.reason] = now
            where = f" of {fault.device}" if fault.device else ""
            _LOG.warning("source %s%s: %s", self.name, where, text, extra={"part": self.name})

    def _run(self) -> None:
        failure: EdgeError | None = None
        try:
            self._pump()
        except EdgeError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - somebody else's code: its bug ends the run, in one line
            failure = unexpected(f"source {self.name}", error)
        finally:
            self.tried.set()
            self._over = failure is None
            for outlet in self.outlets:
                outlet.edge.close()
            self._on_end(failure)

    def _pump(self) -> None:
        while not self._stopping.is_set():
            try:
                self._source = self._open()
                self._opened_s, self._lost = time.monotonic(), None
                self._mend()
                self.tried.set()
                self._read()
                return
            except Retry as error:
                self._note_retry(error)
            finally:
                self._close()

    def _mend(self) -> None:
        """After a break the next block of each device is not the neighbour of the last one."""
        if self._broken and not getattr(self._source, "resumed", False):
            for _, number in self._numbers:
                _skip(number)
        self._broken = False

    def _read(self) -> None:
        if self.expected is not None and hasattr(self._source, "expect"):
            self._source.expect(self.expected)
        if self.shape is not None and hasattr(self._source, "expect_shape"):
            self._source.expect_shape(self.shape)
        for item in self._source:
            if not self._put(item) or self._stopping.is_set():
                return

    def _put(self, item: Any) -> bool:
        now = time.monotonic()
        if isinstance(item, Block):
            item.device = item.device or self.device
            number = self._numbers.get(item.device, now)
            if number is None:
                return self._put(Fault("too_many_devices", len(item.samples), device=item.device))
            self._hear(number, now)
            number[0] += 1
            arrival = Arrival(item, number[0], now, self)
            self._block_s = len(item.samples) / item.rate_hz
        elif isinstance(item, Fault):
            item.device = item.device or self.device
            self.faults[item.reason] += 1
            self._silent = self._silent or item.reason == "silence"
            self.note(item)
            number = self._numbers.peek(item.device)
            if item.gap and number is not None:  # should the fault itself fall off its way, the gap stays
                _skip(number)
            arrival = Arrival(item, 0, now, self)
        elif isinstance(item, Prediction):
            return self._pass_on(item, now)
        else:
            raise SpecError(
                f"source {self.name}", expected="blocks or predictions", found=type(item).__name__
            )
        self._samples += arrival.samples
        taken = [outlet.put(arrival) for outlet in self.outlets]
        return any(taken) or not taken

    def _pass_on(self, prediction: Prediction, now: float) -> bool:
        """To the one model that it is of."""
        prediction.device = prediction.device or self.device
        homes = [outlet for outlet in self.outlets if outlet.wants(prediction.device)]
        outlet = home_of(prediction, self._source, f"source {self.name}", homes) if homes else None
        number = self._numbers.get(prediction.device, now)
        if number is None:
            if outlet is not None:
                outlet.received.drop(1, "fault")
            return self._put(Fault("too_many_devices", device=prediction.device))
        self._hear(number, now)
        if self.expected is not None and self.expected.rate_hz:
            self._block_s = self.expected.hop / self.expected.rate_hz
        if outlet is None:
            return not all(outlet.edge.closed for outlet in self.outlets)
        at = 1 + self.outlets.index(outlet)
        number[at] += 1
        return outlet.put(Arrival(prediction, number[at], now, self))

    def _hear(self, number: list[int], now: float) -> None:
        """Something came from a device, after a silence or not."""
        # No window spans a silence; of many devices it is the way here that was silent, and each may have
        # all that it sent.
        if self._silent and not self.many:
            _skip(number)
        self._backoff.reset()
        self._heard_s, self._silent = now, False

    def _note_retry(self, error: Retry) -> None:
        if not self.reopens:
            raise Fatal(f"source {self.name} cannot be opened again", found=one_line(error)) from error
        self.faults["retry"] += 1
        self._reopened += 1
        self._lost = one_line(error)
        self._broken = True
        self.tried.set()
        delay_s = self._backoff.delay_s(error.retry_after_s)
        if not self._stopping.is_set():
            _LOG.warning("%s; trying again in %.1f s", self._lost, delay_s, extra={"part": self.name})
            self._stopping.wait(delay_s)

    def _close(self) -> None:
        source, self._source = self._source, None
        self._missed += int(getattr(source, "missed", 0))
        if hasattr(source, "close"):
            source.close()


def _skip(number: list[int]) -> None:
    """The next block of a device, and its next predictions, are no neighbours of the last."""
    number[:] = [n + 1 for n in number]


def _quietly(close: Callable[[], None]) -> None:
    try:
        close()
    except Exception as error:  # noqa: BLE001 - the run is over; closing is only a courtesy
        _LOG.warning("closing failed: %s", one_line(error))
