"""A text file that only grows: whole lines, synced before they are acknowledged, repaired after a crash."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
from pathlib import Path
from typing import Literal

from edge_sdk.errors import DeviceError, Fatal, Retry

Sync = Literal["batch", "none"]

_LOG = logging.getLogger("edgeml")
#: Errors that only a person can mend; everything else (disk full, I/O error) may pass.
_FOR_GOOD = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
}
_CHUNK_BYTES = 65536


class AppendedFile:
    """Appends lines to a file; one writer at a time.

    A last line without its newline was torn by a crash or a power cut and was never acknowledged: it is cut
    when the file is opened, and counted in `torn_bytes`.

    Args:
        path: the file; its folder must be there.
        sync: ``batch`` has every batch on the disk before it counts as delivered (fsync, survives a power
            cut); ``none`` leaves that to the system (survives a crash of the program only).

    Raises:
        Fatal: no such folder, no permission, a read-only disk.
        Retry: another process writes the file, or the disk fails.
    """

    def __init__(self, path: Path, sync: Sync) -> None:
        self.path, self.sync = path, sync
        self.torn_bytes = 0
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self._verdict(error) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._end = self._repair()
            if sync == "batch":
                _sync_folder(path)
        except BlockingIOError as error:
            self.close()
            raise Retry(
                f"{path}: another process writes it", remedy="give each pipeline a file of its own"
            ) from error
        except OSError as error:
            self.close()
            raise self._verdict(error) from error

    @property
    def empty(self) -> bool:
        """Whether nothing was written yet."""
        return self._end == 0

    def first_line(self) -> bytes:
        """The first line without its newline, at most 64 KiB of it."""
        return os.pread(self._file, _CHUNK_BYTES, 0).split(b"\n", 1)[0]

    def append(self, lines: bytes) -> None:
        """Append whole lines, all or none.

        Raises:
            Retry: the disk is full or fails, or the file was moved or deleted meanwhile.
        """
        self._check_in_place()
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            if self.sync == "batch":
                os.fdatasync(self._file)
        except OSError as error:
            with contextlib.suppress(OSError):  # if it fails too, the next open cuts the torn line
                os.ftruncate(self._file, self._end)
            raise self._verdict(error) from error
        self._end += len(lines)

    def close(self) -> None:
        """Close it; may be called twice."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _check_in_place(self) -> None:
        """A file that was rotated away takes lines that nobody will find: reopen instead."""
        try:
            there, here = self.path.stat(), os.fstat(self._file)
        except OSError as error:
            raise Retry(f"{self.path}: the file is gone", remedy="it is written anew") from error
        if (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino):
            raise Retry(f"{self.path}: the file was replaced", remedy="the new one is written from now on")

    def _repair(self) -> int:
        """Cut what follows the last newline; returns the length that is left."""
        size = os.fstat(self._file).st_size
        end = size
        while end:
            start = max(0, end - _CHUNK_BYTES)
            newline = os.pread(self._file, end - start, start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        self.torn_bytes = size - end
        if self.torn_bytes:
            os.ftruncate(self._file, end)
            _LOG.warning("%s: cut %d bytes of a line torn by a crash", self.path, self.torn_bytes)
        return end

    def _verdict(self, error: OSError) -> DeviceError:
        kind = Fatal if error.errno in _FOR_GOOD else Retry
        remedy = {
            errno.ENOENT: f"create the folder first: mkdir -p {self.path.parent}",
            errno.ENOSPC: "free some space",
            errno.EFBIG: "raise the file size limit, or begin another file",
            errno.EROFS: "choose a folder on a writable disk",
            errno.EACCES: "choose a folder that this user may write",
        }.get(error.errno or 0)
        return kind(f"{self.path}: cannot be written", found=error.strerror or error, remedy=remedy)


def _sync_folder(path: Path) -> None:
    """A new file survives a power cut only when its folder's entry does."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
