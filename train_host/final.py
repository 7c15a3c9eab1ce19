"""The model that is kept: fitted on the standard split, judged on its test side, written with its record."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from edge_sdk import child
from edge_sdk.dataset import Dataset, Windowed
from edge_sdk.modelfile import add_members
from train_host import fit, plots, record, tasks
from train_host.config import Config
from train_host.prepare import prepare


def train(dataset: Dataset, windows: Windowed, config: Config, output: Path) -> dict[str, Any]:
    """Train on the standard split and write all files.

    Args:
        dataset: what to train on.
        windows: of all its groups.
        config: completed by `Config.for_dataset`.
        output: a .keras file in a folder that is nobody else's.

    Returns:
        The figures on the test side, ``split`` and ``best_epoch``.
    """
    split = dataset.split(config.seed, validation=config.validation, test=config.test)
    prepared = prepare(dataset, windows, split)
    fitted = fit.fit(dataset, prepared, config, lambda facts: child.progress(**facts))
    child.progress(stage="evaluating and writing")
    said = fit.scores(fitted.model, prepared.test)
    result = tasks.of(dataset).evaluate(said, prepared.test)
    name = config.name or output.stem
    contract = dataclasses.replace(
        record.contract(name, dataset, prepared, config, fit.scores(fitted.model, prepared.train)),
        lineage=record.lineage(dataset, split, config, result),
    )
    more = {"seconds": round(fitted.seconds, 2), "best_epoch": fitted.best_epoch, "history": fitted.history}
    run = record.run(dataset, split, config, result, more)
    fitted.model.save(output)
    add_members(output, record.members(contract, record.golden(prepared.test, said), run))
    shown = f"{result.accuracy:.3f} on {result.n} windows of {split.by} {', '.join(split.test)}"
    pictures = {
        record.HISTORY: plots.history_png(
            fitted.history, fitted.best_epoch, f"{name}, trained on {len(prepared.train)} windows"
        ),
        record.CONFUSION: plots.confusion_png(result.confusion, dataset.labels, f"{name}: {shown}"),
    }
    for place, content in {record.RECORD: record.to_json(run), **pictures}.items():
        (output.parent / place).write_bytes(content)
    return {**result.as_dict(), "split": split.as_dict(), "best_epoch": fitted.best_epoch}
