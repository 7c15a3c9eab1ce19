"""The best model of a search: trained anew on the standard split, and judged once on the test groups."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from converters.conversion import convert
from edge_sdk.errors import ConfigError
from train_host import companions, resuming
from train_host.training import Request, train
from train_host.tuning.front import Tried
from train_host.tuning.study import Study
from train_host.tuning.trial import UNGATED, judged

KERAS, TFLITE = "best.keras", "best.tflite"


def make(study: Study, best: Tried, tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Train, convert, and judge.

    Args:
        study: that has ended.
        best: of its trials.
        tell: told of stages and epochs.

    Returns:
        Files and figures, as ``edgeml tune --json`` prints them.
    """
    folder, data = study.folder.path, study.search.dataset.folder
    keras, tflite = folder / KERAS, folder / TFLITE
    request = Request(data, study.config(best), keras, resume=_goes_on(study, best, keras))
    trained = train(request, tell)
    report = convert(
        keras,
        tflite,
        recipe=study.recipe(best),
        data=data,
        on_progress=lambda stage: tell({"stage": stage}),
        **UNGATED,
    ).as_dict()
    figures = judged(report, study.search.dataset.task)
    own = next(iter(figures))
    return {
        "trial": best.number,
        "values": dict(best.values),
        "recipe": study.recipe(best),
        "model": str(keras),
        "tflite": str(tflite),
        "report": trained["report"],
        "conversion_report": report["report"],
        "record": str(companions.path(keras, companions.RECORD)),
        "figure": own,
        f"{own}_original": report.get(f"{own}_original"),
        **figures,
        "interval": report.get("interval"),
        "n": report.get("n"),
        "bytes": report["bytes"],
    }


def _goes_on(study: Study, best: Tried, model: Path) -> bool:
    """Whether this very training was interrupted."""
    before, dataset = resuming.interrupted(model), study.search.dataset
    if before is None:
        return False
    try:
        resuming.check(model, before, resuming.identity(dataset, study.config(best).for_dataset(dataset)))
    except ConfigError:
        return False
    return True
