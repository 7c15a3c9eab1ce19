"""The windows of a dataset, in memory or, where they are too many, in a file that windows are cut from.

A file holds each sample once, however much windows overlap. It has no name, so that nothing is left of it
when the process ends, however that ends.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.child import progress
from edge_sdk.dataset import Dataset, Windowed
from edge_sdk.errors import DeviceError
from train_host.config import Config


class Samples:
    """A file without a name; it goes when nobody holds this any more.

    Args:
        folder: where it lies.
    """

    def __init__(self, folder: Path) -> None:
        self.descriptor, path = tempfile.mkstemp(dir=folder)
        os.unlink(path)  # noqa: PTH108 - before anything else can fail
        weakref.finalize(self, os.close, self.descriptor)


class StoredWindows:
    """Windows in a file, which stand where an array float32 [n, window, channels] would.

    An index chooses windows and reads nothing yet; `numpy.asarray` reads those that were chosen.

    Args:
        samples: the file that holds them as float32.
        offsets: int64 [n], bytes into the file.
        shape: of one window.
        hop_bytes: from one window to the next, where they are of one recording.
    """

    dtype = np.dtype(np.float32)

    def __init__(
        self, samples: Samples, offsets: NDArray[np.int64], shape: tuple[int, ...], hop_bytes: int
    ) -> None:
        self.samples, self.offsets, self.hop_bytes = samples, offsets, hop_bytes
        self.shape = (len(offsets), *shape)
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return len(self.offsets)

    def __getitem__(self, chosen: Any) -> StoredWindows:
        """Windows by slice, by numbers, or by a mask."""
        return StoredWindows(self.samples, self.offsets[chosen], self.shape[1:], self.hop_bytes)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        every = np.arange(len(self))
        return self.read(every).astype(dtype or self.dtype, copy=False)

    def read(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """float32 [len(numbers), …]: these windows.

        Raises:
            DeviceError: the disk failed.
        """
        found = np.empty((len(numbers), *self.shape[1:]), np.float32)
        rows = found.reshape(len(numbers), -1).view(np.uint8)
        descriptor = self.samples.descriptor
        for row, offset in zip(rows, self.offsets[numbers].tolist(), strict=True):
            if os.preadv(descriptor, [row.data], offset) != row.size:
                raise DeviceError("the file of samples cannot be read", found="an end too early")
        return found

    def announce(self, numbers: NDArray[np.int64]) -> None:
        """Tell the system that these windows, of which many stand side by side, will be read soon."""
        if not len(numbers):
            return
        offsets = np.sort(self.offsets[numbers])
        length = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        last = np.flatnonzero(np.diff(offsets) > max(length, self.hop_bytes))
        begins, ends = offsets[np.r_[0, last + 1]], offsets[np.r_[last, len(offsets) - 1]] + length
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
            os.posix_fadvise(self.samples.descriptor, begin, end - begin, os.POSIX_FADV_WILLNEED)


def collect(dataset: Dataset, config: Config, folder: Path) -> Windowed:
    """The windows of all groups: in memory up to `config.memory_mb`, else in a file.

    Args:
        dataset: whose.
        config: completed by `Config.for_dataset`.
        folder: where that file may lie.

    Returns:
        `x` is an array, or `StoredWindows`.

    Raises:
        DatasetError: as `Dataset.windows`.
        DeviceError: the disk is full.
    """
    pieces = dataset.pieces(dataset.groups, config.window or 1, config.hop or 1)
    held: list[Windowed] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += piece.x.nbytes
        if size > config.memory_mb << 20:
            progress(stage=f"more than {config.memory_mb} MB of windows: writing the samples to the disk")
            return _store(itertools.chain(_released(held), pieces), config.hop or 1, folder)
    return Windowed(
        np.concatenate([piece.x for piece in held]),
        np.concatenate([piece.y for piece in held]),
        [name for piece in held for name in piece.group],
    )


def _released(held: list[Windowed]) -> Iterator[Windowed]:
    """One by one, so that each can go when it is written."""
    held.reverse()
    while held:
        yield held.pop()


def _store(pieces: Iterable[Windowed], hop: int, folder: Path) -> Windowed:
    offsets: list[NDArray[np.int64]] = []
    labels: list[NDArray[Any]] = []
    names: list[str] = []
    shape: tuple[int, ...] = ()
    hop_bytes = 0
    try:
        samples = Samples(folder)
        with os.fdopen(os.dup(samples.descriptor), "wb") as file:
            for piece in pieces:
                if not len(piece):
                    continue
                shape = piece.x.shape[1:]
                step = min(hop, shape[0])
                hop_bytes = step * int(np.prod(shape[1:])) * 4
                offsets.append(file.tell() + hop_bytes * np.arange(len(piece)))
                labels.append(piece.y)
                names += piece.group
                file.write(np.ascontiguousarray(piece.x[0]).data)
                file.write(np.ascontiguousarray(piece.x[1:, shape[0] - step :]).data)
    except OSError as error:
        raise DeviceError(
            f"{folder}: cannot hold the samples",
            found=error.strerror or error,
            remedy="free some space, or raise memory_mb",
        ) from error
    x: Any = StoredWindows(samples, np.concatenate(offsets), shape, hop_bytes)
    return Windowed(x, np.concatenate(labels), names)
