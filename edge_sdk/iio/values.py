"""Numbers of an IIO device: read from their files, and taken to the units that are wanted."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_sdk.closing import Closing
from edge_sdk.errors import ConfigError, Retry
from edge_sdk.iio.device import Channel
from edge_sdk.sources._quantities import Columns

#: How often a device is looked for in sysfs, s.
_LOOK_S = 0.5
_LONGEST = 256


class Formula:
    """value = (raw + offset) × scale, then the unit that is wanted; computed in float64.

    Args:
        picked: the channel of each column.
        columns: their names and units.
    """

    def __init__(self, picked: Sequence[Channel], columns: Columns) -> None:
        self.names = columns.names
        factor = np.array(columns.scale)
        self._factor = np.array([channel.scale for channel in picked]) * factor
        offset = np.array([channel.offset for channel in picked])
        self._summand = offset * self._factor + np.array(columns.offset)

    def __call__(self, raw: NDArray[np.float64]) -> NDArray[np.float32]:
        """float64 [..., channels] as read → float32 of the same shape, in the columns' units."""
        values: NDArray[np.float32] = (raw * self._factor + self._summand).astype(np.float32)
        return values


class Readings(Closing):
    """The files that hold each channel's current value, kept open.

    Args:
        url: the source, for messages.
        folder: the device's, in sysfs.
        picked: which channels.

    Raises:
        ConfigError: a channel can only be had through the buffer.
        Retry: the device is gone.
    """

    def __init__(self, url: str, folder: Path, picked: Sequence[Channel]) -> None:
        self._folder = folder
        self._looked_s = 0.0
        self._files: list[tuple[int, int]] = []
        opened: dict[Path, int] = {}
        try:
            for channel in picked:
                if channel.reading is None:
                    raise ConfigError(
                        f"{url}: {channel.name} has no file to read", remedy="use its buffer: mode=buffer"
                    )
                if channel.reading not in opened:
                    opened[channel.reading] = os.open(channel.reading, os.O_RDONLY | os.O_CLOEXEC)
                self._files.append((opened[channel.reading], channel.part))
        except OSError as error:
            if isinstance(error, ConfigError):
                raise
            raise Retry(f"{url}: cannot be read", found=error.strerror) from error
        finally:
            self._opened = list(opened.values())

    def values(self) -> NDArray[np.float64]:
        """float64 [channels], one after the other.

        Raises:
            OSError: one cannot be read, or is no number.
        """
        now_s = time.monotonic()
        if now_s - self._looked_s > _LOOK_S:
            self._folder.stat()  # raises when it is gone
            self._looked_s = now_s
        said = {file: os.pread(file, _LONGEST, 0) for file in self._opened}
        try:
            return np.array([float(said[file].split()[part]) for file, part in self._files])
        except (ValueError, IndexError) as error:
            raise OSError(errno.EBADMSG, f"not a number: {list(said.values())!r:.80}") from error

    def close(self) -> None:
        """Close the files; may be called twice."""
        while self._opened:
            os.close(self._opened.pop())
