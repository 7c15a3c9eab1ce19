"""The part of a training run that needs TensorFlow; `train_host.training` calls it in a child process."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import msgspec

from edge_sdk import child
from edge_sdk.dataset import Dataset
from edge_sdk.errors import MissingExtraError
from train_host import resuming, workspace
from train_host.config import Config
from train_host.fitting.checkpoints import Checkpoints, unfinished
from train_host.fitting.session import Interrupted, Session
from train_host.windows import samples


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """Where a model is made. Paths are plain text: this is sent to the child process.

    Attributes:
        model: a .keras file, and all that belongs beside it; none of it is there yet.
        lock: held as long as somebody works there.
        stop: a file that asks to stop.
        checkpoints: their folder.
        run: the number of this run.
        resume: go on from its checkpoints.
        checkpoint_s: within an epoch one is written after so many seconds.
        events: a folder for TensorBoard.
    """

    model: str
    lock: str
    stop: str
    checkpoints: str
    run: int
    resume: bool
    checkpoint_s: float
    events: str | None = None


def work(data: str, config: dict[str, Any], scratch: str, site: dict[str, Any]) -> dict[str, Any]:
    """The child's part of `training.train`: arguments and result are JSON.

    Args:
        data: the dataset folder.
        config: a `Config` as plain values.
        scratch: a folder for windows that are too many for the memory.
        site: a `Site` as plain values.

    Returns:
        The figures; or ``interrupted``, how far the training was when it was asked to stop.
    """
    place = msgspec.convert(site, Site)
    workspace.share(Path(place.lock))
    for number in (signal.SIGTERM, signal.SIGHUP):  # the caller hears of them, and says when to end
        signal.signal(number, signal.SIG_IGN)
    child.progress(stage="starting TensorFlow")
    try:
        from train_host import final
        from train_host.fitting import fit
    except ModuleNotFoundError as error:
        raise MissingExtraError("edgeml train", "train", error.name) from error

    dataset = Dataset.load(data)
    settings = msgspec.convert(config, Config).for_dataset(dataset)
    child.progress(stage="reading recordings", device=fit.device())
    session = _session(place, dataset, settings, fit.device())
    try:
        return final.train(
            dataset,
            samples.collect(dataset, settings, Path(scratch)),  # in no variable, which would keep it
            settings,
            Path(place.model),
            session,
        )
    except Interrupted as interrupted:
        return {"interrupted": {"epoch": interrupted.epoch, "epochs": interrupted.epochs}}


def _session(place: Site, dataset: Dataset, config: Config, device: str) -> Session:
    folder = Path(place.checkpoints)
    identity = {**resuming.identity(dataset, config), "device": device}
    before = unfinished(folder) if place.resume else None
    if before is not None:
        resuming.check(Path(place.model).name, before, identity)
    return Session(
        report=lambda facts: child.progress(**facts),
        checkpoints=Checkpoints(folder, identity, place.run, every_s=place.checkpoint_s),
        events=Path(place.events) if place.events else None,
        stop=Path(place.stop),
    )
