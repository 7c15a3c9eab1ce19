"""Cuts a stream of samples into overlapping windows without copying them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import SpecError


class Windows:
    """A mirror ring: each sample is stored twice, so that the latest `length` samples are always contiguous.

    Args:
        length: samples in a window.
        hop: samples from the start of one window to the start of the next.
        channels: columns.

    >>> windows = Windows(3, 2, 1)
    >>> [w.ravel().tolist() for w in windows.push(np.arange(6, dtype=np.float32)[:, None])]
    [[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]]
    >>> windows.pending
    1
    """

    def __init__(self, length: int, hop: int, channels: int) -> None:
        if length < 1 or hop < 1:
            raise SpecError(
                "window and hop", expected="at least one sample each", found=f"{length} and {hop}"
            )
        self.length, self.hop, self.channels = length, hop, channels
        self.pending = 0
        """Samples that are in no window yet."""
        self.skipped = 0
        """Samples that never will be, because the hop is longer than the window."""
        self._ring = np.zeros((2 * length, channels), np.float32)
        self._at = 0
        self._until = length
        self._skip = 0

    def push(self, samples: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Take samples and yield the windows that they complete.

        Args:
            samples: float32 [n, channels].

        Yields:
            float32 [length, channels]: a view, valid until the next window is asked for; copy it to keep it.
        """
        start = 0
        while start < len(samples):
            if self._skip:
                skipped = min(self._skip, len(samples) - start)
                self._skip -= skipped
                self.skipped += skipped
                start += skipped
                continue
            # At most up to the ring's edge, at most to the end of the next window.
            count = min(self._until, len(samples) - start, self.length - self._at)
            self._ring[self._at : self._at + count] = samples[start : start + count]
            self._ring[self._at + self.length : self._at + self.length + count] = samples[
                start : start + count
            ]
            self._at = (self._at + count) % self.length
            self._until -= count
            self.pending += count
            start += count
            if not self._until:
                self._until = min(self.hop, self.length)
                self._skip = max(self.hop - self.length, 0)
                self.pending = 0
                self.consumed = start
                yield self._ring[self._at : self._at + self.length]

    consumed = 0
    """Rows of the block being pushed up to and including the last sample of the window just yielded."""

    def reset(self) -> int:
        """Start over, as after a gap; returns how many pending samples are given up."""
        dropped, self.pending = self.pending, 0
        self._at, self._until, self._skip = 0, self.length, 0
        return dropped


def cut(samples: NDArray[np.float32], length: int, hop: int) -> NDArray[np.float32]:
    """The windows of a whole recording, the same ones that `Windows` yields.

    Args:
        samples: float32 [n, channels].
        length: samples in a window.
        hop: samples between the starts of two windows.

    Returns:
        float32 [windows, length, channels], a read-only view; no windows where the recording is too short.
    """
    if len(samples) < length:
        return np.empty((0, length, samples.shape[1]), np.float32)
    view = np.lib.stride_tricks.sliding_window_view(samples, length, axis=0)[::hop]
    return view.transpose(0, 2, 1)
