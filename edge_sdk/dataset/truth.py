"""What a dataset says is true of its recordings, as the arrays that a task is learned and judged with.

classification   int64 [n]             index of the label
multilabel       float32 [n, labels]   1 for each label that holds
regression       float32 [n, targets]  the values, in their units
anomaly          int64 [n]             index of the label; 0 is what is normal
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_sdk.dataset.facts import Facts
from edge_sdk.dataset.manifest import Recording
from edge_sdk.errors import DatasetError

#: Between the labels of a recording that shows several at once: ``cough+speech``.
JOINT = "+"
#: The label of a recording that shows none of them, where there may be several.
NOTHING = "none"
#: What an anomaly detector learns from, unless dataset.toml lists another label first.
NORMAL = "normal"


def is_known(facts: Facts, recording: Recording) -> bool:
    """Whether anybody has said what is true of it."""
    return (recording.target if facts.task == "regression" else recording.label) is not None


def labels_of(facts: Facts, recording: Recording) -> tuple[str, ...]:
    """The labels of a recording: one, or where several may hold, any number of them."""
    if recording.label is None or facts.task == "regression":
        return ()
    if facts.task != "multilabel":
        return (recording.label,)
    parts = tuple(part.strip() for part in recording.label.split(JOINT))
    return () if parts == (NOTHING,) else parts


def labels(facts: Facts, recordings: Sequence[Recording]) -> tuple[str, ...]:
    """The labels of a dataset in the order of a model's scores: as listed, else sorted; what is normal first.

    Raises:
        DatasetError: anomalies are to be found, and nothing is called normal.
    """
    if facts.task == "regression":
        return ()
    if facts.labels:
        return facts.labels
    found = sorted({label for recording in recordings for label in labels_of(facts, recording)})
    if facts.task != "anomaly":
        return tuple(found)
    if found and NORMAL not in found:
        raise DatasetError(
            "labels: what is normal is not known",
            expected=f"recordings with the label {NORMAL!r}",
            found=", ".join(found),
            remedy="name the label of the normal ones first: labels = ['good', …] in dataset.toml",
        )
    return tuple(sorted(found, key=lambda label: (label != NORMAL, label)))


def kinds(facts: Facts, recordings: Sequence[Recording]) -> list[set[str]]:
    """What each recording counts as where groups are divided, so that each side gets all there is.

    Labels; of a regression which quarter of all recordings each of its values lies in.
    """
    if facts.task != "regression":
        return [set(labels_of(facts, recording)) or {NOTHING} for recording in recordings]
    values = np.array([recording.target or () for recording in recordings], np.float64)
    quarters = np.quantile(values, (0.25, 0.5, 0.75), axis=0) if len(values) else np.empty((3, 0))
    places = (values[:, None, :] > quarters).sum(axis=1)
    return [{f"{column}:{place}" for column, place in enumerate(row)} for row in places]


def row(facts: Facts, recording: Recording) -> NDArray[np.generic]:
    """What is true of each window of a recording; see above for the shapes, without their first axis."""
    if facts.task == "regression":
        return np.asarray(recording.target, np.float32)
    indices = [facts.labels.index(label) for label in labels_of(facts, recording)]
    if facts.task != "multilabel":
        return np.asarray(indices[0], np.int64)
    return np.isin(np.arange(len(facts.labels)), indices).astype(np.float32)
