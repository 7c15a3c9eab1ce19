"""Accuracy before and after: intervals, what each class lost, confusion, groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from converters.compare import Evaluation
from converters.page import charts, confusion, tables, wording
from converters.page.markup import Html, join, tag
from converters.page.scales import linear_ticks
from converters.report import Report

#: Rows of a table.
_ROWS = 40
#: Larger matrices stand below each other.
_BESIDE = 12


def render(report: Report) -> Html:
    """Everything that labels tell; nothing without labels."""
    before, after = report.verdict.original, report.verdict.result
    if before is None or after is None:
        return Html()
    labels = report.contract.output.labels if report.contract else ()
    recipe = report.recipe.name
    told = (
        f"On {wording.counted(after.n, 'input')} of the {report.verdict.basis}, with 95 % intervals. "
        "Both ran on the same inputs, so that the interval of the loss is narrower than these two suggest: "
        f"{wording.points(report.verdict.drop, sign=False)} points lost "
        f"{wording.points_interval(report.verdict.drop_interval)}."
    )
    parts = [tag("p", told, class_="lead"), _intervals([("original", before), (recipe, after)])]
    changes = [tag("div", *_classes(labels, before, after))]
    if after.per_group:
        changes.append(tag("div", *_groups(before, after)))
    parts.append(tag("div", *changes, class_="side"))
    parts += [
        tag("h3", "Confusion"),
        tag(
            "p",
            "True classes down, decided ones across. Shades are shares of a row, blue where right and red "
            f"where wrong; small figures at {recipe} are the change against the original.",
            class_="soft",
        ),
        _confusions(labels, before, after, recipe),
    ]
    return join(parts)


def _intervals(rows: Sequence[tuple[str, Evaluation]]) -> Html:
    """Accuracies as dots on one scale, with their intervals as lines; places are per cent of the width."""
    low = min(evaluation.interval[0] for _, evaluation in rows)
    high = max(evaluation.interval[1] for _, evaluation in rows)
    start, end = max(low - 0.15 * (high - low) - 0.002, 0.0), min(high + 0.15 * (high - low) + 0.002, 1.0)

    def at(value: float) -> str:
        return f"{1 + 98 * (value - start) / (end - start):.4g}%"

    height = 44 * len(rows)
    shapes: list[Html] = []
    for value in linear_ticks(start, end, 4):
        shapes.append(tag("line", x1=at(value), x2=at(value), y1=0.0, y2=float(height), class_="grid"))
        anchor = (
            "end"
            if (value - start) > 0.94 * (end - start)
            else "start"
            if value - start < 0.06 * (end - start)
            else "middle"
        )
        shapes.append(
            tag("text", charts.number(value), x=at(value), y=height + 15.0, text_anchor=anchor, class_="tick")
        )
    for i, ((name, evaluation), kind) in enumerate(zip(rows, ("original", "result"), strict=True)):
        y, (first, last) = 44.0 * i + 32, evaluation.interval
        reached = wording.share(evaluation.accuracy, evaluation.n)
        words = f"{name}  {reached} {wording.interval(evaluation.interval)}"
        shapes.append(tag("text", words, x="1%", y=y - 14, class_="on"))
        shapes.append(tag("line", x1=at(first), x2=at(last), y1=y, y2=y, class_=f"s-{kind}"))
        shapes.append(tag("circle", cx=at(evaluation.accuracy), cy=y, r=5.5, class_=f"f-{kind}"))
    return tag(
        "svg",
        *shapes,
        height=height + 20,
        style=f"height:{height + 20}px;max-width:44rem",
        role="img",
        aria_label="accuracy",
    )


def _classes(labels: Sequence[str], before: Evaluation, after: Evaluation) -> Iterator[Html]:
    """What each class lost; of very many only those that changed most."""
    totals = after.confusion.sum(axis=1)
    present = [i for i, total in enumerate(totals) if total]
    changes = {i: (after.per_class[i] or 0.0) - (before.per_class[i] or 0.0) for i in present}
    shown = present
    if len(present) > _ROWS:
        shown = sorted(present, key=lambda i: (changes[i], i))[:_ROWS]
    limit = max([abs(changes[i]) for i in shown] + [0.02])
    rows = [
        (
            wording.clipped(wording.label(labels, i), 24),
            f"{totals[i]:,}",
            wording.share(before.per_class[i]),
            wording.share(after.per_class[i]),
            wording.points(changes[i]),
            tag("div", charts.diverging(changes[i], limit, wording.points(changes[i])), class_="spark"),
        )
        for i in shown
    ]
    yield tag("h3", "By class")
    yield tables.grid(("class", "inputs", "original", "converted", "points", ""), rows, numeric=(1, 2, 3, 4))
    yield tables.and_more(len(shown), len(present), "class", "those that lost most are shown")


def _confusions(labels: Sequence[str], before: Evaluation, after: Evaluation, recipe: str) -> Html:
    count, chosen = len(after.confusion), confusion.choose(before.confusion, after.confusion)
    first, second = (matrix[np.ix_(chosen, chosen)] for matrix in (before.confusion, after.confusion))
    totals = after.confusion.sum(axis=1)[chosen]
    names = [wording.label(labels, int(i)) for i in chosen]
    tables_shown = (
        tag("div", tag("h3", "original"), confusion.table(names, first, totals)),
        tag("div", tag("h3", recipe), confusion.table(names, second, totals, second - first)),
    )
    rest = tables.and_more(len(chosen), count, "class", "those with most errors are shown")
    beside = "side" if len(chosen) <= _BESIDE else None
    return join((tag("div", *tables_shown, class_=beside), rest))


def _groups(before: Evaluation, after: Evaluation) -> Iterator[Html]:
    """Accuracy within each group, those that lost most first."""
    order = sorted(after.per_group, key=lambda name: (after.per_group[name] - before.per_group[name], name))
    limit = max([abs(after.per_group[name] - before.per_group[name]) for name in order] + [0.02])
    rows = []
    yield tag("h3", "By group")
    for name in order[:_ROWS]:
        change = after.per_group[name] - before.per_group[name]
        rows.append(
            (
                wording.clipped(name, 24),
                wording.share(before.per_group[name]),
                wording.share(after.per_group[name]),
                wording.points(change),
                tag("div", charts.diverging(change, limit, wording.points(change)), class_="spark"),
            )
        )
    yield tables.grid(("group", "original", "converted", "points", ""), rows, numeric=(1, 2, 3))
    yield tables.and_more(min(len(order), _ROWS), len(order), "group", "those that lost most are shown")
