"""Class weights: how much a window of each label counts in the loss, so that rare labels are not ignored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import ConfigError, suggestion

#: A word, or a table by label; a label that it does not name counts 1.
ClassWeights = Literal["balanced"] | dict[str, float]


def check(weights: ClassWeights | None, labels: Sequence[str], task: str) -> None:
    """Find out whether these weights fit these labels.

    Raises:
        ConfigError: an unknown label, a weight that is not above 0, or nothing to be told apart by label.
    """
    if weights is None:
        return
    if task != "classification":
        raise ConfigError(
            "class_weights are for classification", found=f"a dataset for {task}", remedy="remove it"
        )
    if weights == "balanced":
        return
    for label, weight in weights.items():
        if label not in labels:
            raise ConfigError(
                f"class_weights: unknown label {label!r}",
                expected=f"some of {', '.join(labels)}",
                remedy=suggestion(label, labels),
            )
        if not 0 < weight < float("inf"):
            raise ConfigError(f"class_weights: {label}", expected="more than 0", found=weight)


def table(
    weights: ClassWeights | None, y: NDArray[np.int64], labels: Sequence[str]
) -> NDArray[np.float32] | None:
    """The weight of each label; None where all count alike.

    Balanced weights are in inverse proportion to a label's training windows; over all of them the mean is 1,
    so that the learning rate means what it did.

    Args:
        weights: as configured.
        y: int64 [n], indices of the training windows' labels.
        labels: all of them.

    >>> table("balanced", np.array([0, 0, 1, 1, 1, 1, 1, 1]), ["no", "yes"]).tolist()[0]
    2.0
    """
    if weights is None:
        return None
    if weights == "balanced":
        counts = np.bincount(y, minlength=len(labels))
        return (len(y) / (len(labels) * np.maximum(counts, 1))).astype(np.float32)
    return np.array([weights.get(label, 1.0) for label in labels], np.float32)
