"""Windows to look at and to listen to: each drawn, played where it is sound, with what the model said."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.page import charts, inputs, png, wording
from converters.page.markup import Html, join, tag
from edge_sdk.contract import Input
from train_host.judged import Judged

#: Cards that are shown, and bytes of sound in all of them.
SHOWN = 12
_SOUND_BYTES = 3_000_000
#: Slower signals are no sound, and more channels no loudspeakers.
_LEAST_HZ, _MOST_CHANNELS = 3000.0, 2
#: Bands and moments of a spectrogram.
_BANDS, _MOMENTS = 48, 72


@dataclass(frozen=True, slots=True)
class Card:
    """One window.

    Attributes:
        window: its place among those that were judged.
        title: what is wrong with it.
        said: names and what the model said of them, the highest first.
        true: that of the names which is right; None where that means nothing.
    """

    window: int
    title: str
    said: Sequence[tuple[str, float]]
    true: str | None = None


def spread_out(order: Iterable[Any], recordings: NDArray[np.int64], most: int = SHOWN) -> list[int]:
    """The first of an order that are of unlike recordings; then others, where there are too few."""
    order = [int(i) for i in order]
    seen: set[int] = set()
    first = []
    for i in order:
        if int(recordings[i]) not in seen:
            seen.add(int(recordings[i]))
            first.append(i)
    rest = [i for i in order if i not in set(first[:most])]
    return (first + rest)[:most] if len(first) < most else first[:most]


def render(judged: Judged, told: str, cards: Sequence[Card]) -> Html:
    """Words, then the cards."""
    expects = judged.expects
    samples = np.asarray(judged.windows.x[np.array([card.window for card in cards], np.int64)])
    how = inputs.view(samples, expects)
    left = _SOUND_BYTES
    drawn = []
    for card, sample in zip(cards, samples, strict=True):
        sound = _sound(sample, expects)
        parts = [tag("div", card.title, class_="head"), tag("div", inputs.draw(sample, how), class_="drawn")]
        if sound is not None:
            parts.append(_spectrogram(sample, expects.rate_hz or 1.0))
            if len(sound) <= left:
                left -= len(sound)
                address = "data:audio/wav;base64," + base64.b64encode(sound).decode()
                parts.append(tag("audio", controls="controls", preload="metadata", src=address))
        parts += [_said(card), tag("p", wording.clipped(judged.place(card.window), 90), class_="soft")]
        drawn.append(tag("div", *parts, class_="card"))
    return join((tag("p", told, class_="lead"), how.legend, tag("div", *drawn, class_="cards")))


def _said(card: Card) -> Html:
    rows = []
    for name, score in card.said:
        kind = "f-good" if name == card.true else "f-result"
        rows.append(
            tag(
                "tr",
                tag("td", wording.clipped(name, 20)),
                tag("td", f"{score:.3f}", class_="n"),
                tag("td", tag("div", charts.bar(score, kind, f"{score:.3f}"), class_="spark")),
            )
        )
    return tag("table", tag("tbody", *rows))


def _sound(sample: NDArray[Any], expects: Input) -> bytes | None:
    """The window as a .wav file; None where it is no sound."""
    if expects.layout != "TC" or (expects.rate_hz or 0.0) < _LEAST_HZ or sample.ndim != 2:
        return None
    if sample.shape[1] > _MOST_CHANNELS or not np.isfinite(sample).all():
        return None
    centred = sample - sample.mean(axis=0)
    loudest = float(np.abs(centred).max())
    level = 0.7 / loudest if loudest > 0 else 1.0  # quiet recordings are to be heard as well
    pcm = np.rint(np.clip(centred * level, -1, 1) * 32767).astype("<i2").tobytes()
    channels, rate = sample.shape[1], round(expects.rate_hz or 0.0)
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + len(pcm), b"WAVE", b"fmt ", 16, 1, channels),
        *(rate, rate * channels * 2, channels * 2, 16, b"data", len(pcm)),
    )
    return bytes(head + pcm)


def _spectrogram(sample: NDArray[Any], rate_hz: float) -> Html:
    """Time to the right, frequency upwards, dark where there is nothing."""
    mono = np.asarray(sample, np.float64).mean(axis=1)
    size = int(2 ** np.clip(np.round(np.log2(len(mono) / 24)), 5, 10))
    if len(mono) < size:
        return Html()
    starts = np.linspace(0, len(mono) - size, _MOMENTS).astype(int)
    pieces = np.stack([mono[start : start + size] for start in starts]) * np.hanning(size)
    power = np.abs(np.fft.rfft(pieces, axis=1))[:, 1:] ** 2
    bands = np.array_split(np.arange(power.shape[1]), min(_BANDS, power.shape[1]))
    level = np.log10(np.stack([power[:, band].mean(axis=1) for band in bands]) + 1e-12)
    top = float(level.max())
    grey = np.clip((level - top + 5) / 5, 0, 1)[::-1] * 255
    words = f"spectrogram: 0 to {rate_hz / 2000:g} kHz upwards"
    return tag("img", src=png.address(grey), alt=words, title=words, class_="stretched")
