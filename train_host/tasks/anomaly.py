"""One score for each window: the higher, the less it is like those that are normal.

Learned from normal windows alone. Known anomalies are there to test with, and never trained on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from converters.figures import detection
from converters.representative import output_of
from edge_sdk.contract import DecisionSettings, Output
from edge_sdk.dataset import Dataset, Windowed
from edge_sdk.errors import DatasetError
from train_host.architectures.head import Head
from train_host.judging import evaluate
from train_host.judging.alarms import Allowed
from train_host.judging.judged import Judged

if TYPE_CHECKING:
    from converters.page.markup import Html
    from train_host.config import Config
    from train_host.windows.prepare import Prepared

#: The share of normal windows that may be taken for anomalies, where nobody says.
_ALLOWED = 0.01
#: The score that normal windows reach as often as false alarms may be; the model is scaled so.
THRESHOLD = 0.5


class Anomaly:
    """See `train_host.tasks.task.Task`."""

    metrics: tuple[str, ...] = ()

    def check(self, dataset: Dataset) -> None:
        """Something normal."""
        normal = dataset.labels[0] if dataset.labels else None
        if not any(recording.label == normal for recording in dataset.recordings if recording.label):
            raise DatasetError(
                f"{dataset.folder}: nothing to learn from",
                expected=f"recordings with the label {normal or 'normal'!r}",
                found="none",
            )

    def head(self, dataset: Dataset, prepared: Prepared | None = None) -> Head:
        """A score of a distance."""
        del dataset, prepared
        return Head(1, None, alarm=True)

    def loss(self, prepared: Prepared) -> str:
        """Of a score r/(1 + r), where all is normal, log(1 + r): windows far off count less."""
        del prepared
        return "binary_crossentropy"

    def finish(self, model: Any, dataset: Dataset, prepared: Prepared, config: Config) -> None:
        """Scale the score, so that as many normal windows reach the threshold as false alarms may be.

        Chosen on the normal windows of the validation side; without one on those of the training side.
        """
        from train_host.judging import scoring

        watched = prepared.train if prepared.validation is None else prepared.validation
        scoring.scale(model, watched, allowed(config, dataset))

    def output(self, dataset: Dataset, prepared: Prepared) -> Output:
        """What is normal and what is not."""
        del prepared
        return output_of(dataset)

    def decision(self, dataset: Dataset, config: Config) -> DecisionSettings:
        """As configured, with the threshold that the score is scaled for."""
        del dataset
        release = config.decision.release
        return dataclasses.replace(
            config.decision, threshold=THRESHOLD, release=None if release is None else min(release, THRESHOLD)
        )

    def evaluate(self, outputs: NDArray[Any], windows: Windowed, dataset: Dataset) -> detection.Detection:
        """Areas under the ROC curve, and what happens at the threshold."""
        return detection.evaluate(outputs[:, 0], windows.y, windows.group, dataset.labels, THRESHOLD)

    def shares(self, dataset: Dataset, outputs: NDArray[Any]) -> NDArray[Any]:
        """Of what is normal and what is not."""
        del dataset
        odd = float((outputs >= THRESHOLD).mean())
        return np.array([1 - odd, odd])

    def figures(self, judged: Judged) -> dict[str, Any]:
        """Intervals of what is found of each kind, and of what is decided right in each group."""
        windows, alarms = judged.windows, judged.outputs[:, 0] >= THRESHOLD
        return {
            "per_label_interval": {
                label: evaluate.shares_interval(alarms, windows, windows.y == i)
                for i, label in enumerate(judged.dataset.labels)
                if i and (windows.y == i).any()
            },
            **evaluate.group_intervals(alarms == (windows.y > 0), windows, judged.recordings),
        }

    def pictures(self, judged: Judged) -> dict[str, bytes]:
        """The scores of normal windows and of others, and the ROC curve where there are both."""
        from train_host.judging import plots_tasks

        return {"scores.png": plots_tasks.scores_png(judged, THRESHOLD)}

    def sections(self, judged: Judged) -> Sequence[tuple[str, Html]]:
        """What is found, and how often it is a false alarm."""
        from train_host.page import figures

        return figures.anomaly(judged)


def allowed(config: Config, dataset: Dataset) -> float:
    """The share of normal windows that may be taken for anomalies."""
    if config.false_alarms is None:
        return _ALLOWED
    asked = Allowed.parse(config.false_alarms)
    if not asked.hourly:
        return asked.value
    an_hour = 3600 * (dataset.rate_hz or 1.0) / (config.hop or 1)
    return min(asked.value / an_hour, 1.0)
