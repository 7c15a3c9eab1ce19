"""How amounts are written, and what a recording looks like."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from converters.page import inputs, sound, wording
from converters.page.markup import Html, tag
from edge_sdk.dataset import Dataset, Signal

#: Of a signal so much is drawn: s, and samples where that is less than is worth looking at.
_DRAWN_S, _LEAST = 6.0, 64
#: Channels that are drawn.
_CHANNELS = 8
#: Of a sound so much is drawn and played, s.
_SOUND_S = 4.0


def amount(value: float, unit: str) -> str:
    """``3 min 12 s``, ``1,204 images``."""
    if unit != "s":
        return f"{value:,.0f} {unit if value != 1 else unit.removesuffix('s')}"
    if value < 60:
        return f"{value:.1f} s"
    minutes, seconds = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def drawing(dataset: Dataset, signal: Signal) -> Html:
    """One recording, or a piece from its middle where it is long: a picture, lines, a sound to listen to.

    Args:
        dataset: for names and units of the channels.
        signal: of the recording.
    """
    samples, rate = signal.samples, signal.rate_hz
    if signal.is_image:  # as they are, not stretched to what is darkest and brightest
        return tag("div", inputs.draw(samples, inputs.View("picture", low=0.0, high=255.0)))
    audible = sound.is_sound(samples, rate)
    samples = _piece(samples, rate, _SOUND_S if audible else _DRAWN_S)
    if len(samples) == 1:  # a line has two ends
        samples = np.repeat(samples, 2, axis=0)
    parts = [inputs.draw(np.nan_to_num(samples, posinf=0.0, neginf=0.0), _view(dataset))]
    if audible and rate:
        parts += [sound.spectrogram(samples, rate), sound.player(samples, rate)]
    return tag("div", *parts)


def legend(dataset: Dataset) -> Html:
    """Which colour is which channel; nothing for pictures and single channels."""
    return Html() if dataset.layout == "HWC" else _view(dataset).legend


def _view(dataset: Dataset) -> inputs.View:
    """The same for all recordings: channels of one unit share a scale; without units each has its own."""
    channels = dataset.channels[:_CHANNELS]
    units = dict.fromkeys(channel.unit for channel in channels)
    lanes = [tuple(i for i, channel in enumerate(channels) if channel.unit == unit) for unit in units]
    if not any(units):
        lanes = [(i,) for i in range(len(channels))]
    names = tuple(f"{c.name} [{c.unit}]" if c.unit else c.name for c in dataset.channels)
    return inputs.View("lines", names, tuple(lanes), rate_hz=dataset.rate_hz)


def shown_of(signal: Signal) -> str:
    """Length of a recording, and how much of it is drawn."""
    if signal.is_image:
        height, width, count = signal.samples.shape
        return f"{width} × {height}, {wording.counted(count, 'channel')}"
    if not signal.rate_hz:
        return wording.counted(len(signal.samples), "sample")
    most = _SOUND_S if sound.is_sound(signal.samples, signal.rate_hz) else _DRAWN_S
    whole = signal.duration_s or 0.0
    drawn = max(most, _LEAST / signal.rate_hz)
    return f"{whole:.2f} s" if whole <= drawn else f"{drawn:g} s from the middle of {amount(whole, 's')}"


def _piece(samples: NDArray[np.float32], rate_hz: float | None, most_s: float) -> NDArray[np.float32]:
    most = max(round(most_s * rate_hz), _LEAST) if rate_hz else 400
    start = max((len(samples) - most) // 2, 0)
    return samples[start : start + most]
