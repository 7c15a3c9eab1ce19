"""What a run has to say, a line each: for people, or for the journal as JSON; never at the loop's expense.

A line is handed to a thread that writes it, because writing to a pipe that nobody empties waits for ever.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

from edge_sdk.errors import one_line, printable
from edge_sdk.repeats import Repeats

Format = Literal["auto", "text", "json"]

#: Lines that may wait for whoever reads them; further ones are counted.
_WAITING = 1000
#: How often it is seen whether something is to be summed up, s, and how long the last lines may take.
_SUM_UP_S, _PATIENCE_S = 1.0, 1.0
_LONGEST = 4000
#: sd-daemon(3): what the journal takes for the level of a line.
_PRIORITIES: Final = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


@contextlib.contextmanager
def configured(stream: TextIO, form: Format = "auto") -> Iterator[LogHandler]:
    """Write the messages of the logger ``edgeml`` to a stream meanwhile.

    Args:
        stream: standard error, mostly.
        form: ``text``, ``json``, or ``auto``: JSON where the stream is the journal.
    """
    log, handler = logging.getLogger("edgeml"), LogHandler(stream, form)
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        yield handler
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        handler.close()


class LogHandler(logging.Handler):
    """Writes lines from a thread of its own; what comes again and again is summed up.

    Args:
        stream: where to.
        form: as of `configured`.

    Attributes:
        run_id: stands in JSON lines whose record names no other.
    """

    def __init__(self, stream: TextIO, form: Format = "auto") -> None:
        super().__init__()
        self.run_id = ""
        self._stream, self._file = stream, _descriptor(stream)
        self._journal = is_journal(self._file)
        if self._file is not None:
            # Its own: while a model loads, standard error itself may lead nowhere.
            self._file = os.dup(self._file)
        self._as_json = form == "json" or (form == "auto" and self._journal)
        self._repeats, self._lines, self._left_out = Repeats(), deque[str](), 0
        self._ends = False
        self._bell = threading.Event()
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record; never waits and never raises."""
        try:
            if self._repeats.admits(record, time.monotonic()):
                self._put(self._line(record))
        except Exception:  # noqa: BLE001 - somebody's %d got a text: the run goes on
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """A record that cannot be formatted is shown as it is."""
        with contextlib.suppress(Exception):
            self._put(self._text(record, f"{record.msg!r} {record.args!r}"))

    def close(self) -> None:
        """Write what waits, as long as somebody reads it; may be called twice."""
        self._ends = True
        self._bell.set()
        self._thread.join(_PATIENCE_S)
        file = self._file
        if file is not None and not self._thread.is_alive():
            self._file = None
            os.close(file)
        super().close()

    def _put(self, line: str) -> None:
        if len(self._lines) < _WAITING:
            self._lines.append(line)
            self._bell.set()
        else:
            self._left_out += 1

    def _write_all(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # the reader has gone: so have its messages
            while True:
                self._bell.wait(_SUM_UP_S)
                self._bell.clear()
                ends = self._ends
                self._sum_up(float("inf") if ends else time.monotonic())
                while self._lines:
                    self._write(self._lines.popleft())
                if self._left_out:
                    left_out, self._left_out = self._left_out, 0
                    self._write(self._line(_notice(f"{left_out} messages were left out: nobody read them")))
                if ends:
                    return

    def _sum_up(self, now_s: float) -> None:
        with self.lock or contextlib.nullcontext():
            for record, count in self._repeats.due(now_s):
                self._put(self._line(record, count))

    def _write(self, line: str) -> None:
        data = (line + "\n").encode("utf-8", "backslashreplace")
        if self._file is None:
            self._stream.write(data.decode())
            self._stream.flush()
            return
        while data:  # not through the stream's buffer, whose lock would keep the interpreter from ending
            try:
                data = data[os.write(self._file, data) :]
            except BlockingIOError:  # somebody else has made our descriptor so
                select.select([], [self._file], [], _SUM_UP_S)

    def _line(self, record: logging.LogRecord, more: int = 0) -> str:
        message = printable(record.getMessage())[:_LONGEST]
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            message += f": {type(error).__name__}: {printable(one_line(error))}"
        return self._text(record, message, more)

    def _text(self, record: logging.LogRecord, message: str, more: int = 0) -> str:
        if more:
            message += " … once more" if more == 1 else f" … {more} times more"
        prefix = f"<{_priority(record.levelno)}>" if self._journal else ""
        if not self._as_json:
            return f"{prefix}edgeml: {message}"
        facts: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": message,
            "thread": record.threadName,
            "part": getattr(record, "part", None),
            "run_id": getattr(record, "run_id", None) or self.run_id or None,
            "more": more or None,
        }
        return prefix + json.dumps(
            {name: fact for name, fact in facts.items() if fact is not None}, ensure_ascii=False, default=str
        )


def is_journal(file: int | None) -> bool:
    """Whether a descriptor is the connection to the journal that systemd gave this process."""
    if file is None:
        return False
    try:
        facts = os.fstat(file)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{facts.st_dev}:{facts.st_ino}"


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (AttributeError, OSError, io.UnsupportedOperation):
        return None


def _priority(level: int) -> int:
    return next((priority for least, priority in _PRIORITIES if level >= least), 7)


def _notice(text: str) -> logging.LogRecord:
    return logging.LogRecord("edgeml", logging.WARNING, __file__, 0, text, None, None)
