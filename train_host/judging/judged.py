"""A trained model on the windows that it is judged by: what its figures, pictures and page are made from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.contract import Input
from edge_sdk.dataset import Dataset, Windowed
from train_host.windows.streams import Stream, numbers


@dataclass(frozen=True)
class Judged:
    """What a model said to the windows of its test groups.

    Attributes:
        name: of the model.
        dataset: that it was trained on.
        windows: of the test groups.
        streams: the recordings that these windows were cut from, in their order.
        outputs: float32 [n, …], what the model said to them.
        result: as the task's `evaluate` found.
        expects: what the model takes.
    """

    name: str
    dataset: Dataset
    windows: Windowed
    streams: tuple[Stream, ...]
    outputs: NDArray[np.float32]
    result: Any
    expects: Input

    @cached_property
    def recordings(self) -> NDArray[np.int64]:
        """int64 [n]: for each window the place of its recording among `streams`."""
        return numbers(self.streams)

    def place(self, window: int) -> str:
        """Where a window is from, for people: its file, and when in it."""
        stream = self.streams[int(self.recordings[window])]
        if stream.rate_hz is None:
            return stream.recording.file
        number = window - stream.windows.start
        start_s = (stream.recording.start_s or 0.0) + stream.end_s(number) - stream.window / stream.rate_hz
        return f"{stream.recording.file} at {start_s:.2f} s"
