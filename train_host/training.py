"""A training run from a dataset folder to a model file.

TensorFlow works in a child process: its memory, its messages and its crashes stay there. It writes into a
folder that this process has made beside the place of the model; only what is complete is moved from there.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edge_sdk import child
from edge_sdk.dataset import Dataset
from edge_sdk.errors import ConfigError, DeviceError, MissingExtraError
from train_host import architectures, record, tasks
from train_host.config import Config
from train_host.prepare import check_augmentations

#: Longer than any training on one machine; the child's protocol wants a number.
_TIMEOUT_S = 30 * 86400.0

Progress = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Request:
    """What to train, on what, and where to.

    Attributes:
        data: the dataset folder.
        config: how.
        output: a .keras file; None only measures, by `folds`.
        folds: number of cross-validation folds; 0 for none.
    """

    data: Path
    config: Config
    output: Path | None
    folds: int = 0


def train(request: Request, on_progress: Progress | None = None) -> dict[str, Any]:
    """Train a model and write it with its record and its pictures; or cross-validate; or both.

    Args:
        request: what to do. All that can be wrong with it is found before TensorFlow starts.
        on_progress: called with facts about each epoch.

    Returns:
        ``accuracy``, ``interval``, ``n``, ``per_group``, ``model``, ``seconds``; ``folds`` where asked for.

    Raises:
        DatasetError: the data cannot be used as asked.
        ConfigError: an option does not fit the data.
        MissingExtraError: TensorFlow is not installed.
        DeviceError: the place of the model cannot be written.
    """
    started = time.monotonic()
    _check(request)
    facts: dict[str, Any] = {}
    arguments = {
        "data": str(request.data),
        "config": request.config.as_dict(),
        "name": request.output.stem if request.output else "",
        "folds": request.folds,
    }
    if request.output is None:
        facts = child.call(
            "train_host.training:work", timeout_s=_TIMEOUT_S, on_progress=on_progress, **arguments
        )
    else:
        try:
            building = tempfile.TemporaryDirectory(
                prefix=f".{request.output.name}.", dir=request.output.parent
            )
        except OSError as error:
            raise DeviceError(f"cannot write {request.output}", found=error.strerror or error) from error
        with building as folder:
            facts = child.call(
                "train_host.training:work",
                timeout_s=_TIMEOUT_S,
                on_progress=on_progress,
                folder=folder,
                **arguments,
            )
            for name in record.FILES:
                (Path(folder) / name).replace(request.output.parent / name)
            (Path(folder) / request.output.name).replace(request.output)
    model = str(request.output) if request.output else None
    return {**facts, "model": model, "seconds": round(time.monotonic() - started, 2)}


def work(
    data: str, config: dict[str, Any], name: str, folds: int, folder: str | None = None
) -> dict[str, Any]:
    """The child's part of `train`: arguments and result are JSON.

    Args:
        data: the dataset folder.
        config: a `Config` as plain values.
        name: of the model file, without its suffix.
        folds: as in `Request`.
        folder: where the files go; None trains no final model.
    """
    child.progress(stage="starting TensorFlow")
    try:
        from train_host import final, fit
        from train_host import folds as folding
    except ModuleNotFoundError as error:
        raise MissingExtraError("edgeml train", "train", error.name) from error

    dataset = Dataset.load(data)
    settings = msgspec.convert(config, Config).for_dataset(dataset)
    child.progress(stage="reading recordings", device=fit.device())
    windows = dataset.windows(dataset.groups, settings.window or 1, settings.hop or 1)
    facts: dict[str, Any] = {}
    if folds:
        splits = dataset.folds(folds, settings.seed, validation=settings.validation)
        facts = _folded(folding.cross_validate(dataset, windows, splits, settings), dataset.group)
    if folder is not None:
        facts |= final.train(dataset, windows, settings, Path(folder) / f"{name}.keras")
    return facts


def _folded(results: list[dict[str, Any]], by: str) -> dict[str, Any]:
    from train_host.evaluate import spread

    figures = spread([result["accuracy"] for result in results])
    n = sum(result["n"] for result in results)
    return {"accuracy": figures["mean"], "n": n, "folds": {"by": by, **figures, "each": results}}


def _check(request: Request) -> Dataset:
    """Find what is wrong before TensorFlow takes its seconds to start."""
    output, config = request.output, request.config
    if output is None and not request.folds:
        raise ConfigError("nothing to do", expected="-o MODEL.keras, or --folds K, or both")
    if output is not None and output.suffix != ".keras":
        raise ConfigError(f"{output}: suffix", expected=".keras", found=output.suffix or "none")
    if output is not None and not output.parent.is_dir():
        raise ConfigError(
            f"{output.parent}: no such folder", remedy=f"make it first: mkdir -p {output.parent}"
        )
    dataset = Dataset.load(request.data)
    tasks.of(dataset)
    architectures.choose(config.arch, dataset, config.model)
    config.for_dataset(dataset)
    check_augmentations(config.augment, dataset.channels, config.triplets)
    if request.folds:
        dataset.folds(request.folds, config.seed, validation=config.validation)
    if output is not None:
        dataset.split(config.seed, validation=config.validation, test=config.test)
    return dataset
