"""What signals sound like: per channel its level, and the energy in bands of frequency, frame by frame.

A model without weights, of operations that become TFLite's own: raw windows in, features out.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

#: Added to each energy ahead of the logarithm, as a share of the variance of a channel.
_FLOOR = 1e-4


def spectrum(shape: tuple[int, ...], bands: int, frame: int) -> Any:
    """Features of normalised signals: float32 [window, channels] -> float32 [frames, channels * (bands + 1)].

    A frame is `frame` samples under a Hann window, or the whole window where that is shorter; frames do not
    overlap, and what is left at the end is not looked at. Bands are as wide as each other.

    Args:
        shape: of one window: samples, channels.
        bands: at most so many, and not more than there are frequencies.
        frame: samples in a frame.

    Raises:
        ValueError: a frame or a band is less than it takes.
    """
    window, channels = shape
    length = min(frame, window)
    count = min(bands, length // 2)
    if length < 4 or count < 1:
        raise ValueError(f"frame and bands: expected at least 4 samples and 1 band, found {length}, {bands}")
    frames = window // length
    inputs = keras.Input(shape, name="signals")
    x = ops.reshape(inputs[:, : frames * length], (-1, frames, length, channels))
    level = ops.mean(x, axis=2)
    across = ops.transpose(x, (0, 1, 3, 2))
    real, imaginary = (ops.matmul(across, part) for part in _transform(length))
    power = ops.add(ops.multiply(real, real), ops.multiply(imaginary, imaginary))
    energy = ops.log(ops.add(ops.matmul(power, _bands(length, count)), _FLOOR))
    flat = ops.reshape(energy, (-1, frames, channels * count))
    return keras.Model(inputs, ops.concatenate([level, flat], axis=-1), name="spectrum")


def _transform(length: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cosines and sines of a Fourier transform under a Hann window, float32 [length, length // 2] each.

    Without the mean, and so scaled that the power of white noise of variance 1 adds up to 1.
    """
    hann = np.hanning(length + 2)[1:-1]
    angle = 2 * np.pi * np.outer(np.arange(length), np.arange(1, length // 2 + 1)) / length
    scale = (hann * np.sqrt(2 / (length * np.square(hann).sum())))[:, None]
    return (scale * np.cos(angle)).astype(np.float32), (scale * np.sin(angle)).astype(np.float32)


def _bands(length: int, count: int) -> NDArray[np.float32]:
    """float32 [length // 2, count]: which frequency adds to which band."""
    place = np.arange(length // 2) * count // (length // 2)
    return np.asarray(place[:, None] == np.arange(count), np.float32)
