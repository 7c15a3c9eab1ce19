"""How good outputs are, between minus infinity and one; each takes what came out and what should have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def accuracy(scores: Array, labels: Array) -> float:
    """Share of right classes: float [n, …, classes] against int64 [n, …]."""
    return float(np.mean(scores.argmax(axis=-1) == labels))


def binary(scores: Array, truths: Array) -> float:
    """Share of right decisions of sigmoids, at a threshold of one half."""
    return float(np.mean((scores > 0.5) == truths.reshape(scores.shape)))


def explained(values: Array, truths: Array) -> float:
    """Share of the variance: one for a perfect output, zero for the mean."""
    return float(1 - np.square(values - truths).mean() / truths.var())


def explained_decades(values: Array, truths: Array) -> float:
    """`explained` of the logarithms; what is not positive counts as a hundredth of the smallest truth."""
    return explained(np.log10(np.maximum(values, truths.min() / 100)), np.log10(truths))


MEASURES = {measure.__name__: measure for measure in (accuracy, binary, explained, explained_decades)}
