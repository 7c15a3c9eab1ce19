"""What a recording holds, and what its readers share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import DatasetError


@dataclass(frozen=True, slots=True)
class Signal:
    """What one recording holds.

    Attributes:
        samples: float32 [n, channels]; an image is float32 [height, width, channels], 0..255.
        rate_hz: as the file says (time column, npz field, wav header); None where it says nothing.
        channels: names in column order; empty where the file has none (wav).
        time_s: float64 [n], s, the time column of a CSV; None where there is none.
    """

    samples: NDArray[np.float32]
    rate_hz: float | None = None
    channels: tuple[str, ...] = ()
    time_s: NDArray[np.float64] | None = None

    @property
    def is_image(self) -> bool:
        """Whether `samples` is one [height, width, channels] picture."""
        return self.samples.ndim == 3

    @property
    def duration_s(self) -> float | None:
        """Length in seconds; None for an image or an unknown rate."""
        return None if self.is_image or not self.rate_hz else len(self.samples) / self.rate_hz


def refuse(
    path: Path, what: str, expected: object = None, found: object = None, remedy: str | None = None
) -> NoReturn:
    """Say what is wrong with a file."""
    raise DatasetError(f"{path}: {what}", expected=expected, found=found, remedy=remedy)


def float32(values: NDArray[Any]) -> NDArray[np.float32]:
    """Contiguous float32."""
    with np.errstate(over="ignore"):  # a value beyond float32 becomes inf, which `data check` reports
        return np.ascontiguousarray(values, dtype=np.float32)


def check_names(path: Path, names: tuple[str, ...]) -> None:
    """See that every channel has a name of its own."""
    if not all(names):
        refuse(path, "channel names", "a name for every channel", "an empty one")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        refuse(path, "channel names", "unlike names", f"{twice!r} twice")
