"""The crash books: a few numbers a lane in a mapped page, which outlives the process but not the power."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import mmap
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_MAGIC = b"edgeml books 1\n\0"
_HEAD = struct.Struct("<16s16s")
#: Two copies that are written in turn, so that a kill in mid-write leaves the one before.
_COPY_AT = (4096, 8192)
_BYTES = 12288
_CRC = struct.Struct("<I")
_FIXED = struct.Struct("<IQQQ")  # lanes, turn, last id, open
_LANE_FIELDS = 6
#: Lanes of one file, in use or former: a bit each of a signed 64-bit number.
MOST_LANES = 63


@dataclass(frozen=True, slots=True)
class LaneFigures:
    """One lane: letters offered and settled ever, its cursor, how many its sink works on, its bit's place."""

    offered: int
    settled: int
    cursor: int
    held: int
    slot: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What the books of the process before say; `left_open` when it did not close them."""

    key: bytes
    last_id: int
    left_open: bool
    lanes: dict[int, LaneFigures]


class Books:
    """Writes the figures of every put and acknowledgement into a mapped file.

    No write is forced to the disk: a killed process leaves them in the page cache, exact; after a power cut
    they may be old, which costs duplicates and figures but nothing else.

    Args:
        path: the file; it is also what is locked against a second process.

    Raises:
        BlockingIOError: another process has it.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _locked(path)
        try:
            size = os.fstat(self._file).st_size
            self.found = os.pread(self._file, _BYTES, 0) if size else b""
            if size != _BYTES:
                os.ftruncate(self._file, 0)
                os.pwrite(
                    self._file, bytes(_BYTES), 0
                )  # not a hole: a store into one kills when the disk is full
            self._map = mmap.mmap(self._file, _BYTES)
        except OSError:
            os.close(self._file)
            raise
        self._turn = 0
        self.figures: list[int] = []
        self._layout = struct.Struct("")

    def begin(self, key: bytes, last_id: int, lanes: Sequence[tuple[str, LaneFigures]]) -> None:
        """Start anew for a database.

        `figures` then holds the last id at 0, whether it is open at 1, and `LaneFigures` from 2 on.
        """
        self.figures = [last_id, 1]
        names = []
        for name, lane in lanes:
            names.append(name_code(name))
            self.figures += [lane.offered, lane.settled, lane.cursor, lane.held, lane.slot]
        self._names = struct.pack(f"<{len(names)}Q", *names)
        self._layout = struct.Struct(f"<Q{len(self.figures)}Q")
        self._count = struct.pack("<I", len(names))
        self._map[:] = bytes(_BYTES)
        self._map[: _HEAD.size] = _HEAD.pack(_MAGIC, key)
        self.save()
        self._map.flush()

    def save(self) -> None:
        """Write `figures`; a microsecond. Nothing after `close`: a sink that hung may still acknowledge."""
        if self._file < 0:
            return
        self._turn += 1
        body = self._count + self._layout.pack(self._turn, *self.figures) + self._names
        at = _COPY_AT[self._turn & 1]
        self._map[at : at + 4 + len(body)] = _CRC.pack(zlib.crc32(body)) + body

    def close(self, *, remove: bool = False) -> None:
        """Say that all was closed in order, and release the lock."""
        if self._file < 0:
            return
        if self.figures:
            self.figures[1] = 0
            self.save()
        self._map.close()
        if remove:
            with contextlib.suppress(OSError):
                self.path.unlink()
        os.close(self._file)
        self._file = -1


def read_figures(content: bytes, key: bytes | None) -> Figures | None:
    """The figures in a books file; None when there are none that hold, or those of another database.

    Args:
        content: of the file.
        key: the database's; None where that cannot be read any more.
    """
    if len(content) != _BYTES:
        return None
    magic, found = _HEAD.unpack_from(content)
    if magic != _MAGIC or (key is not None and found != key):
        return None
    copies = [copy for at in _COPY_AT if (copy := _copy(content, at)) is not None]
    return max(copies, key=lambda copy: copy[0])[1] if copies else None


def name_code(name: str) -> int:
    """A sink's name as a number."""
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).digest(), "little")


def _copy(content: bytes, at: int) -> tuple[int, Figures] | None:
    (crc,) = _CRC.unpack_from(content, at)
    count, turn, last_id, is_open = _FIXED.unpack_from(content, at + 4)
    length = _FIXED.size + 8 * _LANE_FIELDS * count
    if count > MOST_LANES or crc != zlib.crc32(content[at + 4 : at + 4 + length]):
        return None
    values = struct.unpack_from(f"<{_LANE_FIELDS * count}Q", content, at + 4 + _FIXED.size)
    lanes = {values[5 * count + n]: LaneFigures(*values[5 * n : 5 * n + 5]) for n in range(count)}
    return turn, Figures(content[16:32], last_id, bool(is_open), lanes)


def _locked(path: Path) -> int:
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            there = path.stat()
            here = os.fstat(file)
            if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino):
                return file
        except FileNotFoundError:  # the process before has just removed it
            pass
        except BaseException:
            os.close(file)
            raise
        os.close(file)
