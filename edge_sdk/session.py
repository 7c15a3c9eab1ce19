"""The life of a process around its pipelines: signals, reload, and whoever wants to know how it is."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from edge_sdk.errors import EdgeError, one_line, unexpected
from edge_sdk.service import Notifier

if TYPE_CHECKING:
    from edge_sdk.pipeline import Pipeline, Report
    from edge_sdk.snapshot import Snapshot

_LOG = logging.getLogger("edgeml")


class Session:
    """Runs a pipeline until it ends, and another one in its place when the configuration is read again.

    The first SIGINT or SIGTERM drains, the second exits at once. SIGHUP reads the configuration again: what
    does not pass every check changes nothing; what does runs once the old pipeline has drained. In a
    terminal, and without a file, SIGHUP means what it always did: the terminal is gone, so drain.

    Args:
        pipeline: what to run.
        again: makes the pipeline anew from its file; None where there is no file.

    Attributes:
        signals: those that came and asked to stop.
    """

    def __init__(self, pipeline: Pipeline, again: Callable[[], Pipeline] | None = None) -> None:
        self.signals: list[int] = []
        self._pipeline, self._again = pipeline, again
        self._next: Pipeline | None = None
        self._reloading = threading.Lock()
        self._last: Snapshot | None = None
        self._notifier = Notifier()

    @property
    def has_file(self) -> bool:
        """Whether the pipeline comes from a file, which can be read again."""
        return self._again is not None

    def run(self, duration_s: float | None = None, *, once: bool = False) -> Report:
        """Run; returns the report of the last pipeline.

        Raises:
            EdgeError: what ended it.
        """
        with self._notifier, self._handlers():
            self._notifier.extend(60.0, "verifying the model")
            self._pipeline.load()
            ends_s = None if duration_s is None else time.monotonic() + duration_s
            self._notifier.watch(self.taken)
            while True:
                left_s = None if ends_s is None else max(0.0, ends_s - time.monotonic())
                report = self._pipeline.run(left_s, once=once)
                with self._reloading:
                    if self._next is None or self.signals:
                        return report
                    self._pipeline, self._next = self._next, None
                _LOG.warning("the configuration was read again: %s", _line(report))
                self._notifier.ready()

    def stop(self) -> None:
        """Drain and return from `run`; from any thread."""
        self._notifier.stopping()
        self._pipeline.stop()

    def taken(self) -> Snapshot | None:
        """The run at this moment, or the last one known; None where nothing has run yet."""
        self._last = self._pipeline.snapshot() or self._last
        return self._last

    def _reload(self) -> None:
        """From a thread of its own: the old pipeline runs on meanwhile."""
        assert self._again is not None
        self._notifier.reloading()
        try:
            pipeline = self._again()
            pipeline.preview()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the new one, the old one runs on
            known = error if isinstance(error, EdgeError) else unexpected("the new configuration", error)
            _LOG.error("not read again, the old configuration runs on: %s", one_line(known))
            self._notifier.ready()
            return
        with self._reloading:
            self._next = pipeline
            self._pipeline.stop()

    @contextlib.contextmanager
    def _handlers(self) -> Iterator[None]:
        def stop(number: int, _frame: Any) -> None:
            if self.signals:
                if (view := sys.modules.get("edge_sdk.view")) is not None:
                    view.give_back_terminals()
                os._exit(128 + number)
            self.signals.append(number)
            self.stop()

        def reload(_number: int, _frame: Any) -> None:
            threading.Thread(target=self._reload, name="reload", daemon=True).start()

        again = self._again is not None and not os.isatty(2)
        wanted = {signal.SIGINT: stop, signal.SIGTERM: stop, signal.SIGHUP: reload if again else stop}
        before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _line(report: Report) -> str:
    books = report.ledger
    return (
        f"run {report.run_id} made {books.predictions} predictions,"
        f" {books.delivered} delivered, {books.queued} queued, {books.lost} lost"
    )
