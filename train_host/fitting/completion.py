"""What only the training windows say of a config where nobody does: how long to train, how far to turn."""

from __future__ import annotations

import math

import msgspec

from edge_sdk.dataset import Dataset
from train_host.augment import wearing
from train_host.config import Config
from train_host.windows.prepare import Prepared, triplets

#: Epochs where windows are many, and at most; with few windows as many as make so many steps.
_LEAST, _MOST, _STEPS = 30, 150, 1000


def complete(config: Config, dataset: Dataset, prepared: Prepared) -> Config:
    """The same with epochs, patience and the angle of rotations; what is there already stays.

    Args:
        config: completed by `Config.for_dataset`.
        dataset: for its channels.
        prepared: for the windows of the training side.
    """
    epochs = config.epochs or usual_epochs(len(prepared.train), config.batch)
    patience = _usual_patience(dataset.task, epochs) if config.patience is None else config.patience
    rotation_deg = config.rotation_deg
    if rotation_deg is None and "rotation" in config.augment:
        sensors = triplets(dataset.channels, config.triplets)
        rotation_deg = round(wearing.largest_deg(prepared.train, dataset.channels, sensors), 1)
    return msgspec.structs.replace(config, epochs=epochs, patience=patience, rotation_deg=rotation_deg)


def usual_epochs(windows: int, batch: int) -> int:
    """Thirty, or more where there are few windows: a network needs steps, and theirs cost little.

    >>> usual_epochs(4000, 64), usual_epochs(1200, 64), usual_epochs(50, 64)
    (30, 54, 150)
    """
    wanted = math.ceil(_STEPS * batch / max(windows, 1))
    return min(max(wanted, _LEAST), _MOST)


def _usual_patience(task: str, epochs: int) -> int:
    """A third of the epochs; 0, which never stops, of a detector of anomalies.

    What a detector says of another group's normal windows gets worse while it learns what tells all of them
    from anomalies.
    """
    return 0 if task == "anomaly" else max(1, round(epochs / 3))
