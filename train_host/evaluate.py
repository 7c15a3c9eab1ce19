"""The figures of a trained model, from where everybody takes them."""

from __future__ import annotations

from collections.abc import Sequence
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


def intervals(
    scores: NDArray[Any], windows: Windowed, labels: Sequence[str], recordings: Sequence[Any] | NDArray[Any]
) -> dict[str, Any]:
    """95 % intervals of the share of each class that was found, and of the accuracy within each group.

    Those of a class are over groups, as that of the whole; those of a group are over its recordings.

    Args:
        scores: float32 [n, classes].
        windows: what they were computed from.
        labels: of the classes.
        recordings: n names: which windows were recorded in one go.

    Returns:
        ``per_class_interval``: a pair a class, None where it has no window; ``per_group_interval`` and
        ``per_group_n`` by group.
    """
    hits = compare.decide(scores) == windows.y
    groups, names = np.asarray(windows.group, dtype=str), np.asarray(recordings, dtype=str)
    per_class: list[list[float] | None] = []
    for index in range(len(labels)):
        mine = windows.y == index
        per_class.append(list(compare.interval(hits[mine], groups[mine])) if mine.any() else None)
    chosen = {str(group): groups == group for group in np.unique(groups)}
    return {
        "per_class_interval": per_class,
        "per_group_interval": {
            group: list(compare.interval(hits[mine], names[mine])) for group, mine in chosen.items()
        },
        "per_group_n": {group: int(mine.sum()) for group, mine in chosen.items()},
    }


def spread(accuracies: list[float]) -> dict[str, float]:
    """Mean and sample standard deviation over folds."""
    return {"mean": float(np.mean(accuracies)), "sd": float(np.std(accuracies, ddof=1))}
