"""Cross-validation by group: a model a fold, each judged on groups that it never saw."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras

from edge_sdk.child import progress
from edge_sdk.dataset import Dataset, Split, Windowed
from train_host import fit, tasks
from train_host.config import Config
from train_host.prepare import prepare


def cross_validate(
    dataset: Dataset, windows: Windowed, splits: list[Split], config: Config
) -> list[dict[str, Any]]:
    """Train a model a split and say how it did on the groups that it never saw."""
    results = []
    for number, split in enumerate(splits, start=1):
        prepared = prepare(dataset, windows, split)
        fitted = fit.fit(dataset, prepared, config, partial(_report_fold, number, len(splits)))
        result = tasks.of(dataset).evaluate(fit.scores(fitted.model, prepared.test), prepared.test)
        results.append(
            {
                "test": list(split.test),
                "accuracy": result.accuracy,
                "n": result.n,
                "epochs": fitted.best_epoch,
                "seconds": round(fitted.seconds, 2),
            }
        )
        keras.backend.clear_session()
    return results


def _report_fold(fold: int, folds: int, facts: dict[str, float]) -> None:
    progress(fold=fold, folds=folds, **facts)
