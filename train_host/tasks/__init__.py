"""What can be learned from a dataset folder: for each task its last layer, its loss and its figures.

A task is a file. No TensorFlow at import: Keras knows most losses and metrics by name.
"""

from __future__ import annotations

from edge_sdk.dataset import Dataset
from train_host.tasks.anomaly import Anomaly
from train_host.tasks.classification import Classification
from train_host.tasks.multilabel import Multilabel
from train_host.tasks.regression import Regression
from train_host.tasks.task import Loss, Task

__all__ = ["TABLE", "Loss", "Task", "of"]

TABLE: dict[str, Task] = {
    "classification": Classification(),
    "multilabel": Multilabel(),
    "regression": Regression(),
    "anomaly": Anomaly(),
}


def of(dataset: Dataset) -> Task:
    """The task of a dataset, which has what it needs.

    Raises:
        DatasetError: the dataset lacks what is to be learned.
    """
    task = TABLE[dataset.task]
    task.check(dataset)
    return task
