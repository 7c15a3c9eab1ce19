"""What the tests of the training loop run in a process that has TensorFlow already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edge_sdk.dataset import Dataset, Windowed
from train_host import config as configs
from train_host import fit, loop, samples
from train_host.checkpoints import Checkpoints
from train_host.prepare import prepare
from train_host.session import Interrupted, Session


#: In an epoch of the set that the tests train on.
STEPS = 5


def _fitted(data: str, flags: dict[str, Any], session: Session, *, stored: bool = False) -> Any:
    dataset = Dataset.load(data)
    config = configs.load(None, **flags).for_dataset(dataset)
    if stored:
        pieces = dataset.pieces(dataset.groups, config.window or 1, config.hop or 1)
        windows = samples._store(pieces, config.hop or 1, Path(data))
    else:
        windows = dataset.windows(dataset.groups, config.window or 1, config.hop or 1)
    return fit.fit(dataset, prepare(dataset, windows, config.divide(dataset)), config, session)


def _outcome(fitted: Any) -> tuple[list[bytes], Any, int]:
    variables = [np.asarray(variable).tobytes() for variable in fitted.model.variables]
    return variables, fitted.history, fitted.best_epoch


def interrupted(
    data: str, flags: dict[str, Any], scratch: str, moments: list[int], stored: bool = False
) -> dict[str, Any]:
    """Stop a training again and again, go on each time, and compare it with one that nobody disturbed.

    Args:
        data: a dataset folder.
        flags: of the config.
        scratch: a folder for checkpoints.
        moments: steps of the whole training after which it is stopped.
        stored: read windows from the disk.

    Returns:
        ``stops``: epoch and step of each; ``same``: whether weights, history and best epoch are.
    """
    loop._CALL_S = 0.0  # a step a call, so that it can be stopped after each
    undisturbed = _outcome(_fitted(data, flags, Session(), stored=stored))
    stop, kept = Path(scratch) / "stop", Path(scratch) / "checkpoints"
    stops = []
    for moment in [*moments, None]:
        last: dict[str, Any] = {}

        def report(facts: dict[str, Any], moment: int | None = moment, last: dict[str, Any] = last) -> None:
            last |= {"step": 0} | facts
            done = (facts["epoch"] - ("step" in facts)) * STEPS + facts.get("step", 0)
            if moment is not None and done >= moment:
                stop.touch()

        session = Session(report, Checkpoints(kept, {}, run=1), stop=stop)
        try:
            outcome = _outcome(_fitted(data, flags, session, stored=stored))
        except Interrupted:
            stop.unlink()
            stops.append([last["epoch"], last["step"]])
    return {"stops": stops, "same": [one == other for one, other in zip(outcome, undisturbed, strict=True)]}


def outcomes_of_both(data: str, flags: dict[str, Any]) -> list[bool]:
    """Whether windows on the disk, where they are shuffled as one pool, give what windows in memory give."""
    memory = _outcome(_fitted(data, flags, Session()))
    disk = _outcome(_fitted(data, flags, Session(), stored=True))
    return [one == other for one, other in zip(memory, disk, strict=True)]
