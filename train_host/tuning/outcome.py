"""What a search found: a table, a picture, a file for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_sdk.bench.report import micros
from train_host.judging import plots
from train_host.tuning.folder import CONFIG, TRIALS
from train_host.tuning.front import Tried
from train_host.tuning.goals import FIGURES, Goals
from train_host.tuning.space import names_of
from train_host.tuning.trial import CONVERTED

TABLE, PICTURE = "trials.csv", "front.png"
#: What is not shown on a screen, which has a width.
_LEFT_OUT = ("parameters", "macs")
SHOWN = tuple(name for name in FIGURES if name not in _LEFT_OUT)
_ON, _WITHIN, _BEYOND = "#d95f02", "#1f77b4", "#bbbbbb"


def table(tried: Sequence[Tried], front: Sequence[Tried]) -> str:
    """Every trial as a line of CSV."""
    best = {each.number for each in front}
    keys = sorted({name for each in tried for name in each.values})
    known = [name for name in FIGURES if any(each.figures.get(name) is not None for each in tried)]
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(["trial", "front", "within_limits", "seconds", *known, *keys, "failure", "board"])
    for each in tried:
        figures = ["" if (value := each.figures.get(name)) is None else value for name in known]
        values = [each.values.get(key, "") for key in keys]
        marks = [each.number, int(each.number in best), int(each.feasible), each.result.seconds]
        lines.writerow([*marks, *figures, *values, each.result.failure or "", "; ".join(each.result.reasons)])
    return out.getvalue()


def screen(front: Sequence[Tried]) -> str:
    """The front for people."""
    shown = [name for name in SHOWN if any(each.figures.get(name) is not None for each in front)]
    rows = [["trial", *shown, "with"]]
    for each in front:
        cells = [cell(name, each.figures.get(name)) for name in shown]
        rows.append([str(each.number), *cells, "  ".join(names_of(each.values))])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        numbers = "  ".join(cell.rjust(width) for cell, width in zip(row[:-1], widths[:-1], strict=True))
        lines.append(f"{numbers}  {row[-1]}")
    return "\n".join(lines)


def verdict(output: Path, front: Sequence[Tried], best: Mapping[str, Any], data: Path) -> str:
    """What the best model is, where everything lies, and what to do next."""
    figure = best["figure"]
    low, high = (best[figure] is not None and best["interval"]) or (None, None)
    interval = "" if low is None else f" (95 %: {cell(figure, low)} to {cell(figure, high)})"
    other = front[min(1, len(front) - 1)].number
    place = f"{output}/{TRIALS}/{other}"
    rows = [
        ("model", f"{best['model']}, as {best['recipe']}: {best['tflite']}, {best['bytes']:,} bytes"),
        ("reports", f"{best['report']}, {best['conversion_report']}"),
        ("trials", f"{output / PICTURE}, {output / TABLE}"),
        ("again", f"edgeml train {data} -o again.keras --config {best['record']}"),
        (f"trial {other}", f"{place}/{CONVERTED}; with all groups but the tested ones:"),
        ("", f"edgeml train {data} -o other.keras --config {place}/{CONFIG} --recipe {best['recipe']}"),
    ]
    if len(front) == 1:
        rows = rows[:-2]
    return "\n".join(
        [
            f"trial {best['trial']}, trained anew: {figure} {cell(figure, best[figure])}{interval} "
            f"on test groups that no trial has seen, n = {best['n']}",
            *(f"{name:<9} {text}" for name, text in rows),
        ]
    )


def picture(tried: Sequence[Tried], front: Sequence[Tried], goals: Goals, title: str) -> bytes:
    """PNG: the first two objectives against each other, or one over the trials."""
    drawing = plots.figure(7.0, 5.0)
    axes = drawing.subplots()
    if len(goals.objectives) == 1:
        _course(axes, tried, goals)
    else:
        _front(axes, tried, front, goals)
    axes.grid(alpha=0.3)
    axes.set_title(title)
    axes.legend(loc="best", framealpha=0.8)
    return plots.png(drawing)


def _front(axes: Any, tried: Sequence[Tried], front: Sequence[Tried], goals: Goals) -> None:
    up, across = goals.objectives[0], goals.objectives[1]
    best = {each.number for each in front}
    known = [each for each in tried if None not in (each.figures.get(up), each.figures.get(across))]
    for colour, label, chosen in (
        (_BEYOND, "beyond a limit", [each for each in known if not each.feasible]),
        (_WITHIN, "within the limits", [each for each in known if each.feasible and each.number not in best]),
        (_ON, "nothing is better in all", [each for each in known if each.number in best]),
    ):
        points = sorted((each.figures[across], each.figures[up], each.number) for each in chosen)
        if not points:
            continue
        x, y = [point[0] for point in points], [point[1] for point in points]
        axes.scatter(x, y, color=colour, label=label, zorder=3 if colour == _ON else 2)
        if colour == _ON:
            axes.step(x, y, where="post", color=colour, alpha=0.5)
            for right, high, number in points:
                axes.annotate(str(number), (right, high), textcoords="offset points", xytext=(5, 5))
    if up in goals.limits:
        axes.axhline(goals.limits[up], color="black", linestyle=":", linewidth=1)
    if across in goals.limits:
        axes.axvline(goals.limits[across], color="black", linestyle=":", linewidth=1)
    axes.set(xlabel=_named(across), ylabel=_named(up))
    low, high = axes.get_xlim()
    if low > 0 and high / low > 20:
        axes.set_xscale("log", subs=range(2, 10))
        axes.xaxis.get_major_locator().set_params(subs=(1, 2, 5))
        axes.xaxis.set_minor_formatter("")
    for axis, name in ((axes.xaxis, across), (axes.yaxis, up)):
        if not _is_fine(name):
            axis.set_major_formatter("{x:,.0f}")


def _course(axes: Any, tried: Sequence[Tried], goals: Goals) -> None:
    """The objective of each trial, and the best one so far."""
    name = goals.objectives[0]
    more = FIGURES[name].rises
    known = [each for each in tried if each.figures.get(name) is not None]
    for colour, label, chosen in (
        (_BEYOND, "beyond a limit", [each for each in known if not each.feasible]),
        (_WITHIN, "a trial", [each for each in known if each.feasible]),
    ):
        if chosen:
            axes.scatter(
                [e.number for e in chosen], [e.figures[name] for e in chosen], color=colour, label=label
            )
    best: list[float] = []
    within = [each for each in known if each.feasible]
    for each in within:
        value = each.figures[name]
        best.append(value if not best else max(best[-1], value) if more else min(best[-1], value))
    axes.step([each.number for each in within], best, where="post", color=_ON, label="the best so far")
    axes.set(xlabel="trial", ylabel=_named(name))
    axes.xaxis.get_major_locator().set_params(integer=True)


def cell(name: str, value: Any) -> str:
    """A figure for people."""
    if value is None:
        return "–"
    if name == "error":
        return f"{value:.4g}"
    if name == "latency_us":
        return micros(value).removesuffix(" µs")
    return f"{value:.3f}" if FIGURES[name].share else f"{value:,.0f}"


def _named(name: str) -> str:
    """A figure at an axis."""
    return f"{name} ({'more' if FIGURES[name].rises else 'less'} is better)"


def _is_fine(name: str) -> bool:
    """Whether its digits behind the point mean something."""
    return FIGURES[name].share or name in ("error", "latency_us")
