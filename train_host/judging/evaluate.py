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
    every = [shares_interval(hits, windows, windows.y == index) for index in range(len(labels))]
    return {"per_class_interval": every, **group_intervals(hits, windows, recordings)}


def group_intervals(
    values: NDArray[Any], windows: Windowed, recordings: Sequence[Any] | NDArray[Any]
) -> dict[str, Any]:
    """95 % intervals of a figure within each group, drawn over its recordings.

    Args:
        values: bool [n], of a share; or float [n], of a mean that is never negative.
        windows: for their groups.
        recordings: n names.

    Returns:
        ``per_group_interval`` and ``per_group_n`` by group; None for the mean of a single window.
    """
    groups, names = np.asarray(windows.group, dtype=str), np.asarray(recordings, dtype=str)
    found: dict[str, list[float] | None] = {}
    for group in np.unique(groups):
        mine = groups == group
        if values.dtype == np.bool_:
            found[str(group)] = list(compare.interval(values[mine], names[mine]))
        else:
            found[str(group)] = mean_interval(values[mine], names[mine])
    counts = {str(group): int((groups == group).sum()) for group in np.unique(groups)}
    return {"per_group_interval": found, "per_group_n": counts}


def mean_interval(values: NDArray[Any], clusters: Sequence[Any] | NDArray[Any]) -> list[float] | None:
    """95 % interval of a mean that is never negative; None where there is one value."""
    if len(values) < 2:
        return None
    low, high = compare.mean_interval(values, [str(name) for name in clusters])
    return [max(low, 0.0), high]


def shares_interval(hits: NDArray[Any], windows: Windowed, chosen: NDArray[Any]) -> list[float] | None:
    """95 % interval of the share of hits among some windows, drawn over groups; None where there are none."""
    if not chosen.any():
        return None
    return list(compare.interval(hits[chosen], np.asarray(windows.group, dtype=str)[chosen]))


def spread(accuracies: list[float]) -> dict[str, float]:
    """Mean and sample standard deviation over folds."""
    return {"mean": float(np.mean(accuracies)), "sd": float(np.std(accuracies, ddof=1))}
