"""How far the outputs of original and result are apart."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.page import charts, decisions, tables, wording
from converters.page.markup import Html, join, tag
from converters.page.scales import Scale, around
from converters.report import Report
from edge_sdk.graph import Graph, read_graph

#: Outputs that are drawn and listed, points of a cloud, columns of a histogram.
_DRAWN, _LISTED, _POINTS, _COLUMNS = 3, 40, 400, 31


def render(report: Report) -> Html:
    """Figures of every output; of the first few also a cloud of values and a histogram of errors."""
    verdict, names = report.verdict, _names(report)
    rows = []
    decides = decisions.deciding(report)
    for i, (name, array, apart) in enumerate(zip(names, report.original, verdict.outputs, strict=True)):
        same = apart.agreement if i == decides or decisions.probabilities(array) else None
        rows.append(
            (
                wording.clipped(name),
                "[" + ", ".join(map(str, array.shape[1:])) + "]",
                wording.decibels(apart.sqnr_db),
                wording.significant(apart.max_error),
                wording.significant(apart.mean_error),
                wording.NOTHING if same is None else f"{same:.2%}",
            )
        )
    head = ("output", "shape", "signal above error", "largest error", "mean error", "same label")
    inputs = wording.counted(verdict.difference.n, "input")
    told = f"Compared on {inputs}, {verdict.basis}; errors are in units of the output."
    parts = [
        tag("p", told, class_="lead"),
        tables.grid(head, rows[:_LISTED], numeric=(2, 3, 4, 5)),
        tables.and_more(min(len(rows), _LISTED), len(rows), "output"),
    ]
    order = sorted(
        range(len(names)), key=lambda i: (np.nan_to_num(verdict.outputs[i].sqnr_db, nan=-np.inf), i)
    )
    parts += [
        _drawn(names[i], report.original[i], report.chosen.outputs[i], titled=len(names) > 1)
        for i in sorted(order[:_DRAWN])
        if report.chosen.outputs and verdict.outputs[i].max_error > 0
    ]
    parts.append(
        tables.and_more(min(len(names), _DRAWN), len(names), "output", "those with most noise are drawn")
    )
    return join(parts)


def _drawn(name: str, before: NDArray[Any], after: NDArray[Any], *, titled: bool) -> Html:
    a, b = before.reshape(-1).astype(np.float64), after.reshape(-1).astype(np.float64)
    sound = np.isfinite(a) & np.isfinite(b)
    a, b = a[sound], b[sound]
    if not len(a):
        return Html()
    title = tag("h3", wording.clipped(name)) if titled else Html()
    figures = (tag("figure", charts.responsive(partial(draw, a, b))) for draw in (_cloud, _errors))
    return join((title, tag("div", *figures, class_="side")))


def _cloud(a: NDArray[np.float64], b: NDArray[np.float64], width: float) -> Html:
    """Values of the original across, of the result up; on the line both are equal."""
    height = 280
    chosen = np.unique(np.linspace(0, len(a) - 1, min(len(a), _POINTS)).astype(int))
    low, high = around([float(min(a.min(), b.min())), float(max(a.max(), b.max()))], margin=0.04)
    x, y = Scale(low, high, 52, width - 12), Scale(low, high, height - 46, 30)
    dots = "".join(f"M{x(float(a[i])):.1f} {y(float(b[i])):.1f}h.01" for i in chosen)
    some = f", {len(chosen):,} of {len(a):,} values" if len(chosen) < len(a) else ""
    return charts.drawing(
        width,
        height,
        "values before and after",
        charts.axes(x, y, (f"original{some}", "converted"), (charts.number, charts.number)),
        tag("line", x1=x(low), y1=y(low), x2=x(high), y2=y(high), class_="originalline"),
        tag("path", d=dots, class_="dots"),
    )


def _errors(a: NDArray[np.float64], b: NDArray[np.float64], width: float) -> Html:
    """How often each error occurs."""
    height, error = 280, b - a
    limit = float(np.abs(error).max())
    counts, _ = np.histogram(error, _COLUMNS, (-limit, limit))
    x, y = Scale(-limit, limit, 52, width - 16), Scale(0, float(counts.max()), height - 46, 30)
    return charts.drawing(
        width,
        height,
        "errors",
        charts.axes(x, y, ("error: converted − original", "values"), (charts.number, charts.number)),
        charts.histogram(counts.tolist(), x, (y.start, y.end), "f-result"),
        tag("line", x1=x(0), x2=x(0), y1=y.start, y2=y.end, class_="axis"),
    )


def _names(report: Report) -> list[str]:
    """Of the outputs, as the contract or the signature calls them."""
    count = len(report.original)
    named = [t.name for t in report.contract.tensors if t.role == "output"] if report.contract else []
    if len(named) == count:
        return named
    return _graph_names(read_graph(report.flatbuffer))[:count]


def _graph_names(graph: Graph) -> list[str]:
    signature = next(iter(graph.signatures.values()), None)
    known = {index: name for name, index in signature.outputs.items()} if signature else {}
    return [known.get(index, graph.tensors[index].name) for index in graph.outputs]
