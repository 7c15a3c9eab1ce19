"""The model that learns: the one that is kept, with augmentations ahead of it and around its spectrogram."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edge_sdk.dataset import Dataset
from edge_sdk.errors import ConfigError
from train_host import augment
from train_host.augment import Facts
from train_host.config import Config
from train_host.windows.prepare import Prepared

#: The layer that reads a spectrogram: what is ahead of it is features, what is behind it learns.
_BANDS = "bands"
#: Windows of background that are kept at hand.
_MOST_BACKGROUND = 256


def learner(model: Any, dataset: Dataset, prepared: Prepared, config: Config) -> Any:
    """A model of the same weights that sees changed windows while it is trained.

    Args:
        model: that is kept; it is the learner itself where nothing is augmented.
        dataset: for channels and labels.
        prepared: for statistics and background.
        config: completed by `Config.for_dataset`; augmentations work in its order, each with its own seed.

    Raises:
        ConfigError: an augmentation does not fit the data, or the model makes no spectrogram.
    """
    augment.check(config.augment, dataset, config)
    bands = next((layer for layer in model.layers if layer.name == _BANDS), None)
    wanted = [name for name in config.augment if augment.TABLE[name].changes == "spectrogram"]
    if bands is None and wanted:
        raise ConfigError(
            f"augment: {wanted[0]} changes the spectrogram that a model makes of sound",
            expected=f"a layer named {_BANDS!r} that reads it, as architectures for sound have",
            found=", ".join(layer.name for layer in model.layers[:4]) + ", …",
        )
    front = None if bands is None else keras.Model(model.inputs[0], bands.input)
    facts = Facts(
        config,
        dataset.channels,
        prepared.statistics,
        silence=None if front is None else _silence(front),
        background=_background(dataset, prepared, config.background),
    )
    made = [(augment.TABLE[name], config.seed + index) for index, name in enumerate(config.augment)]
    ahead = [entry.build(facts, own) for entry, own in made if entry.changes == "windows"]
    inside = [entry.build(facts, own) for entry, own in made if entry.changes == "spectrogram"]
    if bands is None or not inside:
        return _chain(model, ahead, [model]) if ahead else model
    rest = keras.Model(bands.input, model.outputs[0])
    return _chain(model, ahead, [front, *inside, rest])


def _chain(model: Any, ahead: list[Any], behind: list[Any]) -> Any:
    x = inputs = keras.Input(model.input_shape[1:])
    for layer in (*ahead, *behind):
        x = layer(x)
    return keras.Model(inputs, x, name="learner")


def _silence(front: Any) -> float:
    """What the spectrogram says of silence, which depends on its floor."""
    nothing = np.zeros((1, *front.input_shape[1:]), np.float32)
    return float(np.min(front(nothing)))


def _background(dataset: Dataset, prepared: Prepared, label: str | None) -> NDArray[np.float32] | None:
    """Training windows of the label that is background, evenly chosen.

    Raises:
        ConfigError: there are none.
    """
    if label is None:
        return None
    found = np.flatnonzero(prepared.train.y == dataset.labels.index(label))
    if not len(found):
        raise ConfigError("background", expected=f"recordings of {label} to train on", found="none")
    chosen = found[np.linspace(0, len(found) - 1, min(len(found), _MOST_BACKGROUND)).round().astype(int)]
    windows: NDArray[np.float32] = np.ascontiguousarray(prepared.train.x[chosen])
    return windows
