"""Records of a log-mel spectrogram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c.layers.layer import Layer

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class PowerSpectrum(Layer):
    """The power of each frequency in a frame: float32 [frame] -> float32 [length / 2 + 1].

    Attributes:
        length: of the transform, a power of 2 from 4; what the frame lacks of it is zero.
        window: float32 [frame].
    """

    kernel = "edgeml_power_spectrum"
    structure = "edgeml_power_spectrum_t"
    header = "edgeml_log_mel.h"
    length: int
    window: Floats

    def fields(self) -> dict[str, Any]:
        """The size of the frame and the turning factors too."""
        turn = np.exp(-2j * np.pi * np.arange(self.length // 2) / self.length)
        twiddle = np.stack([turn.real, turn.imag], axis=1).astype(np.float32)
        return {"frame": len(self.window), **Layer.fields(self), "twiddle": twiddle}


@dataclass(frozen=True, slots=True, eq=False)
class LogMel(Layer):
    """Frames of sound as logarithms of the energy in bands: float32 [window] -> float32 [frames, bands].

    Attributes:
        spectrum: of each frame.
        frames: how many.
        start: samples ahead of the first.
        hop: samples from one to the next.
        filters: float32 [bins, bands], weights of the powers.
        bias: float32 [bands], added to the energy.
        lowest: what the energy counts as where it is less; a normal number above 0.
        scale: float32 [bands], of the logarithm.
        offset: float32 [bands], added to that.
    """

    kernel = "edgeml_log_mel"
    structure = "edgeml_log_mel_t"
    header = "edgeml_log_mel.h"
    spectrum: PowerSpectrum
    frames: int
    start: int
    hop: int
    filters: Floats
    bias: Floats
    lowest: float
    scale: Floats
    offset: Floats

    @property
    def bands(self) -> int:
        """Features of a frame."""
        return int(self.filters.shape[1])

    @property
    def window(self) -> int:
        """Samples up to the end of the last frame."""
        return self.start + (self.frames - 1) * self.hop + len(self.spectrum.window)

    def fields(self) -> dict[str, Any]:
        """The filters without the zeros around each band."""
        used = self.filters != 0
        first = np.where(used.any(axis=0), used.argmax(axis=0), 0)
        end = np.where(used.any(axis=0), len(used) - used[::-1].argmax(axis=0), 0)
        weights = [self.filters[a:b, n] for n, (a, b) in enumerate(zip(first, end, strict=True))]
        return {
            "spectrum": self.spectrum,
            "frames": self.frames,
            "start": self.start,
            "hop": self.hop,
            "bands": self.bands,
            "first": first.astype(np.int16),
            "bins": (end - first).astype(np.int16),
            "weights": np.concatenate(weights),
            "bias": self.bias,
            "scale": self.scale,
            "offset": self.offset,
            "lowest": self.lowest,
        }
