"""The plot of the recipes that were tried: what each costs against what it keeps."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from converters.page import charts, wording
from converters.page.labels import Box, Labels
from converters.page.markup import Html, join, tag
from converters.page.scales import Scale, around
from converters.report import Report, Trial

_HEIGHT = 300


@dataclass(frozen=True)
class Point:
    """A trial in a plot.

    Attributes:
        trial: that it stands for.
        name: beside it.
        x: size in bytes, or latency in µs.
        y: accuracy, or dB.
        spread: interval of y, or None.
        best: whether no other trial beats it.
        chosen: whether it became the file.
    """

    trial: Trial
    name: str
    x: float
    y: float
    spread: tuple[float, float] | None
    best: bool
    chosen: bool

    @property
    def failed(self) -> bool:
        """Whether it cannot be taken."""
        return self.trial.failure is not None


def points_of(report: Report, names: Sequence[str], x_of: Callable[[Trial], float | None]) -> list[Point]:
    """The trials that have both measures."""
    best = {id(trial) for trial in report.front}
    points = []
    for trial, name in zip(report.trials, names, strict=True):
        x, verdict = x_of(trial), trial.verdict
        if x is None or verdict is None or not x > 0:
            continue
        spread = None
        if verdict.original is not None and verdict.result is not None:
            y = verdict.result.accuracy
            if verdict.drop_interval is not None:
                low, high = verdict.drop_interval
                spread = (
                    max(verdict.original.accuracy - high, 0.0),
                    min(verdict.original.accuracy - low, 1.0),
                )
        else:
            y = verdict.difference.sqnr_db
        if math.isnan(y):
            continue
        points.append(Point(trial, name, x, y, spread, id(trial) in best, trial is report.chosen))
    return points


def draw(report: Report, points: Sequence[Point], title: str, width: float) -> Html:
    """The trials as points: the front joined, the chosen one ringed, failures hollow."""
    accuracy = report.verdict.original.accuracy if report.verdict.original is not None else None
    x = _x_scale([point.x for point in points], width)
    y = _y_scale(points, accuracy, report.max_drop)
    shown = wording.size if title.startswith("size") else wording.duration
    parts = [
        charts.axes(
            x,
            y,
            (title, "accuracy" if accuracy is not None else "outputs above their error, dB"),
            (lambda value: re.sub(r"(\.\d*?)0+ ", r"\1 ", shown(value)).replace(". ", " "), charts.number),
        )
    ]
    labels = Labels(Box(x.start, y.end - 4, x.end + 14, y.start - 2))
    places = [(point, x(point.x), min(max(y(point.y), y.end), y.start)) for point in points]
    labels.taken += [Box(at_x - 8, at_y - 8, at_x + 8, at_y + 8) for _, at_x, at_y in places]
    if accuracy is not None:
        for value, name in ((accuracy, "original"), (accuracy - report.max_drop, "gate")):
            at = min(y(value), y.start)
            parts.append(tag("line", x1=x.start, x2=x.end, y1=at, y2=at, class_=f"{name}line"))
            parts.append(labels.put_on(name, (x.end, x.start), at))
    parts.append(_front_line(points, x, y))
    for point, at_x, at_y in places:
        parts.append(_marker(point, at_x, at_y, y))
    for point, at_x, at_y in sorted(places, key=lambda place: not place[0].chosen):
        beyond = "" if y.low <= point.y <= y.high else f" {_beyond(point, y)}"
        parts.append(labels.put(point.name + beyond, at_x, at_y, strong=point.chosen))
    return charts.drawing(width, _HEIGHT, f"{len(points)} recipes by {title}", *parts)


def _x_scale(values: Sequence[float], width: float) -> Scale:
    low, high = min(values), max(values)
    if high > 4 * low:
        return Scale(low / 1.4, high * 1.4, 44, width - 16, log=True)
    return Scale(
        max(low - 0.25 * (high - low) - 0.05 * high, 0.0), high + 0.25 * (high - low), 44, width - 16
    )


def _y_scale(points: Sequence[Point], accuracy: float | None, max_drop: float) -> Scale:
    """Room for what passed and for the gate; what is far below or above stands at the edge."""
    finite = [point.y for point in points if math.isfinite(point.y)] or [0.0]
    if accuracy is None:
        low, high = around(finite, least=10.0)
    else:
        able = [point.y for point in points if not point.failed]
        low, high = around([*able, accuracy, accuracy - max_drop], least=0.01, margin=0.35)
        near = [value for value in finite if value >= low - (high - low)]
        low, high = around([*near, low, high], margin=0.05)
        high = min(high, 1.0 + 0.04 * (1 - low))
    return Scale(low, high, _HEIGHT - 46, 34)


def _beyond(point: Point, y: Scale) -> str:
    if math.isinf(point.y):
        return "↑ equal" if point.y > 0 else "↓"
    shown = charts.number(round(point.y, 3))
    return f"↓ {shown}" if point.y < y.low else f"↑ {shown}"


def _front_line(points: Sequence[Point], x: Scale, y: Scale) -> Html:
    """Joins those that none beats in this plot's two measures, as steps: nothing is known between them."""
    able = sorted((p for p in points if p.best and math.isfinite(p.y)), key=lambda p: (p.x, -p.y))
    unbeaten: list[Point] = []
    for point in able:
        if not unbeaten or point.y > unbeaten[-1].y:
            unbeaten.append(point)
    if len(unbeaten) < 2:
        return Html()
    steps = [(x(unbeaten[0].x), y(unbeaten[0].y))]
    for point in unbeaten[1:]:
        steps += [(x(point.x), steps[-1][1]), (x(point.x), y(point.y))]
    return charts.path(steps, "frontline")


def _marker(point: Point, at_x: float, at_y: float, y: Scale) -> Html:
    kind = "hollow" if point.failed else "f-result" if point.best else "f-mid"
    parts = []
    if point.spread is not None and point.chosen and y.low <= point.y <= y.high:
        ends = [min(max(y(value), y.end), y.start) for value in point.spread]
        parts.append(tag("line", x1=at_x, x2=at_x, y1=ends[0], y2=ends[1], class_="whisker"))
    if point.chosen:
        parts.append(tag("circle", cx=at_x, cy=at_y, r=9.0, class_="ring"))
    hint = tag("title", f"{point.name}: {point.trial.failure or 'can be taken'}")
    parts.append(tag("circle", hint, cx=at_x, cy=at_y, r=5.0, class_=kind))
    return join(parts)
