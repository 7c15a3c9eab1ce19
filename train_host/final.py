"""The model that is kept: fitted on the standard split, judged on its test side, written with its record."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_sdk import child
from edge_sdk.dataset import Dataset, Windowed
from edge_sdk.modelfile import add_members
from train_host import calibration, confidence, fit, page, plots, record, streams, tasks, thresholds
from train_host.calibration import Calibration
from train_host.config import Config
from train_host.judged import Judged
from train_host.prepare import Prepared, prepare
from train_host.streams import Side
from train_host.thresholds import Allowed, Operation


def train(dataset: Dataset, windows: Windowed, config: Config, output: Path) -> dict[str, Any]:
    """Train on the standard split and write all files.

    Args:
        dataset: what to train on.
        windows: of all its groups.
        config: completed by `Config.for_dataset`.
        output: a .keras file in a folder that is nobody else's.

    Returns:
        The figures on the test side, ``calibration``, ``decision``, ``split`` and ``best_epoch``.
    """
    split = dataset.split(config.seed, validation=config.validation, test=config.test)
    prepared = prepare(dataset, windows, split)
    fitted = fit.fit(dataset, prepared, config, lambda facts: child.progress(**facts))
    child.progress(stage="evaluating and writing")
    model, task, name = fitted.model, tasks.of(dataset), config.name or output.stem
    test = _side(dataset, prepared.test, split.test, config)
    watched = prepared.validation
    validation = None if watched is None else _side(dataset, watched, split.validation, config)
    calibrated = _calibrate(model, dataset, config, validation, test)
    said = fit.scores(model, prepared.test)
    result = task.evaluate(said, prepared.test)
    operation = _operate(model, dataset, config, validation, test)
    contract = record.contract(name, dataset, prepared, config, fit.scores(model, prepared.train))
    contract = dataclasses.replace(
        contract,
        decision=contract.decision if operation is None else operation.settings,
        lineage=record.lineage(dataset, split, config, result, calibrated),
    )
    judged = Judged(name, dataset, prepared.test, test.streams, said, result, contract.input)
    figures = {
        **result.as_dict(),
        **task.figures(judged),
        "calibration": None if calibrated is None else calibrated.as_dict(),
        "decision": None if operation is None else operation.as_dict(),
        "best_epoch": fitted.best_epoch,
    }
    run = record.run(
        dataset,
        split,
        config,
        result,
        {**figures, "seconds": round(fitted.seconds, 2), "history": fitted.history},
    )
    model.save(output)
    add_members(output, record.members(contract, record.golden(prepared.test, said), run))
    report = page.Report(
        judged, contract, run, task.sections(judged), _counts(prepared), calibrated, operation
    )
    trained_on = f"{name}, trained on {len(prepared.train)} windows"
    files = {
        record.RECORD: record.to_json(run),
        record.HISTORY: plots.history_png(fitted.history, fitted.best_epoch, trained_on),
        record.PAGE: page.render(report).encode(),
        **task.pictures(judged),
    }
    for place, content in files.items():
        (output.parent / place).write_bytes(content)
    return {**figures, "split": split.as_dict()}


def _counts(prepared: Prepared) -> dict[str, int]:
    return {side: len(getattr(prepared, side) or ()) for side in ("train", "validation", "test")}


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
    count = before.shape[1]
    if not config.calibrate:
        choice = calibration.unchanged("not asked for", count)
    elif validation is None:
        choice = calibration.unchanged("there is no validation side to choose it on", count)
    elif confidence.last_layer(model) is None:
        choice = calibration.unchanged("the last layer is no dense one, and has no weights to divide", count)
    else:
        choice = calibration.choose(
            confidence.logits(model, validation.windows.x), validation.windows.y, validation.clusters
        )
    if choice.applied:
        confidence.fold(model, choice.temperatures)
    after = fit.scores(model, test.windows) if choice.applied else before
    return calibration.compare(choice, before, after, test.windows.y, test.clusters)


def _operate(
    model: Any, dataset: Dataset, config: Config, validation: Side | None, test: Side
) -> Operation | None:
    """Choose the threshold for the false alarms that may be; None where nobody said how many."""
    if config.false_alarms is None or validation is None:
        return None
    sides = [(side.streams, fit.scores(model, side.windows)) for side in (validation, test)]
    return thresholds.choose(
        Allowed.parse(config.false_alarms), config.decision, dataset.labels, sides[0], sides[1]
    )
