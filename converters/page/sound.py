"""Sound to look at and to listen to: spectrograms, and players that need no network."""

from __future__ import annotations

import base64
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.page import png
from converters.page.markup import Html, tag

#: Slower signals are no sound, and more channels no loudspeakers.
_LEAST_HZ, _MOST_CHANNELS = 3000.0, 2
#: Rows and columns of a spectrogram, length of its frames, and the range of loudness that is shown.
_BANDS, _MOMENTS, _FRAME_S, _RANGE_DB = 64, 240, 0.025, 65.0
#: From silence to the loudest: red, green, blue.
_PALETTE = np.array(
    [
        (12, 10, 32),
        (60, 18, 96),
        (130, 38, 112),
        (196, 62, 92),
        (240, 122, 62),
        (252, 196, 104),
        (252, 250, 220),
    ]
)


def is_sound(samples: NDArray[Any], rate_hz: float | None) -> bool:
    """Whether a signal can be listened to.

    Args:
        samples: [n, channels].
        rate_hz: None where unknown.
    """
    fits = samples.ndim == 2 and samples.shape[1] <= _MOST_CHANNELS
    return bool(fits and rate_hz is not None and rate_hz >= _LEAST_HZ and np.isfinite(samples).all())


def player(samples: NDArray[Any], rate_hz: float) -> Html:
    """Plays a sound as loud as it can be: quiet ones are to be heard as well.

    Args:
        samples: [n, channels].
        rate_hz: of the samples.
    """
    centred = samples - samples.mean(axis=0)
    loudest = float(np.abs(centred).max())
    level = 0.7 / loudest if loudest > 0 else 1.0
    pcm = np.rint(np.clip(centred * level, -1, 1) * 32767).astype("<i2").tobytes()
    channels, rate = samples.shape[1], round(rate_hz)
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16)
    parts = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(pcm)) + pcm
    file = b"RIFF" + struct.pack("<I", len(parts)) + parts
    address = "data:audio/wav;base64," + base64.b64encode(file).decode()
    return tag("audio", controls="controls", preload="metadata", src=address)


def spectrogram(samples: NDArray[Any], rate_hz: float) -> Html:
    """Time to the right, frequency upwards on the mel scale, bright where it is loud; nothing if too short.

    Args:
        samples: [n, channels].
        rate_hz: of the samples.
    """
    mono = np.asarray(samples, np.float64).mean(axis=1)
    size = 1 << max(round(_FRAME_S * rate_hz).bit_length(), 5)
    if len(mono) < size:
        return Html()
    moments = min(_MOMENTS, 1 + (len(mono) - size) // (size // 8))
    starts = np.linspace(0, len(mono) - size, moments).astype(int)
    frames = mono[starts[:, None] + np.arange(size)] * np.hanning(size)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    bands = power @ _triangles(power.shape[1], rate_hz)
    level = 10 * np.log10(bands + 1e-12)
    shade = np.clip((level - level.max() + _RANGE_DB) / _RANGE_DB, 0, 1).T[::-1]
    places = np.linspace(0, 1, len(_PALETTE))
    pixels = np.stack([np.interp(shade, places, colour) for colour in _PALETTE.T], axis=-1)
    words = f"spectrogram, 0 to {rate_hz / 2000:g} kHz"
    address = png.address(pixels, longest=_MOMENTS)
    return tag("img", src=address, alt=words, title=words, class_="stretched", style="max-width:300px")


def _triangles(bins: int, rate_hz: float) -> NDArray[np.float64]:
    """float64 [bins, bands]: weights of each bin, each band a bin wide at least."""
    highest = 2595 * np.log10(1 + rate_hz / 1400)
    edges = 700 * (10 ** (np.linspace(0, highest, _BANDS + 2) / 2595) - 1)
    frequency = np.arange(bins)[:, None] * (rate_hz / 2 / (bins - 1))
    width = rate_hz / 2 / (bins - 1)
    rising = (frequency - edges[:-2]) / np.maximum(edges[1:-1] - edges[:-2], width)
    falling = (edges[2:] - frequency) / np.maximum(edges[2:] - edges[1:-1], width)
    return np.asarray(np.clip(np.minimum(rising, falling), 0, None))
