"""Training: loss and the other figures over the epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from converters.page import charts
from converters.page.markup import Html, join, tag
from converters.page.scales import Scale, around
from train_host.page.report import Report

_HEIGHT = 230


def render(report: Report) -> Html:
    """A chart a figure; the epoch that was kept is marked."""
    history: dict[str, list[float]] = report.run["history"]
    best = int(report.run["best_epoch"])
    names = [name for name in history if not name.startswith("val_") and name != "learning_rate"]
    watched = any(f"val_{name}" in history for name in names)
    figures = [
        tag(
            "figure",
            tag("h3", name.replace("_", " ")),
            charts.responsive(partial(_chart, history[name], history.get(f"val_{name}"), best, name)),
        )
        for name in names[:4]
    ]
    legend = [("f-result", "training"), *([("f1", "validation")] if watched else [])]
    told = (
        f"{len(history['loss'])} epochs; the weights of epoch {best} were kept"
        f"{', which has the lowest validation loss' if watched and best < len(history['loss']) else ''}."
    )
    return join((tag("p", told, class_="lead"), charts.legend(*legend), tag("div", *figures, class_="side")))


def _chart(
    training: Sequence[float], validation: Sequence[float] | None, best: int, name: str, width: float
) -> Html:
    lines = [(training, "s-result"), *([(validation, "s1")] if validation else [])]
    values = [value for line, _ in lines for value in line if math.isfinite(value)] or [0.0]
    low, high = around(values)
    if name == "loss":
        low = 0.0
    count = len(training)
    x = Scale(1, max(count, 2), 52, width - 14)
    y = Scale(low, max(high, low + 1e-9), _HEIGHT - 40, 20)
    parts = [
        charts.axes(x, y, ("epoch", ""), (_whole, charts.number)),
        tag("line", x1=x(best), x2=x(best), y1=y.start, y2=y.end, class_="originalline"),
    ]
    for line, kind in lines:
        points = [(x(i), y(value)) for i, value in enumerate(line, 1) if math.isfinite(value)]
        parts += [charts.path(points, f"{kind} thin")] if len(points) > 1 else []
        parts += [
            tag("circle", cx=a, cy=b, r=2.5, class_=f"f{kind[1:]}") for a, b in points[:1] if count == 1
        ]
    return charts.drawing(width, _HEIGHT, f"{name} over epochs", *parts)


def _whole(value: float) -> str:
    return charts.number(value) if value == round(value) else ""
