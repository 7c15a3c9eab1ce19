"""Looks at what the original says to the evidence, before anything is compared with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from converters.evidence import Evidence
from converters.load import Port
from edge_sdk.errors import DatasetError, ModelError


def check(
    model: str, outputs: Sequence[Port], answers: Sequence[NDArray[np.float32]], found: Evidence
) -> None:
    """Refuse answers that nothing could be compared with.

    Args:
        model: for messages.
        outputs: of the original.
        answers: [n, …] for each of them.
        found: what they answer to.

    Raises:
        ModelError: an output has not one row for each input, or is not finite.
        DatasetError: there are labels that no output could say.
    """
    for port, array in zip(outputs, answers, strict=True):
        if len(array) != len(found):
            raise ModelError(
                f"{model}: the output {port.name!r} does not follow the batch",
                expected=f"{len(found)} rows for as many inputs",
                found=str(len(array)),
            )
    if not all(np.isfinite(array).all() for array in answers):
        raise ModelError(f"{model} gives NaN or infinity", remedy="check its weights and the data")
    if found.labels is not None and found.labels.ndim == 1:
        classes = max(2 if array.size == len(found) else array.shape[-1] for array in answers)
        if found.labels.max() >= classes:
            raise DatasetError(
                "the labels are none that the model could say",
                expected=f"from 0 to {classes - 1}",
                found=str(found.labels.max()),
                remedy="give the data that it was made for",
            )
