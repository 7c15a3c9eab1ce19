"""A few recordings of each label, of as many groups as possible."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converters.page import tables, wording
from converters.page.markup import Html, join, tag
from edge_sdk.errors import DatasetError
from train_host.data.portrait import Portrait
from train_host.data.report import figures
from train_host.data.report.content import Content

#: Labels with examples; examples of each, of signals and of pictures.
_LABELS, _SIGNALS, _PICTURES = 24, 3, 12


def render(content: Content) -> Html:
    """A heading and cards for each label."""
    each = _PICTURES if content.is_images else _SIGNALS
    parts = [
        tag("p", f"Recordings of usual length, each of another {content.dataset.group}.", class_="lead"),
        figures.legend(content.dataset),
    ]
    for kind in content.kinds[:_LABELS]:
        cards = [card for one in _chosen(content.of_kind(kind), each) if (card := _card(content, one))]
        if cards:
            parts += [tag("h3", wording.clipped(kind)), tag("div", *cards, class_=_cards(content))]
    parts.append(tables.and_more(min(len(content.kinds), _LABELS), len(content.kinds), "label"))
    return join(parts)


def _chosen(own: Sequence[Portrait], count: int) -> list[Portrait]:
    """Recordings nearest to the median length, one of each group first."""
    if not own:
        return []
    middle = float(np.median([one.length for one in own]))
    ordered = sorted(own, key=lambda one: (abs(one.length - middle), one.index))
    seen: dict[str, int] = {}
    ranked: list[tuple[int, int, Portrait]] = []
    for one in ordered:
        seen[one.group] = seen.get(one.group, 0) + 1
        ranked.append((seen[one.group], len(ranked), one))
    return [one for *_, one in sorted(ranked)[:count]]


def _card(content: Content, one: Portrait) -> Html:
    recording = content.recording(one)
    try:
        signal = content.dataset.read(recording)
    except DatasetError:  # the folder changed while it was looked at
        return Html()
    name = recording.file.rpartition("/")[2]
    head = tag("div", tag("span", wording.clipped(one.group, 24)), class_="head")
    note = figures.shown_of(signal)
    below = "" if content.is_images else tag("p", f"{wording.clipped(name, 30)}, {note}", class_="soft")
    return tag(
        "div",
        head,
        figures.drawing(content.dataset, signal),
        below,
        class_="card",
        title=f"{recording.file}: {note}",
    )


def _cards(content: Content) -> str:
    return "cards small" if content.is_images else "cards"
