"""The model that is kept: fitted on the standard split, judged on its test side, written with its record."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import msgspec

from edge_sdk import child
from edge_sdk.contract import Contract
from edge_sdk.dataset import Dataset, Windowed
from edge_sdk.modelfile import add_members
from edge_sdk.splits import SIDES
from train_host import architectures, companions, page, record, tasks
from train_host.config import Config
from train_host.fitting import fit, warmstart
from train_host.fitting.session import Session
from train_host.judging import challenge, judgement, plots
from train_host.judging.judged import Judged
from train_host.windows.prepare import Prepared, prepare


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
    del windows  # the sides are copies; nobody else holds them while the model is fitted
    fitted = fit.fit(dataset, prepared, config, session)
    child.progress(stage="evaluating and writing")
    task, name = tasks.of(dataset), config.name or output.stem
    found = judgement.find(fitted.model, dataset, prepared, config)
    contract = _contract(name, dataset, prepared, config, fitted.model, found)
    judged = Judged(
        name, dataset, prepared.test, found.test.streams, found.outputs, found.result, contract.input
    )
    figures = {**found.as_dict(), **task.figures(judged), "best_epoch": fitted.best_epoch}
    more = {
        "architecture": architectures.origin(config.arch, dataset, config.model),
        **figures,
        "seconds": round(fitted.seconds, 2),
        "history": fitted.history,
        "seen": challenge.seen(config, split),
        **warmstart.record(config),
    }
    run = record.run(
        dataset, split, msgspec.structs.replace(fitted.config, compare_to=None), found.result, more
    )
    fitted.model.save(output)
    add_members(output, record.members(contract, record.golden(prepared.test, found.outputs), run))
    counts = {side: len(getattr(prepared, side) or ()) for side in SIDES}
    report = page.Report(
        judged,
        contract,
        run,
        task.sections(judged),
        counts,
        found.calibrated,
        found.operation,
        found.verdict,
    )
    trained_on = f"{name}, trained on {counts['train']} windows"
    files = {
        companions.RECORD: record.to_json(run),
        companions.HISTORY: plots.history_png(fitted.history, fitted.best_epoch, trained_on),
        companions.PAGE: page.render(report).encode(),
        **task.pictures(judged),
    }
    for kind, content in files.items():
        companions.path(output, kind).write_bytes(content)
    return {**figures, "split": split.as_dict()}


def _contract(
    name: str, dataset: Dataset, prepared: Prepared, config: Config, model: Any, found: judgement.Findings
) -> Contract:
    """What the model is, with what was found of it."""
    made = record.contract(name, dataset, prepared, config, fit.scores(model, prepared.train))
    return dataclasses.replace(
        made,
        decision=made.decision if found.operation is None else found.operation.settings,
        lineage=record.lineage(dataset, prepared.split, config, found.result, found.calibrated),
    )
