"""The live view of a run in a terminal; lines where there is none.

It draws four times a second from a thread of its own and sends only the lines that have changed, so that it
costs the loop nothing and a slow connection little.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from edge_sdk.closing import Closing
from edge_sdk.errors import one_line, printable
from edge_sdk.status import sentence

if TYPE_CHECKING:
    from edge_sdk.figures import Line
    from edge_sdk.snapshot import Snapshot

    Picture = Callable[[Any, Sequence[str], int, int], list[Line]]

_LOG = logging.getLogger("edgeml")

_PERIOD_S = 0.25
#: After so many frames everything is drawn afresh.
_AFRESH = 40
#: Lines come so long after the start, then at twice the distance each time, up to the last; s.
_FIRST_LINE_S, _LAST_LINE_S = 10.0, 600.0
#: Messages that came meanwhile: shown below, and said again when the screen is gone.
_MESSAGES = 20
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J", "\x1b[?7h\x1b[?25h\x1b[?1049l"
#: For terminals whose encoding has none of these.
_PLAIN = str.maketrans(
    {"●": "*", "▲": "!", "✖": "x", "▶": ">", "■": "=", "█": "#", "…": "~", "–": "-", "·": "."}
)

#: The terminals that show a screen now, so that whoever ends the process at once can give them back.
_taken: set[int] = set()


class LiveView(Closing):
    """Shows a run, or in a class below whatever else goes on, until it is closed.

    In a terminal: the alternate screen, redrawn when something changes, with the log at its bottom; what was
    logged is said again when it closes. Elsewhere, with ``TERM=dumb`` or without rich: a line in the log when
    the health changes, and after 10 s, 20 s, 40 s, … at most every ten minutes.

    Args:
        take: the run's state now, None while there is none; called from another thread.
        stream: the terminal, standard error mostly.
    """

    def __init__(self, take: Callable[[], Any], stream: TextIO | None = None) -> None:
        self._take, self._stream = take, stream or sys.stderr
        self._ends = threading.Event()
        self._messages = _Messages()
        self._others: list[logging.Handler] = []
        self._shown: list[str] = []
        self._size, self._frame = (0, 0), 0
        self._draws = _is_terminal(self._stream) and _has_rich()
        self._thread = threading.Thread(target=self._run, name="view", daemon=True)
        if self._draws:
            self._file = self._stream.fileno()
            self._others, _LOG.handlers[:] = _LOG.handlers[:], [self._messages]
            _taken.add(self._file)
            self._stream.flush()
            self._send(_ENTER)
        self._thread.start()

    def close(self) -> None:
        """Give the terminal back, and say what was logged meanwhile; may be called twice."""
        if self._ends.is_set():
            return
        self._ends.set()
        self._thread.join(1.0)  # a terminal that is held (Ctrl-S) must not keep the process
        if self._draws:
            give_back_terminals()
            _LOG.handlers[:] = self._others
            for record in list(self._messages.records):
                for handler in self._others:
                    handler.handle(record)

    def _run(self) -> None:
        show = self._drawing() if self._draws else self._telling()
        while not self._ends.wait(_PERIOD_S):
            try:
                if (now := self._take()) is not None:
                    show(now)
            except OSError:  # the terminal has gone
                return
            except Exception as error:  # noqa: BLE001 - a bug here must not end what it shows
                _LOG.error("no view: %s: %s", type(error).__name__, one_line(error))

    def _telling(self) -> Callable[[Any], None]:
        """Lines for a log: when the health changes, and ever less often."""
        health, distance_s = "ok", _FIRST_LINE_S
        due_s = time.monotonic() + distance_s

        def tell(now: Snapshot) -> None:
            nonlocal health, distance_s, due_s
            changed = now.ready and now.health != health
            late = time.monotonic() >= due_s
            if changed:
                health = now.health
            if late:
                distance_s = min(2 * distance_s, _LAST_LINE_S)
                due_s = time.monotonic() + distance_s
            if changed or late:
                _LOG.info("%s", sentence(now))

        return tell

    def _drawing(self) -> Callable[[Any], None]:
        """A screen; what it needs is imported by its own thread."""
        from rich.color import ColorSystem
        from rich.console import Console
        from rich.style import Style

        console, picture = Console(file=self._stream), self._picture()
        colours = ColorSystem.STANDARD if console.color_system and not console.no_color else None
        styles: dict[str, Style] = {}
        plain = {} if (self._stream.encoding or "").lower().startswith("utf") else _PLAIN

        def text(line: Line) -> str:
            parts = []
            for span, style in line:
                if style not in styles:
                    styles[style] = Style.parse(style)
                span = span.translate(plain) if plain else span
                parts.append(styles[style].render(span, color_system=colours))
            return "".join(parts)

        def show(now: Any) -> None:
            size = os.get_terminal_size(self._file)
            width, height = size.columns or 80, size.lines or 24
            lines = picture(now, self._messages.lines(), width, height)
            self._show([text(line) for line in lines], (width, height))

        return show

    def _picture(self) -> Picture:
        """What is drawn of a state: the log's newest messages, cells and lines are given, too."""
        from edge_sdk.screen import Rates, draw

        rates = Rates()

        def picture(now: Snapshot, log: Sequence[str], width: int, height: int) -> list[Line]:
            rates.look(now, time.monotonic())
            return draw(now, rates, log, width, height)

        return picture

    def _show(self, lines: list[str], size: tuple[int, int]) -> None:
        """Send what differs from what is there; now and then all, for somebody else may have written, too."""
        parts = []
        self._frame = (self._frame + 1) % _AFRESH
        if size != self._size or self._frame == 0:
            self._size, self._shown = size, []
            parts.append("\x1b[2J")
        lines = lines + [""] * (len(self._shown) - len(lines))
        for row, line in enumerate(lines):
            if row >= len(self._shown) or self._shown[row] != line:
                parts.append(f"\x1b[{row + 1};1H{line}\x1b[K")
        self._shown = lines
        if parts and not self._ends.is_set():
            self._send("".join(parts))

    def _send(self, text: str) -> None:
        data = text.encode(self._stream.encoding or "utf-8", "replace")
        while data:
            data = data[os.write(self._file, data) :]


class _Messages(logging.Handler):
    """Keeps the newest messages for the screen."""

    def __init__(self) -> None:
        super().__init__()
        self.records: deque[logging.LogRecord] = deque(maxlen=_MESSAGES)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.records.append(record)

    def lines(self) -> list[str]:
        """What they say, the same in a row once."""
        lines: list[str] = []
        for record in list(self.records):
            try:
                line = printable(record.getMessage())
            except (TypeError, ValueError):
                line = printable(str(record.msg))
            if not lines or lines[-1] != line:
                lines.append(line)
        return lines


def give_back_terminals() -> None:
    """Leave every screen, as before a process ends at once; may be called by a signal's handler."""
    while _taken:
        with contextlib.suppress(OSError, KeyError):
            os.write(_taken.pop(), _LEAVE.encode())


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty() and stream.fileno() >= 0 and os.environ.get("TERM") not in (None, "", "dumb")
    except (OSError, ValueError):
        return False


def _has_rich() -> bool:
    from importlib.util import find_spec

    if find_spec("rich") is not None:
        return True
    _LOG.info("for a live view: pip install 'edgeml-kit[view]'")
    return False
