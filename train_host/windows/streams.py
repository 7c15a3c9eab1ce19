"""Which windows are of which recording: a dataset's windows as the streams that they were cut from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.dataset import Dataset, Recording, Windowed, truth


@dataclass(frozen=True, slots=True)
class Stream:
    """One recording among the windows of a side.

    Attributes:
        recording: whose they are.
        windows: where they stand; none of a recording that is shorter than a window.
        window: samples in one of them.
        hop: samples between the starts of two.
        rate_hz: of the samples; None for an image.
        duration_s: of the whole recording; 0 for an image.
    """

    recording: Recording
    windows: range
    window: int
    hop: int
    rate_hz: float | None
    duration_s: float

    def end_s(self, number: int) -> float:
        """When its n-th window is complete, s after its beginning."""
        return (self.window + number * self.hop) / (self.rate_hz or 1.0)


def streams(dataset: Dataset, groups: Iterable[str], window: int, hop: int) -> list[Stream]:
    """The recordings behind `Dataset.windows` of the same arguments, in the order of their windows.

    Raises:
        DatasetError: a recording cannot be read.
    """
    wanted, found, at = set(groups), [], 0
    for recording in dataset.recordings:
        if recording.group not in wanted or not truth.is_known(dataset, recording):
            continue
        if dataset.layout == "HWC":
            count, rate_hz, duration_s = 1, None, 0.0
        else:
            signal = dataset.read(recording)
            length, rate_hz = len(signal.samples), signal.rate_hz
            count = max((length - window) // hop + 1, 0) if length >= window else 0
            duration_s = length / (rate_hz or 1.0)
        found.append(Stream(recording, range(at, at + count), window, hop, rate_hz, duration_s))
        at += count
    return found


def numbers(found: Iterable[Stream]) -> NDArray[np.int64]:
    """int64 [n]: for each window the number of its recording."""
    counts = [len(stream.windows) for stream in found]
    return np.repeat(np.arange(len(counts)), counts)


@dataclass(frozen=True)
class Side:
    """One side of a split: windows, and the recordings that they are of."""

    windows: Windowed
    streams: tuple[Stream, ...]

    @property
    def clusters(self) -> list[Any]:
        """What is drawn as a whole for an interval: groups, and recordings."""
        return [self.windows.group, numbers(self.streams)]
