"""One label out of several for each window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from converters.compare import Evaluation, decide
from converters.representative import output_of
from edge_sdk.contract import DecisionSettings, Output
from edge_sdk.dataset import Dataset, Windowed
from edge_sdk.errors import DatasetError
from train_host import companions
from train_host.architectures.head import Head
from train_host.judging import evaluate
from train_host.judging.judged import Judged

if TYPE_CHECKING:
    from converters.page.markup import Html
    from train_host.config import Config
    from train_host.windows.prepare import Prepared


class Classification:
    """See `train_host.tasks.task.Task`."""

    metrics: tuple[str, ...] = ("accuracy",)

    def check(self, dataset: Dataset) -> None:
        """At least two labels."""
        if len(dataset.labels) < 2:
            raise DatasetError(
                f"{dataset.folder}: labels", expected="at least two", found=list(dataset.labels)
            )

    def head(self, dataset: Dataset, prepared: Prepared | None = None) -> Head:
        """A probability a label."""
        del prepared
        return Head(len(dataset.labels), "softmax")

    def loss(self, prepared: Prepared) -> str:
        """Of the right label's probability."""
        del prepared
        return "sparse_categorical_crossentropy"

    def finish(self, model: Any, dataset: Dataset, prepared: Prepared, config: Config) -> None:
        """Nothing."""

    def output(self, dataset: Dataset, prepared: Prepared) -> Output:
        """A probability a label."""
        del prepared
        return output_of(dataset)

    def decision(self, dataset: Dataset, config: Config) -> DecisionSettings:
        """As configured."""
        del dataset
        return config.decision

    def evaluate(self, outputs: NDArray[Any], windows: Windowed, dataset: Dataset) -> Evaluation:
        """Accuracy, its interval over groups, confusion."""
        del dataset
        return evaluate.evaluate(outputs, windows)

    def shares(self, dataset: Dataset, outputs: NDArray[Any]) -> NDArray[Any]:
        """Of the label that wins."""
        return np.bincount(decide(outputs), minlength=len(dataset.labels)) / len(outputs)

    def figures(self, judged: Judged) -> dict[str, Any]:
        """Intervals by class and by group."""
        return evaluate.intervals(judged.outputs, judged.windows, judged.dataset.labels, judged.recordings)

    def pictures(self, judged: Judged) -> dict[str, bytes]:
        """The confusion matrix."""
        from train_host.judging import plots

        result, test = judged.result, judged.windows
        groups = ", ".join(sorted(set(test.group)))
        shown = f"{result.accuracy:.3f} on {result.n} windows of {judged.dataset.group} {groups}"
        title = f"{judged.name}: {shown}"
        return {companions.CONFUSION: plots.confusion_png(result.confusion, judged.dataset.labels, title)}

    def sections(self, judged: Judged) -> Sequence[tuple[str, Html]]:
        """Confusion, accuracy by class and by group, the surest errors."""
        from train_host.page import classification

        return classification.sections(judged)
