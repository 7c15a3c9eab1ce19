"""What is kept of a training run: the contract and the run record, inside the model file and beside it."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.figures import Figures
from edge_sdk.contract import Contract, Input, Lineage, Reference
from edge_sdk.dataset import Dataset, Split, Windowed
from edge_sdk.modelfile import CONTRACT, GOLDEN, LABELS, RUN, Golden
from train_host import tasks
from train_host.config import Config
from train_host.judging.calibration import Calibration
from train_host.windows.prepare import Prepared

#: Windows that travel with the model and are run again before it is trusted.
GOLDEN_WINDOWS = 8
#: Keras on another machine may sum in another order.
_TOLERANCE = 1e-4


def contract(name: str, dataset: Dataset, prepared: Prepared, config: Config, said: NDArray[Any]) -> Contract:
    """The contract of a model that was just trained, without its lineage.

    Args:
        name: of the model.
        dataset: for channels, rate and labels.
        prepared: for the statistics of the training windows.
        config: for window, hop and decision.
        said: float32 [n, …], what the model says to the training windows.
    """
    task = tasks.of(dataset)
    shares = task.shares(dataset, said)
    expects = Input(
        channels=dataset.channels,
        rate_hz=dataset.rate_hz,
        window=config.window or 1,
        hop=config.hop or 1,
        layout=dataset.layout,
    )
    return Contract(
        name=name,
        task=dataset.task,
        input=expects,
        output=task.output(dataset, prepared),
        decision=task.decision(dataset, config),
        reference=Reference(prepared.statistics, tuple(round(float(share), 6) for share in shares)),
    )


def lineage(
    dataset: Dataset, split: Split, config: Config, result: Figures, calibrated: Calibration | None = None
) -> Lineage:
    """Where a model comes from, how good it is, and how far its scores can be believed."""
    changed = calibrated is not None and calibrated.choice.applied
    return Lineage(
        dataset=dataset.digest,
        split=split.by,
        seed=config.seed,
        interval=result.interval,
        n=result.n,
        temperature=calibrated.choice.temperatures if calibrated is not None and changed else None,
        calibration_error=None if calibrated is None else calibrated.after.ece.value,
        versions=versions(),
        **{result.figure: result.value},  # type: ignore[arg-type]
    )


def run(
    dataset: Dataset, split: Split, config: Config, result: Figures, more: dict[str, Any]
) -> dict[str, Any]:
    """The object in ``NAME.run.json``: everything needed to repeat the run.

    Args:
        dataset: what was trained on.
        split: its sides.
        config: complete.
        result: on the test side.
        more: further facts, such as ``seconds``.
    """
    return {
        "dataset": {"path": str(dataset.folder.resolve()), "digest": dataset.digest},
        "split": split.as_dict(),
        "window": config.window,
        "hop": config.hop,
        "seed": config.seed,
        "config": config.as_dict(),
        result.figure: result.value,
        "interval": list(result.interval),
        "n": result.n,
        "per_group": result.per_group,
        "versions": versions(),
        **more,
    }


def golden(windows: Windowed, said: NDArray[np.float32]) -> Golden:
    """A few windows spread over the test side, and what the model said to them."""
    chosen = np.unique(np.linspace(0, len(windows) - 1, GOLDEN_WINDOWS).round().astype(int))
    return Golden((windows.x[chosen],), (said[chosen],), (_TOLERANCE,))


def members(contract: Contract, golden: Golden, run: dict[str, Any]) -> dict[str, bytes]:
    """What goes into the .keras file."""
    return {
        CONTRACT: contract.to_json(),
        GOLDEN: golden.to_bytes(),
        RUN: to_json(run),
        LABELS: "".join(f"{label}\n" for label in contract.output.labels).encode(),
    }


def to_json(run: dict[str, Any]) -> bytes:
    """UTF-8 JSON for people and programs."""
    return json.dumps(run, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def versions() -> dict[str, str]:
    """Of the packages that decide the result."""
    found = {"python": platform.python_version()}
    for package in ("edgeml-kit", "numpy", "tensorflow", "keras"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
