"""One trial: train, convert, measure; on whichever machine has time, from a dataset that it is sent."""

from __future__ import annotations

import base64
import fcntl
import io
import tarfile
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from converters.conversion import convert
from converters.inspect import inspect
from edge_sdk.dataset import Dataset
from edge_sdk.errors import EdgeError
from edge_sdk.model import Model
from edge_sdk.modelfile import GOLDEN, Golden, read_members
from firmware_bridge.measurement import measure
from train_host.config import Config
from train_host.training import Request, train

MODEL, CONVERTED = "model.keras", "model.tflite"
#: What a recipe loses shows in the figure that is searched for.
UNGATED = {"max_drop": 0.99, "max_growth": 1e9}
#: How many inferences a target is asked for.
_INFERENCES = 8


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to try; plain values, so that it can be sent.

    Attributes:
        number: of the trial.
        dataset: a folder that the worker sees.
        config: of the training, its split among it.
        recipe: of the conversion.
        target: where it is measured; None: nowhere.
        board: what it must run on; None: anything.
    """

    number: int
    dataset: str
    config: dict[str, Any]
    recipe: str
    target: str | None = None
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


def attempt(order: Order) -> Result:
    """Carry out an order; a combination that cannot be built or converted is a result, too."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="edgeml-trial-") as folder:
        try:
            figures, reasons = _figures(order, Path(folder))
        except EdgeError as error:
            if error.exit_code == 3:  # a machine that failed says nothing about the model
                raise
            return Result(number=order.number, failure=str(error), seconds=time.monotonic() - started)
        files = {
            path.name: base64.b64encode(path.read_bytes()).decode()
            for path in sorted(Path(folder).iterdir())
            if path.name in (MODEL, CONVERTED)
        }
    seconds = round(time.monotonic() - started, 2)
    return Result(number=order.number, figures=figures, reasons=reasons, files=files, seconds=seconds)


def _figures(order: Order, folder: Path) -> tuple[dict[str, float | int | None], list[str]]:
    config = msgspec.convert(order.config, Config)
    train(Request(Path(order.dataset), config, folder / MODEL))
    report = convert(
        folder / MODEL, folder / CONVERTED, recipe=order.recipe, data=order.dataset, report=False, **UNGATED
    )
    said = report.as_dict()
    facts = inspect(folder / CONVERTED, order.board)
    figures: dict[str, float | int | None] = {
        "accuracy": said.get("accuracy"),
        "error": said.get("error"),
        "accuracy_original": said.get("accuracy_original"),
        "bytes": said["bytes"],
        "parameters": facts.parameters,
        "macs": facts.macs,
        "arena_bytes": facts.arena_bytes,
    }
    if order.target is not None:
        figures |= _measured(folder / CONVERTED, order.target)
    fit = facts.boards[order.board] if order.board else None
    reasons = list(fit.reasons) if fit is not None and not fit.runs else []
    return figures, reasons


def _measured(file: Path, target: str) -> dict[str, float | int | None]:
    golden = Golden.from_bytes(read_members(file)[GOLDEN])
    with Model.load(file, target=target) as model:
        figures = measure(model, golden.inputs[0][:_INFERENCES]).as_dict()
    known = ("latency_us", "instructions", "flash_bytes", "arena_bytes")
    return {name: figures[name] for name in known if figures[name] is not None}


def packed(dataset: Dataset) -> bytes:
    """A dataset folder as a tar, for machines that do not see it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path in sorted(dataset.folder.rglob("*")):
            name = path.relative_to(dataset.folder)
            if not any(part.startswith(".") for part in name.parts):
                tar.add(path, name.as_posix(), recursive=False)
    return out.getvalue()


def unpacked(content: bytes, digest: str) -> Path:
    """The folder of a dataset that was sent; one a machine."""
    place = Path(tempfile.gettempdir()) / f"edgeml-dataset-{digest.removeprefix('sha256:')[:16]}"
    with Path(f"{place}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            building = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
            with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                tar.extractall(building, filter="data")
            building.rename(place)
    return place


def payload(order: Order) -> Mapping[str, Any]:
    """Plain values."""
    plain: dict[str, Any] = msgspec.to_builtins(order)
    return plain
