"""The figures of a trained model, from where everybody takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters import compare
from edge_sdk.dataset import Windowed


def evaluate(scores: NDArray[Any], windows: Windowed) -> compare.Evaluation:
    """Accuracy, its interval over groups, confusion, per group.

    Args:
        scores: float32 [n, classes].
        windows: what they were computed from.
    """
    return compare.evaluate(scores, windows.y, windows.group)


def spread(accuracies: list[float]) -> dict[str, float]:
    """Mean and sample standard deviation over folds."""
    return {"mean": float(np.mean(accuracies)), "sd": float(np.std(accuracies, ddof=1))}
