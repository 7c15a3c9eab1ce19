"""Any number of labels for each window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from converters.figures import multilabel
from converters.representative import output_of
from edge_sdk.contract import DecisionSettings, Output
from edge_sdk.dataset import Dataset, Windowed
from edge_sdk.errors import DatasetError
from train_host.architectures.head import Head
from train_host.judging import evaluate
from train_host.judging.judged import Judged

if TYPE_CHECKING:
    from converters.page.markup import Html
    from train_host.config import Config
    from train_host.windows.prepare import Prepared

#: From which score a label holds: where it is as likely as not.
THRESHOLD = 0.5


class Multilabel:
    """See `train_host.tasks.task.Task`."""

    metrics: tuple[str, ...] = ("binary_accuracy",)

    def check(self, dataset: Dataset) -> None:
        """At least one label."""
        if not dataset.labels:
            raise DatasetError(
                f"{dataset.folder}: labels",
                expected="at least one, as in recordings/cough+speech/",
                found="none",
            )

    def head(self, dataset: Dataset, prepared: Prepared | None = None) -> Head:
        """A probability a label, apart from the others."""
        del prepared
        return Head(len(dataset.labels), "sigmoid")

    def loss(self, prepared: Prepared) -> str:
        """The mean over the labels."""
        del prepared
        return "binary_crossentropy"

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

    def evaluate(self, outputs: NDArray[Any], windows: Windowed, dataset: Dataset) -> multilabel.Presence:
        """Exact matches, F1, precision and recall a label."""
        return multilabel.evaluate(outputs, windows.y, windows.group, dataset.labels, THRESHOLD)

    def shares(self, dataset: Dataset, outputs: NDArray[Any]) -> NDArray[Any]:
        """Of windows in which each label holds."""
        del dataset
        return np.asarray((outputs >= THRESHOLD).mean(axis=0))

    def figures(self, judged: Judged) -> dict[str, Any]:
        """Intervals of each label's precision and recall, and of all labels being right in each group."""
        windows = judged.windows
        said, holds = judged.outputs >= THRESHOLD, windows.y > 0.5
        per_label = {}
        for i, label in enumerate(judged.dataset.labels):
            both = said[:, i] & holds[:, i]
            per_label[label] = {
                "precision": evaluate.shares_interval(both, windows, said[:, i]),
                "recall": evaluate.shares_interval(both, windows, holds[:, i]),
            }
        right = multilabel.exact(judged.outputs, windows.y, THRESHOLD)
        return {
            "per_label_interval": per_label,
            **evaluate.group_intervals(right, windows, judged.recordings),
        }

    def pictures(self, judged: Judged) -> dict[str, bytes]:
        """Precision over recall, a curve a label."""
        from train_host.judging import plots_tasks

        return {"precision_recall.png": plots_tasks.precision_recall_png(judged)}

    def sections(self, judged: Judged) -> Sequence[tuple[str, Html]]:
        """Each label, each group."""
        from train_host.page import figures

        return figures.multilabel(judged)
