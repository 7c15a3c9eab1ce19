"""One trial: train, convert, look at what came out; on whichever machine has time."""

from __future__ import annotations

import base64
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from converters.conversion import convert
from converters.inspect import inspect
from edge_sdk import child
from edge_sdk.dataset import Dataset
from edge_sdk.errors import ChildError, EdgeError, MissingExtraError
from train_host.config import Config
from train_host.training import Request, train
from train_host.tuning.goals import FIGURES

MODEL, CONVERTED = "model.keras", "model.tflite"
#: What a recipe loses shows in the figure that is searched for.
UNGATED = {"max_drop": 0.99, "max_growth": 1e9}


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to try; plain values, so that it can be sent.

    Attributes:
        number: of the trial.
        dataset: a folder that the worker sees.
        config: of the training, its split among it.
        recipe: of the conversion.
        board: what it must run on; None: anything.
    """

    number: int
    dataset: str
    config: dict[str, Any]
    recipe: str
    board: str | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    Attributes:
        number: of the trial.
        figures: by name; empty where it failed.
        failure: why it failed.
        reasons: why the board cannot run it.
        files: base64, by name.
        seconds: it took.
    """

    number: int
    figures: dict[str, float | int | None] = {}
    failure: str | None = None
    reasons: list[str] = []
    files: dict[str, str] = {}
    seconds: float = 0.0


def work(order: dict[str, Any], folder: str, threads: int | None) -> dict[str, Any]:
    """In a process of its own, `attempt` an order: arguments and result are JSON.

    Args:
        order: an `Order` as plain values.
        folder: to work in.
        threads: of TensorFlow; None leaves it the choice.
    """
    if threads is not None:  # the processes that compute inherit them
        os.environ.update(
            TF_NUM_INTRAOP_THREADS=str(threads), TF_NUM_INTEROP_THREADS="1", OMP_NUM_THREADS=str(threads)
        )
    found: dict[str, Any] = msgspec.to_builtins(attempt(msgspec.convert(order, Order), Path(folder)))
    return found


def attempt(order: Order, folder: Path | None = None) -> Result:
    """Carry out an order; one that diverges, takes all memory or cannot be converted is a result, too.

    Args:
        order: what to try.
        folder: to work in; None for that of temporary files.

    Raises:
        MissingExtraError: this machine cannot train.
        DeviceError: this machine failed, which says nothing about the model.
    """
    started = time.monotonic()

    def spent() -> float:
        return round(time.monotonic() - started, 2)

    with tempfile.TemporaryDirectory(prefix="edgeml-trial-", dir=folder) as place:
        try:
            figures, reasons = _figures(order, Path(place))
        except MissingExtraError:
            raise
        except EdgeError as error:
            if error.exit_code == 3 and not isinstance(error, ChildError):
                raise
            return Result(number=order.number, failure=str(error), seconds=spent())
        files = {
            name: base64.b64encode((Path(place) / name).read_bytes()).decode() for name in (MODEL, CONVERTED)
        }
    return Result(number=order.number, figures=figures, reasons=reasons, files=files, seconds=spent())


def _figures(order: Order, folder: Path) -> tuple[dict[str, float | int | None], list[str]]:
    config = msgspec.convert(order.config, Config)
    train(Request(Path(order.dataset), config, folder / MODEL), _tell)
    report = convert(
        folder / MODEL,
        folder / CONVERTED,
        recipe=order.recipe,
        data=order.dataset,
        report=False,
        on_progress=lambda stage: _tell({"stage": stage}),
        **UNGATED,
    ).as_dict()
    facts = inspect(folder / CONVERTED, order.board)
    figures = {
        **judged(report, Dataset.load(order.dataset).task),
        "accuracy_original": report.get("accuracy_original"),
        "bytes": report["bytes"],
        "parameters": facts.parameters,
        "macs": facts.macs,
        "arena_bytes": facts.arena_bytes,
    }
    fit = facts.boards[order.board] if order.board else None
    reasons = list(fit.reasons) if fit is not None and not fit.runs else []
    return figures, reasons


def judged(report: dict[str, Any], task: str) -> dict[str, float | None]:
    """How good a converted model is: the figures of a task, out of what ``edgeml convert --json`` prints."""
    every = {**report, **report.get("figures", {})}
    names = [name for name, figure in FIGURES.items() if task in figure.tasks]
    return {name: value["value"] if isinstance(value := every.get(name), dict) else value for name in names}


def _tell(facts: dict[str, Any]) -> None:
    child.progress(**facts)
