"""Time columns: what they are called, and the rate that one shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_sdk.recordings.signal import refuse

#: Names of time columns, and how many of their units make a second.
TIME_COLUMNS = {"time_s": 1.0, "time_ms": 1e3, "time_us": 1e6}
_NEGLIGIBLE_S = 1e-9


def rate_of(path: Path, time_s: NDArray[np.float64], noun: str, first: int) -> float | None:
    """The rate that a time column shows: its median step, so that a few lost samples do not change it.

    Args:
        path: for errors.
        time_s: float64 [n], s.
        noun: what an error counts, ``line`` or ``row``.
        first: number of the first one.

    Returns:
        Hz; None of a single sample.

    Raises:
        DatasetError: time goes backwards, or is no number.
    """
    if len(time_s) < 2:
        return None
    steps = np.diff(time_s)
    wrong = np.flatnonzero(~(steps >= 0))
    if len(wrong):
        at = int(wrong[0]) + 1
        refuse(
            path,
            f"{noun} {first + at}: time goes backwards or is no number",
            "rising times",
            f"{time_s[at]:g} s",
        )
    median = float(np.median(steps))
    return 1.0 / median if median > _NEGLIGIBLE_S else None
