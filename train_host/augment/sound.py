"""Sound: its samples made louder and noisier; its log-mel spectrogram as other voices and rooms make it.

Masks, after "SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition" (Park et al.,
2019); Voice, after "Vocal Tract Length Perturbation (VTLP) improves speech recognition" (Jaitly and Hinton,
2013).
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from train_host.augment.layer import Augmentation, between

#: From noise that falls by 6 dB an octave (a room, wind) to noise that is equally strong everywhere.
_STEEPEST = 1.0
_KNOTS = 5
#: A window more quiet than this is silence: there is nothing that noise could be in relation to.
_SILENCE = 1e-4


class Gain(Augmentation):
    """Makes each window louder or quieter, by up to `largest_db`."""

    def __init__(self, largest_db: float, seed: int) -> None:
        super().__init__(seed)
        self.reach = largest_db / 20 * math.log(10)

    def change(self, x: Any) -> Any:
        """float32 [n, window, channels] -> the same shape."""
        return x * ops.exp(self.one_each(x, -self.reach, self.reach))


class Noise(Augmentation):
    """Adds noise to half of the windows: of a random colour, or cut out of recordings.

    Args:
        snr_db: least and largest ratio of a window's power to that of its noise.
        recordings: float32 [k, window, channels], windows of background to draw from; None makes noise.
        seed: of choices and noise.
    """

    def __init__(
        self, snr_db: tuple[float, float], recordings: NDArray[np.float32] | None, seed: int
    ) -> None:
        super().__init__(seed)
        self.snr_db, self.recordings = snr_db, recordings

    def change(self, x: Any) -> Any:
        """float32 [n, window, channels] -> the same shape."""
        noise = self._made(x) if self.recordings is None else self._drawn(x, self.recordings)
        ratio = ops.exp(self.one_each(x, *self.snr_db) * (-math.log(10) / 20))
        noisy = x + noise / ops.maximum(_loudness(noise), _SILENCE) * _loudness(x) * ratio
        return ops.where(self.chosen(x, 0.5), noisy, x)

    def _made(self, x: Any) -> Any:
        """White noise whose spectrum is tilted."""
        n, window, channels = ops.shape(x)[0], x.shape[1], x.shape[2]
        real, imaginary = ops.rfft(self.normal((n, channels, window)))
        bins = window // 2 + 1
        hertz = np.log(np.maximum(np.arange(bins), 1) / bins).astype(np.float32)
        tilt = ops.exp(self.uniform((n, 1, 1), -_STEEPEST, 0.0) * hertz)
        return ops.transpose(ops.irfft((real * tilt, imaginary * tilt), fft_length=window), (0, 2, 1))

    def _drawn(self, x: Any, recordings: NDArray[np.float32]) -> Any:
        which = keras.random.randint((ops.shape(x)[0],), 0, len(recordings), seed=self.seeds)
        return ops.take(ops.convert_to_tensor(recordings), which, axis=0)


class Masks(Augmentation):
    """Hides two stretches of time and one of bands behind the spectrogram's mean.

    Args:
        time: longest stretch of time, as a share of the frames.
        bands: broadest stretch of bands, as a share of them.
        seed: of sizes and places.
    """

    def __init__(self, time: float, bands: float, seed: int) -> None:
        super().__init__(seed)
        self.time, self.bands = time, bands

    def change(self, x: Any) -> Any:
        """float32 [n, frames, mels] -> the same shape."""
        n, frames, mels = ops.shape(x)[0], x.shape[1], x.shape[2]
        hidden = self.stretch(n, frames, self.time) | self.stretch(n, frames, self.time)
        hidden = hidden[:, :, None] | self.stretch(n, mels, self.bands)[:, None, :]
        return ops.where(hidden, ops.mean(x, axis=(1, 2), keepdims=True), x)


class Tone(Augmentation):
    """Lifts some bands and lowers others, smoothly, by up to `largest_db`: other microphones and rooms.

    Args:
        largest_db: of the energy in a band.
        silence: what the spectrogram says of silence; it stays silence.
        seed: of the curves.
    """

    def __init__(self, largest_db: float, silence: float, seed: int) -> None:
        super().__init__(seed)
        self.reach, self.floor = largest_db / 10 * math.log(10), math.exp(silence)

    def change(self, x: Any) -> Any:
        """float32 [n, frames, mels], natural logarithms of energies -> the same shape."""
        knots = self.uniform((ops.shape(x)[0], _KNOTS), -self.reach, self.reach)
        places = ops.linspace(0.0, _KNOTS - 1.0, x.shape[2])[None] + ops.zeros_like(knots[:, :1])
        energy = ops.maximum(ops.exp(x) - self.floor, 0.0)
        return ops.log(energy * ops.exp(between(knots, places))[:, None, :] + self.floor)


class Voice(Augmentation):
    """Stretches the bands by 1 ± `share`: longer and shorter vocal tracts, at the same pace of speech."""

    def __init__(self, share: float, seed: int) -> None:
        super().__init__(seed)
        self.share = share

    def change(self, x: Any) -> Any:
        """float32 [n, frames, mels] -> the same shape."""
        factor = self.uniform((ops.shape(x)[0], 1), 1 - self.share, 1 + self.share)
        places = ops.arange(x.shape[2], dtype="float32")[None] * factor
        return ops.transpose(between(ops.transpose(x, (0, 2, 1)), places), (0, 2, 1))


def _loudness(x: Any) -> Any:
    """Root of the mean square: float32 [n, window, channels] -> float32 [n, 1, 1]."""
    return ops.sqrt(ops.mean(ops.square(x), axis=(1, 2), keepdims=True))
