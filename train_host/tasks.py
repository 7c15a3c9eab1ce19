"""What can be learned from a dataset folder: for each task its last layer, its loss and its figures.

No TensorFlow here: Keras knows losses and metrics by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from converters.compare import Evaluation
from edge_sdk.dataset import Dataset, Windowed
from edge_sdk.errors import DatasetError
from train_host import evaluate
from train_host.architectures.head import Head
from train_host.judged import Judged

if TYPE_CHECKING:
    from converters.page.markup import Html


class Task(Protocol):
    """One task.

    Attributes:
        loss: what training makes small.
        metrics: what is shown beside it, the first one foremost.
    """

    loss: str
    metrics: tuple[str, ...]

    def check(self, dataset: Dataset) -> None:
        """Find out whether a dataset has what is to be learned.

        Raises:
            DatasetError: it has not.
        """

    def head(self, dataset: Dataset) -> Head:
        """The last layer of a model for it."""

    def evaluate(self, outputs: NDArray[Any], windows: Windowed) -> Evaluation:
        """How good these outputs are.

        Args:
            outputs: float32 [n, …], of the model.
            windows: what they were computed from.
        """

    def figures(self, judged: Judged) -> dict[str, Any]:
        """Further figures for run.json and ``--json``, such as intervals by class and by group."""

    def pictures(self, judged: Judged) -> dict[str, bytes]:
        """PNG files that stand beside the model, by name."""

    def sections(self, judged: Judged) -> Sequence[tuple[str, Html]]:
        """What the report shows of how good the model is: titles and what stands below them."""


class Classification:
    """One label out of several for each window."""

    loss: str = "sparse_categorical_crossentropy"
    metrics: tuple[str, ...] = ("accuracy",)

    def check(self, dataset: Dataset) -> None:
        """At least two labels."""
        if len(dataset.labels) < 2:
            raise DatasetError(
                f"{dataset.folder}: labels", expected="at least two", found=list(dataset.labels)
            )

    def head(self, dataset: Dataset) -> Head:
        """A probability a label."""
        return Head(len(dataset.labels), "softmax")

    def evaluate(self, outputs: NDArray[Any], windows: Windowed) -> Evaluation:
        """Accuracy, its interval over groups, confusion."""
        return evaluate.evaluate(outputs, windows)

    def figures(self, judged: Judged) -> dict[str, Any]:
        """Intervals by class and by group."""
        return evaluate.intervals(judged.outputs, judged.windows, judged.dataset.labels, judged.recordings)

    def pictures(self, judged: Judged) -> dict[str, bytes]:
        """The confusion matrix."""
        from train_host import plots

        result, test = judged.result, judged.windows
        groups = ", ".join(sorted(set(test.group)))
        shown = f"{result.accuracy:.3f} on {result.n} windows of {judged.dataset.group} {groups}"
        title = f"{judged.name}: {shown}"
        return {"confusion.png": plots.confusion_png(result.confusion, judged.dataset.labels, title)}

    def sections(self, judged: Judged) -> Sequence[tuple[str, Html]]:
        """Confusion, accuracy by class and by group, the surest errors."""
        from train_host.page import classification

        return classification.sections(judged)


TABLE: dict[str, Task] = {"classification": Classification()}


def of(dataset: Dataset) -> Task:
    """The task of a dataset, which has what it needs.

    Raises:
        DatasetError: a task that nothing is trained for, or the dataset lacks what is to be learned.
    """
    task = TABLE.get(dataset.task)
    if task is None:
        raise DatasetError(f"{dataset.folder}: task", expected=", ".join(TABLE), found=dataset.task)
    task.check(dataset)
    return task
