"""Text lines from a wire into samples: CSV or JSON, with whatever garbage a wire adds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.blocks import Fault
from edge_sdk.errors import ConfigError

#: A line that is longer is no line: the buffer never grows past it.
MAX_LINE_BYTES = 4096
_WORDS = {"tab": "\t", "space": None, "comma": ",", "semicolon": ";"}


class LineParser:
    """Takes bytes as they come and gives back samples.

    A line holds one sample of every channel. Numbers separated by the delimiter, a JSON list or a JSON object
    are read; empty lines and lines that begin with ``#`` are not. A line of names is a header. What is
    anything else is a `Fault`.

    Args:
        channels: names of the columns; empty where a header may tell.
        expected: names that the model wants, for a wire that tells nothing.
        delimiter: one character, or ``tab``, ``space`` (any white space), ``comma``, ``semicolon``.
        mid_line: bytes may begin in the middle of a line, which is then skipped.
    """

    def __init__(
        self,
        channels: Sequence[str] = (),
        expected: Sequence[str] = (),
        delimiter: str = ",",
        *,
        mid_line: bool = False,
    ) -> None:
        if delimiter not in _WORDS and len(delimiter) != 1:
            raise ConfigError(
                "option 'delimiter'", expected="one character, or " + ", ".join(_WORDS), found=repr(delimiter)
            )
        separator = _WORDS.get(delimiter, delimiter)
        self._separator = None if separator is None else separator.encode()
        self._fixed = bool(channels)
        self.expected = tuple(expected)
        self.channels = tuple(channels)
        self._width = len(self.channels or self.expected)
        self._buffer = b""
        self._overlong = False
        self._mid_line = mid_line

    def feed(self, data: bytes) -> Iterator[NDArray[np.float32] | Fault]:
        """Take bytes; yield float32 [n, channels] for each run of good lines, a Fault for each bad one."""
        rows: list[list[float]] = []
        for line in self._lines(data):
            if self._mid_line:
                self._mid_line = False
                if not self._is_known_header(line):
                    continue
            row = None if line is None else self._row(line)
            if row:
                rows.append(row)
            elif row is None:
                if rows:
                    yield np.array(rows, np.float32)
                    rows = []
                shown = "a line without an end" if line is None else repr(line[:60].decode(errors="replace"))
                yield Fault("garbage", samples=1, detail=f"not {self._width or 'any'} numbers: {shown}")
        if rows:
            yield np.array(rows, np.float32)

    def finish(self) -> Iterator[NDArray[np.float32] | Fault]:
        """The last line of a stream that ended without a newline."""
        return self.feed(b"\n") if self._buffer else iter(())

    def _lines(self, data: bytes) -> Iterator[bytes | None]:
        """Complete lines; None for one that is too long."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            if self._overlong:
                self._overlong = False
            else:
                yield line.strip() if len(line) <= MAX_LINE_BYTES else None
        if len(self._buffer) > MAX_LINE_BYTES:
            self._buffer = b""
            if not self._overlong:
                self._overlong = True
                yield None
        elif self._overlong:
            self._buffer = b""

    def _row(self, line: bytes) -> list[float] | None:
        """The numbers of a line; [] where it holds none on purpose; None for garbage."""
        if not line or line.startswith(b"#"):
            return []
        if line[0] in b"{[":
            return self._json_row(line)
        try:
            row = [float(cell) for cell in line.split(self._separator)]
        except ValueError:
            return [] if self._take_header(line) else None
        if b"_" in line:  # Python reads 1_000 as a number, no sensor writes it
            return None
        return self._checked(row)

    def _json_row(self, line: bytes) -> list[float] | None:
        try:
            value: Any = json.loads(line)
            if isinstance(value, dict):
                if not self.channels:
                    self._name(
                        self.expected if set(self.expected) <= set(value) and self.expected else tuple(value)
                    )
                value = [value[name] for name in self.channels]
            return self._checked([float("nan") if cell is None else float(cell) for cell in value])
        except (ValueError, TypeError, KeyError, RecursionError):
            return None

    def _checked(self, row: list[float]) -> list[float] | None:
        if not self._width:
            self._width = len(row)
        return row if len(row) == self._width else None

    def _take_header(self, line: bytes) -> bool:
        names = self._names(line)
        if not names or (self._fixed and names != self.channels):
            return False
        self._name(names)
        return True

    def _is_known_header(self, line: bytes | None) -> bool:
        """A header of which nothing is missing, although it is the first line."""
        names = set(self._names(line or b""))
        wanted = set(self.channels or self.expected)
        return bool(wanted) and wanted <= names

    def _names(self, line: bytes) -> tuple[str, ...]:
        """The names in a header; nothing where it is none."""
        try:
            names = tuple(cell.decode().strip().strip('"') for cell in line.split(self._separator))
        except UnicodeDecodeError:
            return ()
        plain = all(name and name[0].isalpha() and name.isprintable() for name in names)
        if not plain or len(set(names)) != len(names):
            return ()
        # Before anything is known, a word is as likely a boot message as a header of one channel.
        wanted = self.channels or self.expected
        return names if set(wanted) <= set(names) and (wanted or len(names) > 1) else ()

    def _name(self, names: tuple[str, ...]) -> None:
        self.channels, self._width = names, len(names)
