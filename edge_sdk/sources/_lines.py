"""Text lines from a wire into samples: CSV or JSON, with whatever garbage a wire adds."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.blocks import Fault
from edge_sdk.errors import ConfigError

#: A line that is longer is no line: the buffer never grows past it.
MAX_LINE_BYTES = 4096
#: Devices that one wire may name; further ones are faults.
MAX_DEVICES = 1024
_WORDS = {"tab": "\t", "space": None, "comma": ",", "semicolon": ";"}


class LineParser:
    """Takes bytes as they come and gives back samples.

    A line holds one sample of every channel. Numbers separated by the delimiter, a JSON list or a JSON object
    are read; empty lines and lines that begin with ``#`` are not. A line of names is a header. What is
    anything else is a `Fault`. Objects may name the device that they come from, as a gateway's do.

    Args:
        channels: names of the columns; empty where a header may tell.
        expected: names that the model wants, for a wire that tells nothing.
        delimiter: one character, or ``tab``, ``space`` (any white space), ``comma``, ``semicolon``.
        mid_line: bytes may begin in the middle of a line, which is then skipped.
        device_key: of a JSON object, the key that names a device; empty: none does.

    Attributes:
        channels: names of the columns, as far as they are known.
        device: whose the samples are that `feed` yielded last; empty where nothing names it.
    """

    device = ""

    def __init__(
        self,
        channels: Sequence[str] = (),
        expected: Sequence[str] = (),
        delimiter: str = ",",
        *,
        mid_line: bool = False,
        device_key: str = "",
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
        self._device_key = device_key
        self._devices: set[str] = set()

    def feed(self, data: bytes) -> Iterator[NDArray[np.float32] | Fault]:
        """Take bytes; yield float32 [n, channels] for each run of good lines, a Fault for each bad one."""
        runs: dict[str, list[list[float]]] = {}
        for line in self._lines(data):
            if self._mid_line:
                self._mid_line = False
                if not self._is_known_header(line):
                    continue
            self.device = ""
            row = self._garbage("a line without an end") if line is None else self._row(line)
            if isinstance(row, Fault):
                yield from self._flush(runs)
                yield row
            elif row:
                runs.setdefault(self.device, []).append(row)
        yield from self._flush(runs)

    def _flush(self, runs: dict[str, list[list[float]]]) -> Iterator[NDArray[np.float32]]:
        for device, rows in runs.items():
            self.device = device
            with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and no sample
                samples = np.array(rows, np.float32)
            yield samples
        runs.clear()

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

    def _row(self, line: bytes) -> list[float] | Fault:
        """The numbers of a line; [] where it holds none on purpose."""
        if not line or line.startswith(b"#"):
            return []
        if line[0] in b"{[":
            return self._json_row(line)
        try:
            row = [float(cell) for cell in line.split(self._separator)]
        except ValueError:
            return [] if self._take_header(line) else self._garbage(line)
        if b"_" in line:  # Python reads 1_000 as a number, no sensor writes it
            return self._garbage(line)
        return self._checked(row, line)

    def _json_row(self, line: bytes) -> list[float] | Fault:
        try:
            value: Any = json.loads(line)
            if isinstance(value, dict):
                if self._device_key and self._device_key in value:
                    device = _text(value.pop(self._device_key))
                    if not self._is_welcome(device):
                        return Fault("device", 1, f"not the name of a device: {device[:60]!r}")
                    self.device = device
                names = self.channels or self.expected or tuple(value)
                row = [_number(value[name]) for name in names]
                self._name(names)  # not before: a board's first words may be an object, too
                return row
            return self._checked([_number(cell) for cell in value], line)
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            return self._garbage(line)

    def _is_welcome(self, device: str) -> bool:
        """Whether that may name a device, and one more may come."""
        if device not in self._devices:
            if not is_device(device) or len(self._devices) >= MAX_DEVICES:
                return False
            self._devices.add(device)
        return True

    def _garbage(self, line: bytes | str) -> Fault:
        shown = line if isinstance(line, str) else repr(line[:60].decode(errors="replace"))
        return Fault("garbage", 1, f"not {self._width or 'any'} numbers: {shown}", self.device)

    def _checked(self, row: list[float], line: bytes) -> list[float] | Fault:
        if not self._width:
            self._width = len(row)
        return row if len(row) == self._width else self._garbage(line)

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


def is_device(name: str) -> bool:
    """Whether that may be the name of a device: printable text of at most 128 characters."""
    return 0 < len(name) <= 128 and name.isprintable()


def _number(cell: Any) -> float:
    return math.nan if cell is None else float(cell)


def _text(name: Any) -> str:
    """A device's name, which may be a number; empty for what is none."""
    return str(name) if isinstance(name, (str, int)) and not isinstance(name, bool) else ""
