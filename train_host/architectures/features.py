"""What detectors of anomalies look at: features of a window, each of zero mean and unit variance.

`spectrum` for signals, log-mel for sound, samples as they are for images and where asked for.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from edge_sdk.contract import Statistics
from train_host.architectures.front import begin
from train_host.architectures.log_mel import LogMel
from train_host.architectures.spectrum import spectrum

#: The layer that gives features their mean and variance.
STANDARD = "standard"
CHOICES = ("spectrum", "samples")
#: With more frames than this their course is left out: it is another one each time, and has to be learned.
_FRAMES = 8


def frames(
    shape: tuple[int, ...],
    statistics: Statistics,
    sound: LogMel | None,
    looks_at: str,
    bands: int,
    frame: int,
) -> tuple[Any, Any]:
    """The input of a model, and its features frame by frame; of many frames their mean and spread.

    Returns:
        float32 [n, *shape], and float32 [n, frames, features], normalised; of many frames
        [n, 1, 2 * features], of images [n, h, w, channels].

    Raises:
        ValueError: `looks_at` is no choice, or what `spectrum` and `log_mel` refuse.
    """
    if looks_at not in CHOICES:
        raise ValueError(f"looks_at: expected {' or '.join(CHOICES)}, found {looks_at!r}")
    inputs, x = begin(shape, statistics, sound)
    if len(shape) != 2 or (looks_at == "samples" and sound is None):
        return inputs, x
    if sound is None:
        x = spectrum(shape, bands, frame)(x)
    if x.shape[1] > _FRAMES:
        return inputs, standardised(_over_frames(tuple(x.shape[1:]))(x))
    return inputs, standardised(x) if sound is None else x


def summary(
    shape: tuple[int, ...], statistics: Statistics, sound: LogMel | None, bands: int, frame: int
) -> tuple[Any, Any]:
    """The input of a model, and mean and spread of its features over the frames, not normalised yet.

    Returns:
        float32 [n, *shape], and float32 [n, 1, features].
    """
    inputs, x = begin(shape, statistics, sound)
    if sound is None:
        x = spectrum(shape, bands, frame)(x)
    return inputs, _over_frames(tuple(x.shape[1:]))(x)


def standardised(x: Any) -> Any:
    """Each feature with zero mean and unit variance over the training windows."""
    layer = keras.layers.BatchNormalization(scale=False, center=False, momentum=0.9, name=STANDARD)
    return layer(x)


def _over_frames(shape: tuple[int, ...]) -> Any:
    """A model without weights: [frames, features] -> [1, 2 * features], or [1, features] of one frame."""
    inputs = keras.Input(shape, name="frames")
    mean = ops.mean(inputs, axis=1, keepdims=True)
    if shape[0] == 1:
        return keras.Model(inputs, mean, name="summary")
    off = ops.subtract(inputs, mean)
    spread = ops.sqrt(ops.add(ops.mean(ops.multiply(off, off), axis=1, keepdims=True), 1e-6))
    return keras.Model(inputs, ops.concatenate([mean, spread], axis=-1), name="summary")
