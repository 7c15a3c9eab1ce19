"""One fold of a cross-validation; `train_host.folds` calls it in a child process, which may do several."""

from __future__ import annotations

import os
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from converters import compare
from converters.conversion import perform
from converters.evidence import choose
from converters.report import DropError
from converters.request import Request
from edge_sdk import child
from edge_sdk.dataset import Dataset, Split, Windowed
from edge_sdk.errors import MissingExtraError
from train_host import tasks
from train_host.config import Config
from train_host.windows import samples
from train_host.windows.prepare import Prepared, prepare

#: As `edgeml convert` takes unless it is told otherwise.
_CALIBRATION = 200


def fold(
    data: str,
    config: dict[str, Any],
    split: dict[str, Any],
    recipe: str | None,
    scratch: str,
    threads: int | None,
) -> dict[str, Any]:
    """Train on one side of a split and judge on the other: arguments and result are JSON.

    Args:
        data: the dataset folder.
        config: a complete `Config` as plain values.
        split: of the groups, as plain values.
        recipe: by which the model is converted as well; None for not at all.
        scratch: a folder for windows that are too many for the memory, and for models.
        threads: of TensorFlow; None leaves it the choice.

    Returns:
        ``test``, the ``figure`` and its ``value``, ``n``, ``epochs``, ``seconds``; with a recipe
        ``converted``; where windows have one label each ``hits``: which were right ``before`` and ``after``,
        of which group.
    """
    if threads is not None:  # TensorFlow reads them when it starts
        os.environ.update(TF_NUM_INTRAOP_THREADS=str(threads), TF_NUM_INTEROP_THREADS="1")
    child.progress(stage="starting TensorFlow")
    try:
        import keras

        from train_host.fitting import fit
    except ModuleNotFoundError as error:
        raise MissingExtraError("edgeml train", "train", error.name) from error
    from train_host.fitting.session import Session

    dataset, settings, windows = _windows(data, msgspec.json.encode(config), scratch)
    sides = msgspec.convert(split, Split)
    prepared, task = prepare(dataset, windows, sides), tasks.of(dataset)
    began_s = time.monotonic()
    fitted = fit.fit(dataset, prepared, settings, Session(lambda facts: child.progress(**facts)))
    said = fit.scores(fitted.model, prepared.test)
    before = task.evaluate(said, prepared.test, dataset)
    result: dict[str, Any] = {
        "test": list(sides.test),
        "figure": before.figure,
        "value": before.value,
        "n": len(prepared.test),
        "epochs": fitted.best_epoch,
        "seconds": round(time.monotonic() - began_s, 2),
    }
    if recipe is not None:
        child.progress(stage=f"converting to {recipe}")
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            outputs = _converted(fitted.model, prepared, recipe, settings.seed, Path(folder))
        after = task.evaluate(outputs, prepared.test, dataset)
        agreement = compare.difference(said, outputs, classes=before.figure == "accuracy").agreement
        result["converted"] = {"value": after.value, "agreement": agreement}
        if before.figure == "accuracy" and prepared.test.y.ndim == 1:
            result["hits"] = {
                "before": _hits(said, prepared.test),
                "after": _hits(outputs, prepared.test),
                "group": list(prepared.test.group),
            }
    keras.backend.clear_session()
    return result


@lru_cache(maxsize=1)
def _windows(data: str, config: bytes, scratch: str) -> tuple[Dataset, Config, Windowed]:
    """Those of all groups, which each fold divides in its own way."""
    child.progress(stage="reading recordings")
    dataset, settings = Dataset.load(data), msgspec.json.decode(config, type=Config)
    return dataset, settings, samples.collect(dataset, settings, Path(scratch))


def _converted(model: Any, prepared: Prepared, recipe: str, seed: int, folder: Path) -> NDArray[np.float32]:
    """What the converted model says to the test windows: `edgeml convert`, with windows of this fold."""
    train, test = prepared.train, prepared.test
    labels = train.y if train.y.ndim == 1 and train.y.dtype.kind in "iu" else np.zeros(len(train), np.int64)
    chosen = choose(labels, _CALIBRATION, seed)
    x = np.concatenate([np.asarray(train.x[chosen]), np.asarray(test.x)])
    np.savez(folder / "windows.npz", x=x, calibration=np.arange(len(x)) < len(chosen))
    model.save(folder / "model.keras")
    request = Request(
        model=str(folder / "model.keras"),
        output=folder / "model.tflite",
        recipe=recipe,
        data=folder / "windows.npz",
        report=False,
    )
    try:
        report = perform(request)
    except DropError as error:
        report = error.report  # what it lost is what is to be known
    outputs: NDArray[np.float32] = report.chosen.outputs[0]
    return outputs


def _hits(outputs: NDArray[Any], windows: Windowed) -> list[int]:
    found: list[int] = (compare.decide(outputs) == windows.y).astype(int).tolist()
    return found
