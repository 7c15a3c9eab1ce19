"""Draws one input of a model: a time window as lines, a picture as a picture."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.page import charts, png, wording
from converters.page.markup import Html, tag
from converters.page.scales import Scale
from edge_sdk import contract as contracts

#: Channels that are drawn, and those beyond which two axes are no channels over time.
_DRAWN, _MOST_CHANNELS = 8, 16
#: Points of a line; of longer windows the smallest and largest value of each stretch.
_POINTS = 120
_WIDTH, _LANE, _LEFT = 300, 56, 2
#: Channels whose ranges differ by more than this do not share a scale.
_UNLIKE = 8.0
_COLOURS = 8


@dataclass(frozen=True)
class View:
    """How the inputs of a model are drawn.

    Attributes:
        kind: ``lines``, ``picture``, ``plane`` (a matrix as a grey picture) or ``none``.
        names: of the channels, with units.
        lanes: channels that share a scale.
        low: smallest value of all inputs.
        high: largest.
        rate_hz: of a window; None where unknown.
    """

    kind: str
    names: tuple[str, ...] = ()
    lanes: tuple[tuple[int, ...], ...] = ()
    low: float = 0.0
    high: float = 1.0
    rate_hz: float | None = None

    @property
    def legend(self) -> Html:
        """Which colour is which channel; nothing for a single one or a picture."""
        drawn = [i for lane in self.lanes for i in lane]
        if self.kind != "lines" or len(drawn) < 2:
            return Html()
        return charts.legend(*((f"f{i % _COLOURS}", wording.clipped(self.names[i])) for i in drawn))


def view(samples: NDArray[Any], described: contracts.Input | None) -> View:
    """How to draw the inputs of an array [n, …]."""
    low, high = float(np.min(samples)), float(np.max(samples))
    shape = samples.shape[1:]
    timed = described is not None and described.layout == "TC"
    if len(shape) == 3 and shape[-1] in (1, 3) and min(shape[:2]) >= 4 and not timed:
        return View("picture", low=low, high=high)
    table = _table(samples[0])
    if table is None:
        return View("none")
    if table.shape[1] > _MOST_CHANNELS and not timed:
        return View("plane", low=low, high=high)
    count = table.shape[1]
    channels = described.channels if described is not None and len(described.channels) == count else ()
    names = tuple(f"{c.name} [{c.unit}]" if c.unit else c.name for c in channels) or tuple(
        map(str, range(count))
    )
    units = [channel.unit for channel in channels] if any(c.unit for c in channels) else None
    rate = (
        described.rate_hz if described is not None and timed and described.window == table.shape[0] else None
    )
    return View("lines", names, _lanes(samples.reshape(-1, count), units), low, high, rate)


def draw(sample: NDArray[Any], how: View) -> Html:
    """One input.

    Args:
        sample: [T], [T, channels], [height, width], [height, width, 1 or 3].
        how: as `view` found for all of them.
    """
    if how.kind == "none":
        return tag("p", f"{sample.dtype} {list(sample.shape)}: not drawn", class_="soft")
    if how.kind in ("picture", "plane"):
        values = np.nan_to_num(sample.astype(np.float64))
        grey = np.clip((values - how.low) / max(how.high - how.low, 1e-12), 0, 1) * 255
        if how.kind == "plane":
            grey = np.squeeze(grey).T[::-1]  # time runs to the right, frequency upwards
        pixels = grey[..., 0] if grey.ndim == 3 and grey.shape[-1] == 1 else grey
        height, width = pixels.shape[:2]
        return tag(
            "img",
            src=png.address(pixels),
            alt="",
            width=width,
            height=height,
            style=f"aspect-ratio:{width}/{height};height:auto",
        )
    table = _table(sample)
    assert table is not None
    return _lines(np.nan_to_num(table), how)


def _table(sample: NDArray[Any]) -> NDArray[np.float64] | None:
    """[T, channels], or None where it has more axes that count."""
    shape = [size for size in sample.shape if size != 1]
    if len(shape) > 2 or not sample.size:
        return None
    # A window of one channel is a column even where its axis was dropped.
    return np.asarray(sample.reshape(shape if len(shape) == 2 else (-1, 1)), np.float64)


def _lanes(rows: NDArray[Any], units: Sequence[str] | None) -> tuple[tuple[int, ...], ...]:
    """Which channels are drawn on one scale: those of one unit, or without units those of like ranges."""
    drawn = range(min(rows.shape[1], _DRAWN))
    if units is not None:
        return tuple(
            tuple(i for i in drawn if units[i] == unit) for unit in dict.fromkeys(units[i] for i in drawn)
        )
    spans = np.ptp(rows[:, : len(drawn)], axis=0)
    whole = float(np.ptp(rows[:, : len(drawn)]))
    if whole <= _UNLIKE * max(float(spans.min()), 1e-12):
        return (tuple(drawn),)
    return tuple((i,) for i in drawn)


def _lines(rows: NDArray[np.float64], how: View) -> Html:
    length = len(rows)
    x = Scale(0, max(length - 1, 1), _LEFT, _WIDTH - _LEFT)
    parts: list[Html] = []
    for place, lane in enumerate(how.lanes):
        values = rows[:, list(lane)]
        low, high = float(values.min()), float(values.max())
        bottom = (place + 1) * _LANE - 4.0
        top = bottom - _LANE + 22
        y = Scale(low, high if high > low else low + max(abs(low), 1.0), bottom, top)
        parts.append(
            tag("line", x1=float(_LEFT), x2=float(_WIDTH - _LEFT), y1=bottom, y2=bottom, class_="grid")
        )
        span = f"{wording.significant(low)} … {wording.significant(high)}"
        parts.append(charts.write(_LEFT, top - 5, f"{_unit(how, lane)}{span}", "tick"))
        for channel in lane:
            if length == 1:
                parts.append(
                    tag("circle", cx=x(0), cy=y(rows[0, channel]), r=3.0, class_=f"f{channel % _COLOURS}")
                )
            else:
                parts.append(charts.path(_thinned(rows[:, channel], x, y), f"s{channel % _COLOURS}"))
    height = len(how.lanes) * _LANE + 14
    noun = "sample" if rows.shape[1] > 1 else "value"
    end = f"{length / how.rate_hz:.3g} s" if how.rate_hz else wording.counted(length, noun)
    parts.append(charts.write(_LEFT, height - 3, "0", "tick"))
    parts.append(charts.write(_WIDTH - _LEFT, height - 3, end, "tick", "end"))
    left_out = rows.shape[1] - sum(map(len, how.lanes))
    more = (
        tag("p", f"… and {wording.counted(left_out, 'channel')} more", class_="soft") if left_out else Html()
    )
    return tag("div", charts.drawing(_WIDTH, height, "the input", *parts), more)


def _unit(how: View, lane: Sequence[int]) -> str:
    if len(how.lanes) < 2:
        return ""
    names = [how.names[i] for i in lane]
    unit = names[0].rpartition(" [")[2].rstrip("]") if names[0].endswith("]") else ""
    return f"{wording.clipped(unit or ', '.join(names), 20)}: "


def _thinned(values: NDArray[np.float64], x: Scale, y: Scale) -> list[tuple[float, float]]:
    """Points of a line; of a long one the extremes of each stretch, so that no peak gets lost."""
    length = len(values)
    if length <= _POINTS:
        return [(x(i), y(float(value))) for i, value in enumerate(values)]
    edges = np.linspace(0, length, _POINTS // 2 + 1).astype(int)
    points = []
    for first, last in itertools.pairwise(edges):
        part = values[first:last]
        extremes = sorted({int(part.argmin()), int(part.argmax())})
        points += [(x(first + i), y(float(part[i]))) for i in extremes]
    return points
