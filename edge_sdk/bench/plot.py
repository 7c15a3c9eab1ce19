"""The report as a drawing: how latencies are distributed, and how they went over time. SVG, written by hand.

A device has no plotting library, and a browser shows it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from edge_sdk.bench.record import GRID, Record
from edge_sdk.bench.report import micros

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 760, 300, 64, 20, 46, 46
_COLOURS = ("#1f5fa8", "#b3531f")
_STYLE = (
    "text{font:12px sans-serif;fill:#333}.title{font-weight:bold}.grid{stroke:#ddd}.axis{stroke:#888}"
    "path{fill:none;stroke-width:1.6}.far{stroke-dasharray:4 3}.hot{fill:#d33;opacity:.15}"
)
#: Beyond this the slowest few would press all others into a line.
_SHOWN = 0.995


def draw(records: Sequence[tuple[str, Record]]) -> str:
    """An SVG of one model, or of two that were measured side by side.

    Args:
        records: each with its name; those without a latency are left out.
    """
    shown = [(name, record) for name, record in records if record.latency_us is not None]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {2 * _HEIGHT + 24}" role="img">',
        f"<style>{_STYLE}</style><rect width='100%' height='100%' fill='#fff'/>",
    ]
    for at, (name, record) in enumerate(shown):
        latency = record.latency_us or {}
        words = ", ".join(f"{key} {micros(value)}" for key, value in latency.items())
        parts.append(f'<rect x="{_LEFT}" y="{at * 16 + 2}" width="10" height="10" fill="{_COLOURS[at]}"/>')
        parts.append(_text(_LEFT + 16, at * 16 + 12, f"{name}: {words}, {record.n:,} inferences"))
    parts += _distribution(shown)
    parts += _history(shown)
    return "\n".join([*parts, "</svg>\n"])


def _distribution(records: Sequence[tuple[str, Record]]) -> list[str]:
    """Share of the inferences that took no longer."""
    curves = [list(zip(record.curve_us, GRID, strict=False)) for _, record in records if record.curve_us]
    if not curves:
        return []
    low = min(curve[0][0] for curve in curves)
    high = max(next(us for us, share in curve if share >= _SHOWN) for curve in curves)
    frame = _Frame((low, high), (0.0, 1.0), 24)
    parts = frame.axes("latency, µs", "share of inferences that took no longer")
    for at, curve in enumerate(curves):
        parts.append(frame.line([(us, share) for us, share in curve if us <= high], _COLOURS[at]))
    return parts


def _history(records: Sequence[tuple[str, Record]]) -> list[str]:
    """Median and 99th percentile of each round; rounds in which the machine was throttled are marked."""
    turns = [record.turns for _, record in records if record.turns]
    if not turns:
        return []
    every = [turn for found in turns for turn in found]
    end = max(turn.at_s + turn.seconds for turn in every)
    values = [turn.latency_us[name] for turn in every for name in ("p50", "p99")]
    frame = _Frame((0.0, end), (min(values), max(values)), 24 + _HEIGHT)
    parts = [
        frame.band(turn.at_s, turn.at_s + turn.seconds, ", ".join(turn.conditions.now))
        for turn in every
        if turn.conditions is not None and turn.conditions.now
    ]
    parts += frame.axes("time, s", "median (line) and 99th percentile (dashed) of each round, µs")
    for at, found in enumerate(turns):
        for name, kind in (("p50", ""), ("p99", "far")):
            points = [(turn.at_s + turn.seconds / 2, turn.latency_us[name]) for turn in found]
            parts.append(frame.line(points, _COLOURS[at], kind))
    return parts


class _Frame:
    """One chart: from values to places.

    Args:
        x: lowest and highest value, from left to right.
        y: likewise, from the bottom up.
        top: where it begins, pixels.
    """

    def __init__(self, x: tuple[float, float], y: tuple[float, float], top: float) -> None:
        self._x, self._y = _padded(*x), _padded(*y)
        self._left, self._right = _LEFT, _WIDTH - _RIGHT
        self._top, self._bottom = top + _TOP, top + _HEIGHT - _BOTTOM

    def axes(self, across: str, up: str) -> list[str]:
        parts = []
        for value in _ticks(*self._y):
            y = self._up(value)
            parts.append(
                f'<line class="grid" x1="{self._left}" x2="{self._right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            )
            parts.append(_text(self._left - 6, y + 4, f"{value:g}", "end"))
        parts += [
            _text(self._across(value), self._bottom + 18, f"{value:g}", "middle")
            for value in _ticks(*self._x)
        ]
        line = f'x1="{self._left}" x2="{self._right}" y1="{self._bottom}" y2="{self._bottom}"'
        parts.append(f'<line class="axis" {line}/>')
        parts.append(_text((self._left + self._right) / 2, self._bottom + 36, across, "middle"))
        parts.append(_text(self._left, self._top - 10, up, kind="title"))
        return parts

    def line(self, points: Sequence[tuple[float, float]], colour: str, kind: str = "") -> str:
        steps = " ".join(f"{self._across(x):.1f} {self._up(y):.1f}" for x, y in points)
        return f'<path class="{kind}" stroke="{colour}" d="M{steps}"/>'

    def band(self, start: float, end: float, words: str) -> str:
        x, width = self._across(start), max(self._across(end) - self._across(start), 1.0)
        place = f'x="{x:.1f}" y="{self._top:.1f}" width="{width:.1f}" height="{self._bottom - self._top:.1f}"'
        return f'<rect class="hot" {place}><title>throttled: {escape(words)}</title></rect>'

    def _across(self, value: float) -> float:
        low, high = self._x
        return self._left + (value - low) / (high - low) * (self._right - self._left)

    def _up(self, value: float) -> float:
        low, high = self._y
        return self._bottom - (value - low) / (high - low) * (self._bottom - self._top)


def _padded(low: float, high: float) -> tuple[float, float]:
    """With room for one value alone."""
    return (low, high) if high > low else (low - max(abs(low), 1.0) / 2, high + max(abs(high), 1.0) / 2)


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers in a range."""
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (factor * step) <= 6)
    first = math.ceil(low / step)
    return [round(n * step, 12) for n in range(first, math.floor(high / step) + 1)]


def _text(x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(words)}</text>'
