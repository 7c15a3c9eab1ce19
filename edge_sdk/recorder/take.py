"""One recording while it grows: on the disk from its first sample on, so that no crash takes it away."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_sdk.dataset.collection import WORK, failed

_SUFFIX = ".take"
#: Samples are on the disk after so long at most, s.
_SYNC_S = 1.0
#: The line at the head of the file is so long at most, bytes.
_HEAD = 65_536


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a take.

    Attributes:
        label: what is shown; None where nobody has said so.
        group: who is recorded.
        name: what tells it from others.
        channels: how many.
        rate_hz: of the samples.
        suffix: the kind of file that it will be.
    """

    label: str | None
    group: str
    name: str
    channels: Annotated[int, msgspec.Meta(ge=1)]
    rate_hz: float
    suffix: str


class Take:
    """Samples of one device under one label, without a gap.

    The file is a line of JSON and then float32 samples. It is locked while somebody writes it.

    Args:
        folder: of the dataset.
        about: what is known of it.

    Raises:
        DeviceError: it cannot be written.
    """

    def __init__(self, folder: Path, about: About) -> None:
        self.about = about
        self.samples = 0
        self._folder = folder
        self._path = folder / WORK / f"{about.group}_{about.name}-{os.getpid()}{_SUFFIX}"
        try:
            self._path.parent.mkdir(exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            self._write(msgspec.json.encode(about) + b"\n")
        except OSError as error:
            raise failed(folder, error) from error
        self._start = self._end = os.lseek(self._file, 0, os.SEEK_CUR)
        self._synced_s = time.monotonic()

    def append(self, samples: NDArray[np.float32]) -> None:
        """Add samples, float32 [n, channels], all or none.

        Raises:
            DeviceError: the disk takes no more; what was there before stays.
        """
        data = np.ascontiguousarray(samples, np.float32).tobytes()
        try:
            self._write(data)
            if time.monotonic() - self._synced_s >= _SYNC_S:
                os.fdatasync(self._file)
                self._synced_s = time.monotonic()
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._end)
                os.lseek(self._file, self._end, os.SEEK_SET)
            raise failed(self._folder, error) from error
        self._end += len(data)
        self.samples += len(samples)

    def read(self) -> NDArray[np.float32]:
        """All samples, float32 [n, channels]."""
        data = bytearray()
        while chunk := os.pread(self._file, 1 << 24, self._start + len(data)):
            data += chunk
        return _matrix(bytes(data), self.about.channels)

    def discard(self) -> None:
        """Remove the file."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Leave the file as it is; may be called twice."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]


def left_behind(folder: Path) -> Iterator[tuple[About, NDArray[np.float32], Path]]:
    """The takes of a recorder that died: what was known of each, its samples, its file.

    One that another process still writes is left alone; one that tells nothing is passed over.
    """
    for path in sorted((folder / WORK).glob(f"*{_SUFFIX}")):
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                about = msgspec.json.decode(file.readline(_HEAD), type=About)
            except (BlockingIOError, msgspec.DecodeError):
                continue
            yield about, _matrix(file.read(), about.channels), path


def _matrix(data: bytes, channels: int) -> NDArray[np.float32]:
    """Whole samples; the last one may be torn."""
    count = len(data) // (4 * channels)
    return np.frombuffer(data[: count * 4 * channels], np.float32).reshape(count, channels)
