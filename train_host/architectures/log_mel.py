"""A log-mel spectrogram as the first layers of a model: sound in, features out, nothing left to the device.

Only operations of Keras, so that the .keras file loads anywhere; they become operators of TFLite itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

#: The spread of the quietest recordings within -1..1.
_QUIETEST = 1e-3


@dataclass(frozen=True, kw_only=True)
class LogMel:
    """How sound becomes features.

    Attributes:
        rate_hz: of the samples.
        frame_ms: length of the Hann window; its transform has the next power of two of samples.
        hop_ms: from the start of one frame to the start of the next.
        mels: number of bands, triangles whose corners are evenly spaced in mel.
        lowest_hz: where the first band begins.
        highest_hz: where the last band ends.
        floor: added to each band's energy ahead of the logarithm: what is quieter is silence.
        full_scale: the sample that is 1 of sound within -1..1; None: see `of_spread`.
    """

    rate_hz: float
    frame_ms: float = 32.0
    hop_ms: float = 20.0
    mels: int = 32
    lowest_hz: float = 60.0
    highest_hz: float
    floor: float = 1e-4
    full_scale: float | None = None

    def of_spread(self, std: float) -> LogMel:
        """The same with a full scale: ten times the spread of samples that cannot be sound within -1..1.

        So that the floor is silence of a vibration in m/s², or of a voltage in V, as well.
        """
        if self.full_scale is not None:
            return self
        return replace(self, full_scale=1.0 if _QUIETEST <= std <= 1 or not std else 10 * std)

    @property
    def frame(self) -> int:
        """Samples in a frame."""
        return round(self.frame_ms * self.rate_hz / 1000)

    @property
    def hop(self) -> int:
        """Samples between the starts of two frames."""
        return round(self.hop_ms * self.rate_hz / 1000)

    @property
    def length(self) -> int:
        """Samples of the transform: a frame between zeros."""
        return 1 << (self.frame - 1).bit_length()

    def frames(self, window: int) -> int:
        """How many transforms a window of so many samples holds."""
        return 1 + (window - self.length) // self.hop

    def check(self, window: int) -> None:
        """Refuse what cannot be computed.

        Raises:
            ValueError: naming the option.
        """
        rules = [
            (self.hop >= 1, "hop_ms: expected at least one sample"),
            (
                4 <= self.length <= window,
                f"frame_ms: expected 3 samples or more, and at most {window} with the zeros around them, "
                f"found {self.frame} and {self.length}",
            ),
            (
                0 <= self.lowest_hz < self.highest_hz <= self.rate_hz / 2,
                f"lowest_hz and highest_hz: expected 0 <= lowest < highest <= {self.rate_hz / 2:g}",
            ),
            (self.floor > 0, "floor: expected more than 0"),
            (self.full_scale is None or self.full_scale > 0, "full_scale: expected more than 0"),
            (self.mels >= 1, "mels: expected at least one"),
        ]
        for holds, complaint in rules:
            if not holds:
                raise ValueError(complaint)
        narrow = np.flatnonzero(~self.filters().any(axis=0))
        if narrow.size:
            raise ValueError(
                f"mels: band {narrow[0]} lies between two bins of {self.rate_hz / self.length:g} Hz; "
                "take fewer, or a longer frame_ms"
            )

    def filters(self) -> NDArray[np.float32]:
        """float32 [length / 2 + 1, mels]: the weight of each bin in each band, 1 at a band's middle."""
        low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (self.lowest_hz, self.highest_hz))
        corners = 700 * (10 ** (np.linspace(low, high, self.mels + 2) / 2595) - 1)
        bins = np.linspace(0, self.rate_hz / 2, self.length // 2 + 1)[:, None]
        rising = (bins - corners[:-2]) / (corners[1:-1] - corners[:-2])
        falling = (corners[2:] - bins) / (corners[2:] - corners[1:-1])
        weights: NDArray[np.float32] = np.clip(np.minimum(rising, falling), 0, None).astype(np.float32)
        return weights


def log_mel(window: int, sound: LogMel) -> Any:
    """A model without weights, to be a layer of others.

    It gives the natural logarithm of the energy, plus the floor, in each band of each frame; all frames lie
    within the window: float32 [window, 1], -1..1 -> float32 [frames, mels].

    Raises:
        ValueError: the window holds no frame, or an option is out of range.
    """
    sound.check(window)
    inputs = keras.Input((window, 1), name="pcm")
    samples = ops.reshape(inputs, (-1, window))
    real, imaginary = ops.stft(samples, sound.frame, sound.hop, sound.length, window="hann", center=False)
    power = ops.add(ops.square(real), ops.square(imaginary))
    # on the constants, so that it costs nothing
    energy = ops.matmul(power, sound.filters() / np.float32((sound.full_scale or 1.0) ** 2))
    return keras.Model(inputs, ops.log(ops.add(energy, sound.floor)), name="log_mel")
