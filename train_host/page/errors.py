"""Windows to look at and to listen to: each drawn, played where it is sound, with what the model said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.page import charts, inputs, sound, wording
from converters.page.markup import Html, join, tag
from train_host.judging.judged import Judged

#: Cards that are shown, and bytes of sound in all of them: two a sample.
SHOWN = 12
_SOUND_BYTES = 3_000_000


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
        parts = [tag("div", card.title, class_="head"), tag("div", inputs.draw(sample, how), class_="drawn")]
        if expects.rate_hz and sound.is_sound(sample, expects.rate_hz):
            parts.append(sound.spectrogram(sample, expects.rate_hz))
            if 2 * sample.size <= left:
                left -= 2 * sample.size
                parts.append(sound.player(sample, expects.rate_hz))
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
