"""The model that is kept: fitted on the standard split, judged on its test side, written with its record."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_sdk import child
from edge_sdk.dataset import Dataset, Split, Windowed
from edge_sdk.modelfile import add_members
from train_host import (
    architectures,
    calibration,
    confidence,
    fit,
    page,
    plots,
    record,
    streams,
    tasks,
    thresholds,
    warmstart,
)
from train_host.alarms import Allowed
from train_host.calibration import Calibration
from train_host.challenge import Champion
from train_host.config import Config
from train_host.judged import Judged
from train_host.prepare import Prepared, prepare
from train_host.session import Session
from train_host.streams import Side
from train_host.thresholds import Operation
from train_host.verdict import Verdict, judge


def train(
    dataset: Dataset, windows: Windowed, config: Config, output: Path, session: Session
) -> dict[str, Any]:
    """Train on the standard split and write all files.

    Args:
        dataset: what to train on.
        windows: of all its groups.
        config: completed by `Config.for_dataset`.
        output: a .keras file in a folder that is nobody else's.
        session: of the fitting.

    Returns:
        The figures on the test side, ``calibration``, ``decision``, ``split`` and ``best_epoch``.
    """
    split = config.divide(dataset)
    prepared = prepare(dataset, windows, split)
    fitted = fit.fit(dataset, prepared, config, session)
    child.progress(stage="evaluating and writing")
    model, task, name = fitted.model, tasks.of(dataset), config.name or output.stem
    test = _side(dataset, prepared.test, split.test, config)
    watched = prepared.validation
    validation = None if watched is None else _side(dataset, watched, split.validation, config)
    calibrated = _calibrate(model, dataset, config, validation, test)
    said = fit.scores(model, prepared.test)
    result = task.evaluate(said, prepared.test, dataset)
    operation = _operate(model, dataset, config, validation, test)
    contract = record.contract(name, dataset, prepared, config, fit.scores(model, prepared.train))
    contract = dataclasses.replace(
        contract,
        decision=contract.decision if operation is None else operation.settings,
        lineage=record.lineage(dataset, split, config, result, calibrated),
    )
    judged = Judged(name, dataset, prepared.test, test.streams, said, result, contract.input)
    figures = {
        "headline": result.headline(),
        **result.as_dict(),
        **task.figures(judged),
        "calibration": None if calibrated is None else calibrated.as_dict(),
        "decision": None if operation is None else operation.as_dict(),
        "best_epoch": fitted.best_epoch,
    }
    verdict = _challenge(config, split, test, said)
    if verdict is not None:
        figures["challenge"] = verdict.as_dict()
    more = {
        "architecture": architectures.origin(config.arch, dataset, config.model),
        **figures,
        "seconds": round(fitted.seconds, 2),
        "history": fitted.history,
        **warmstart.record(config),
    }
    run = record.run(dataset, split, msgspec.structs.replace(config, compare_to=None), result, more)
    model.save(output)
    add_members(output, record.members(contract, record.golden(prepared.test, said), run))
    report = page.Report(
        judged, contract, run, task.sections(judged), _counts(prepared), calibrated, operation, verdict
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
