"""Log-mel spectrograms, in double precision but for what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c.layers import LogMel, PowerSpectrum

Floats = NDArray[Any]


def power_spectrum(layer: PowerSpectrum, inputs: Sequence[Floats], output: Floats) -> None:
    """``|rfft(window * samples)|^2``."""
    windowed = layer.window.astype(np.float64) * inputs[0][: len(layer.window)]
    output[: layer.length // 2 + 1] = np.abs(np.fft.rfft(windowed, layer.length)) ** 2


def log_mel(layer: LogMel, inputs: Sequence[Floats], output: Floats) -> None:
    """``scale * log(max(filters . power + bias, lowest)) + offset`` of each frame."""
    rows = output.reshape(layer.frames, layer.bands)
    power = np.empty(layer.spectrum.length)
    for frame, row in enumerate(rows):
        power_spectrum(layer.spectrum, [inputs[0][layer.start + frame * layer.hop :]], power)
        energy = power[: len(layer.filters)] @ layer.filters.astype(np.float64) + layer.bias
        row[:] = layer.scale * np.log(np.maximum(energy, layer.lowest)) + layer.offset
