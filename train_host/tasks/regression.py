"""Values in their units for each window."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from converters.figures import errors
from converters.representative import output_of
from edge_sdk.contract import DecisionSettings, Output, Statistics
from edge_sdk.dataset import Dataset, Windowed
from edge_sdk.errors import DatasetError
from train_host.architectures.head import Head
from train_host.judging import evaluate
from train_host.judging.judged import Judged

if TYPE_CHECKING:
    from converters.page.markup import Html
    from train_host.config import Config
    from train_host.windows.prepare import Prepared


class Regression:
    """See `train_host.tasks.task.Task`."""

    metrics: tuple[str, ...] = ("mean_absolute_error",)

    def check(self, dataset: Dataset) -> None:
        """Recordings whose values differ."""
        known = {recording.target for recording in dataset.recordings if recording.target is not None}
        if len(known) < 2:
            raise DatasetError(
                f"{dataset.folder}: targets",
                expected=f"unlike values in manifest.csv, in the columns {', '.join(dataset.target_names)}",
                found=f"{len(known)} of them",
            )

    def head(self, dataset: Dataset, prepared: Prepared | None = None) -> Head:
        """A value a target, in its unit."""
        return Head(len(dataset.targets), None, None if prepared is None else statistics(prepared.train))

    def loss(self, prepared: Prepared) -> Callable[[Any, Any], Any]:
        """The squared error in units of the spread, so that no target drowns another."""
        spread = np.asarray(statistics(prepared.train).std, np.float32)

        def loss(true: Any, said: Any) -> Any:
            from keras import ops

            return ops.mean(ops.square((ops.cast(true, said.dtype) - said) / spread), axis=-1)

        return loss

    def finish(self, model: Any, dataset: Dataset, prepared: Prepared, config: Config) -> None:
        """Nothing."""

    def output(self, dataset: Dataset, prepared: Prepared) -> Output:
        """Names and units, and which values were learned from."""
        low, high = prepared.train.y.min(axis=0).tolist(), prepared.train.y.max(axis=0).tolist()
        values = (
            dataclasses.replace(target, range=target.range or (low[i], high[i]))
            for i, target in enumerate(dataset.targets)
        )
        return dataclasses.replace(output_of(dataset), values=tuple(values))

    def decision(self, dataset: Dataset, config: Config) -> DecisionSettings:
        """As configured."""
        del dataset
        return config.decision

    def evaluate(self, outputs: NDArray[Any], windows: Windowed, dataset: Dataset) -> errors.Errors:
        """Absolute and squared errors of each value."""
        return errors.evaluate(outputs, windows.y, windows.group, dataset.targets)

    def shares(self, dataset: Dataset, outputs: NDArray[Any]) -> NDArray[Any]:
        """There are no labels."""
        return np.empty(0)

    def figures(self, judged: Judged) -> dict[str, Any]:
        """Intervals of each value's mean absolute error, and of the error within each group."""
        windows = judged.windows
        off = np.abs(np.asarray(judged.outputs, np.float64) - windows.y)
        rows = off[:, 0] if off.shape[1] == 1 else errors.absolute(judged.outputs, windows.y)
        return {
            "targets_interval": [
                evaluate.mean_interval(off[:, i], windows.group) for i in range(off.shape[1])
            ],
            **evaluate.group_intervals(rows, windows, judged.recordings),
        }

    def pictures(self, judged: Judged) -> dict[str, bytes]:
        """What was said over what is true."""
        from train_host.judging import plots_tasks

        return {"values.png": plots_tasks.values_png(judged)}

    def sections(self, judged: Judged) -> Sequence[tuple[str, Html]]:
        """Each value, each group."""
        from train_host.page import figures

        return figures.regression(judged)


def statistics(windows: Windowed) -> Statistics:
    """Mean and standard deviation of each value; 1 of one that never changes."""
    mean, std = windows.y.mean(axis=0, dtype=np.float64), windows.y.std(axis=0, dtype=np.float64)
    return Statistics(tuple(mean.tolist()), tuple(np.where(std > 0, std, 1.0).tolist()))
