"""Finds rows in a damaged database, page by page; a row's checksum says whether it is one.

SQLite refuses a file whose header or inner pages are broken. Rows lie in leaf pages, whole, so that these can
be read without the rest. Source: https://www.sqlite.org/fileformat2.html, sections 1.6, 2.1 and 4.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_sdk.outbox.store import Row

_PAGE_BYTES = 4096
_LEAF = 0x0D
_LOG_HEAD_BYTES, _FRAME_HEAD_BYTES = 32, 24
_INTEGER_BYTES = (0, 1, 2, 3, 4, 6, 8)
#: Largest row that is looked for, bytes.
_LARGEST = 64 << 20


def salvage(path: Path) -> Iterator[Row]:
    """Every row whose checksum holds, in the file and in its write-ahead log; one may come more than once.

    Raises OSError where nothing can be read.
    """
    for number, values in _records(path):
        if len(values) == 5 and values[0] is None:  # the id is the record's own number
            _, wanted, put_s, crc, body = values
            if isinstance(wanted, int) and isinstance(put_s, (int, float)) and isinstance(body, bytes):
                row = Row(number, wanted, float(put_s), crc, body)
                if row.intact:
                    yield row


def salvage_names(path: Path) -> set[str]:
    """What may be names of sinks; whoever asks must know how to tell."""
    return {values[0] for _, values in _records(path) if len(values) == 4 and isinstance(values[0], str)}


class _Pages:
    """Pages by number: those of the file, then those of the log."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        log = path.with_name(path.name + "-wal")
        self._log = log.open("rb") if log.exists() else None
        self._frames: dict[int, int] = {}

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        with self._file:
            number = 0
            while page := self._read_file(number := number + 1):
                yield number, page
            if self._log is not None:
                with self._log:
                    yield from self._logged()

    def read(self, number: int) -> bytes:
        """The latest state of a page that was come by."""
        if self._log is not None and number in self._frames:
            self._log.seek(self._frames[number])
            return self._log.read(_PAGE_BYTES)
        return self._read_file(number)

    def _read_file(self, number: int) -> bytes:
        if self._file.closed or number < 1:
            return b""
        self._file.seek((number - 1) * _PAGE_BYTES)
        return self._file.read(_PAGE_BYTES)

    def _logged(self) -> Iterator[tuple[int, bytes]]:
        assert self._log is not None
        at = _LOG_HEAD_BYTES
        while True:
            self._log.seek(at)
            head, page = self._log.read(_FRAME_HEAD_BYTES), self._log.read(_PAGE_BYTES)
            if len(page) < _PAGE_BYTES:
                return
            (number,) = struct.unpack_from(">I", head)
            self._frames[number] = at + _FRAME_HEAD_BYTES
            yield number, page
            at += _FRAME_HEAD_BYTES + _PAGE_BYTES


def _records(path: Path) -> Iterator[tuple[int, list[Any]]]:
    """Number and columns of whatever looks like a record."""
    pages = _Pages(path)
    for number, page in pages:
        head = 100 if number == 1 else 0
        if len(page) < _PAGE_BYTES or page[head] != _LEAF:
            continue
        (cells,) = struct.unpack_from(">H", page, head + 3)
        for n in range(min(cells, (_PAGE_BYTES - head - 8) // 2)):
            (at,) = struct.unpack_from(">H", page, head + 8 + 2 * n)
            try:
                yield _record(page, at, pages)
            except (IndexError, ValueError, struct.error):  # it only looked like one
                continue


def _record(page: bytes, at: int, pages: _Pages) -> tuple[int, list[Any]]:
    length, at = _varint(page, at)
    number, at = _varint(page, at)
    if length > _LARGEST:
        raise ValueError(f"{length} bytes")
    record = _payload(page, at, length, pages)
    head_bytes, place = _varint(record, 0)
    kinds = []
    while place < head_bytes:
        kind, place = _varint(record, place)
        kinds.append(kind)
    values: list[Any] = []
    for kind in kinds:
        value, place = _value(record, place, kind)
        values.append(value)
    return number, values


def _payload(page: bytes, at: int, length: int, pages: _Pages) -> bytes:
    """A record, put together from its page and those it overflows into."""
    most = _PAGE_BYTES - 35
    if length <= most:
        return page[at : at + length]
    least = (_PAGE_BYTES - 12) * 32 // 255 - 23
    here = least + (length - least) % (_PAGE_BYTES - 4)
    here = here if here <= most else least
    parts = [page[at : at + here]]
    (following,) = struct.unpack_from(">I", page, at + here)
    missing = length - here
    while missing > 0:
        more = pages.read(following)
        (following,) = struct.unpack_from(">I", more)
        parts.append(more[4 : 4 + min(missing, _PAGE_BYTES - 4)])
        missing -= _PAGE_BYTES - 4
    return b"".join(parts)


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for n in range(8):
        byte = content[at + n]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + n + 1
    return value << 8 | content[at + 8], at + 9


def _value(record: bytes, at: int, kind: int) -> tuple[Any, int]:
    """A column by its serial type, and where the next one begins."""
    if kind == 0:
        return None, at
    if kind < len(_INTEGER_BYTES):
        size = _INTEGER_BYTES[kind]
        return int.from_bytes(record[at : at + size], "big", signed=True), at + size
    if kind == 7:
        return struct.unpack_from(">d", record, at)[0], at + 8
    if kind in {8, 9}:
        return kind - 8, at
    size = (kind - 12) // 2
    if kind < 12 or len(record) < at + size:
        raise ValueError(f"serial type {kind}")
    content = record[at : at + size]
    return content.decode() if kind % 2 else content, at + size
