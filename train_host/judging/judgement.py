"""A model that was just fitted is calibrated, given its threshold, judged, and held against a champion.

What is chosen is chosen on the validation side; every figure is of the test side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.figures import Figures
from edge_sdk.dataset import Dataset, Split, Windowed
from train_host import tasks
from train_host.config import Config
from train_host.fitting import fit
from train_host.judging import calibration, confidence, thresholds
from train_host.judging.alarms import Allowed
from train_host.judging.calibration import Calibration
from train_host.judging.challenge import Champion
from train_host.judging.thresholds import Operation
from train_host.judging.verdict import Verdict, judge
from train_host.windows import streams
from train_host.windows.prepare import Prepared
from train_host.windows.streams import Side


@dataclass(frozen=True)
class Findings:
    """What is known of a model.

    Attributes:
        test: the windows that it was judged by.
        outputs: float32 [n, …], what it says to them.
        result: how good that is.
        calibrated: what was done to its confidence; None where its outputs are no probabilities.
        operation: the threshold that was chosen; None where none was asked for.
        verdict: how it did against the champion; None without one.
    """

    test: Side
    outputs: NDArray[np.float32]
    result: Figures
    calibrated: Calibration | None
    operation: Operation | None
    verdict: Verdict | None

    def as_dict(self) -> dict[str, Any]:
        """For run.json and ``--json``."""
        return {
            "headline": self.result.headline(),
            **self.result.as_dict(),
            "calibration": None if self.calibrated is None else self.calibrated.as_dict(),
            "decision": None if self.operation is None else self.operation.as_dict(),
            **({} if self.verdict is None else {"challenge": self.verdict.as_dict()}),
        }


def find(model: Any, dataset: Dataset, prepared: Prepared, config: Config) -> Findings:
    """Calibrate a model, which changes its last layer, and judge it.

    Args:
        model: Keras, fitted.
        dataset: that it was fitted on.
        prepared: its windows.
        config: completed by `Config.for_dataset`.

    Raises:
        ModelError: the champion cannot be read.
        DatasetError: a recording cannot be read.
    """
    split, watched = prepared.split, prepared.validation
    test = _side(dataset, prepared.test, split.test, config)
    validation = None if watched is None else _side(dataset, watched, split.validation, config)
    calibrated = _calibrate(model, dataset, config, validation, test)
    said = fit.scores(model, prepared.test)
    return Findings(
        test,
        said,
        tasks.of(dataset).evaluate(said, prepared.test, dataset),
        calibrated,
        _operate(model, dataset, config, validation, test),
        _challenge(config, split, test, said),
    )


def _side(dataset: Dataset, windows: Windowed, groups: Sequence[str], config: Config) -> Side:
    return Side(windows, tuple(streams.streams(dataset, groups, config.window or 1, config.hop or 1)))


def _calibrate(
    model: Any, dataset: Dataset, config: Config, validation: Side | None, test: Side
) -> Calibration | None:
    """Choose the temperature and put it into the weights; None where outputs are no probabilities."""
    activation = tasks.of(dataset).head(dataset).activation
    if activation not in ("softmax", "sigmoid"):
        return None
    before = fit.scores(model, test.windows)
    if not config.calibrate:
        choice = calibration.unchanged("not asked for")
    elif validation is None:
        choice = calibration.unchanged("there is no validation side to choose it on")
    elif confidence.last_layer(model) is None:
        choice = calibration.unchanged("the last layer is no dense one, and has no weights to divide")
    else:
        choice = calibration.choose(
            confidence.logits(model, validation.windows), validation.windows.y, validation.windows.group
        )
    if choice.applied:
        confidence.fold(model, choice.temperatures)
    after = fit.scores(model, test.windows) if choice.applied else before
    return calibration.compare(choice, before, after, test.windows.y, test.clusters)


def _challenge(config: Config, split: Split, test: Side, said: NDArray[np.float32]) -> Verdict | None:
    """Hold the model against the champion, on the groups that neither was trained on."""
    if config.compare_to is None:
        return None
    champion = Champion.load(Path(config.compare_to))
    chosen = np.array([group not in champion.seen for group in test.windows.group], np.bool_)
    windows = test.windows.of(group for group in split.test if group not in champion.seen)
    return judge(
        champion,
        fit.scores(confidence.load(champion.path), windows),
        said[chosen],
        windows,
        config.max_group_drop,
        [group for group in split.test if group in champion.seen],
    )


def _operate(
    model: Any, dataset: Dataset, config: Config, validation: Side | None, test: Side
) -> Operation | None:
    """Choose the threshold for the false alarms that may be; None where nobody said how many.

    That of an anomaly detector is in its weights: its task has seen to it.
    """
    if config.false_alarms is None or validation is None or dataset.task != "classification":
        return None
    sides = [(side.streams, fit.scores(model, side.windows)) for side in (validation, test)]
    return thresholds.choose(
        Allowed.parse(config.false_alarms), config.decision, dataset.labels, sides[0], sides[1]
    )
