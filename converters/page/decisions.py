"""Which output of a model decides between classes: of others, agreement on a label means nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.report import Report
from converters.verify import Verdict


def deciding(report: Report) -> int | None:
    """The labelled output; without labels the first whose rows are probabilities; None without either."""
    pair = report.labelled
    if pair is not None:
        return pair.index
    return next((i for i, rows in enumerate(report.original) if probabilities(rows)), None)


def agreement(verdict: Verdict, output: int | None) -> float | None:
    """Share of inputs that get the same label; None where the output says no label for the whole input."""
    return None if output is None else verdict.outputs[output].agreement


def probabilities(rows: NDArray[Any]) -> bool:
    """Whether rows of an output, [n, classes], are all positive and sum to 1."""
    if rows.ndim != 2 or rows.shape[1] < 2 or not rows.min() >= 0:
        return False
    return bool(np.allclose(rows.sum(axis=1), 1, atol=1e-3))
