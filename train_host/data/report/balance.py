"""How much there is of what, and of whom."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from converters.page import charts, tables, wording
from converters.page.markup import Html, join, tag
from edge_sdk.splits import SIDES
from train_host.data.portrait import Portrait
from train_host.data.report import figures
from train_host.data.report.content import Content

#: Labels and groups that are shown.
_LABELS, _GROUPS, _COLUMNS = 60, 60, 24


def labels(content: Content) -> Html:
    """A row a label: how much, in how many recordings of how many groups; and the sides."""
    totals = content.amounts.sum(axis=0)
    largest = max(float(totals.max(initial=0.0)), 1e-12)
    group = content.dataset.group
    head = (
        "value" if content.dataset.task == "regression" else "label",
        "",
        "share",
        content.unit,
        "recordings",
        f"{group}s",
        "a recording",
    )
    columns = head[:4] + head[5:6] if content.is_images else head
    rows = []
    for kind, total in list(zip(content.kinds, totals, strict=True))[:_LABELS]:
        own = content.of_kind(kind)
        share = total / max(float(totals.sum()), 1e-12)
        bar = charts.bar(total / largest, "f-result", f"{kind}: {figures.amount(total, content.unit)}")
        who = str(len({one.group for one in own}))
        row: list[object] = [
            wording.clipped(kind),
            tag("div", bar, class_="spark"),
            f"{share:.1%}",
            f"{total:,.0f}",
        ]
        if not content.is_images:
            row += [f"{len(own):,}", who, _spread([one.length for one in own], content.unit)]
        rows.append(row if not content.is_images else [*row, who])
    unlabelled = sum(not kinds for kinds in content.kinds_of)
    said = (
        "How much of each label was recorded. A label that hardly occurs is hardly learned; one that a "
        f"single {group} was recorded with cannot be judged."
    )
    parts = [tag("p", said, class_="lead")]
    parts.append(tables.grid(columns, rows, numeric=range(2, len(columns))))
    parts.append(tables.and_more(len(rows), len(content.kinds), "label"))
    if unlabelled:
        words = f"{wording.counted(unlabelled, 'recording')} without label: kept, and never learned from."
        parts.append(tag("p", words, class_="soft"))
    return join([*parts, _sides(content)])


def groups(content: Content) -> Html:
    """A table of groups and labels, the darker the more."""
    names = content.dataset.groups
    if not names:
        return Html()
    order = np.sort(np.argsort(-content.amounts.sum(axis=0), kind="stable")[:_COLUMNS])
    shown = content.amounts[:_GROUPS, order]
    said = (
        f"How much of each label there is of each {content.dataset.group}, in {content.unit}; a dot is none."
    )
    kinds = [content.kinds[i] for i in order]
    table = _shaded(names[:_GROUPS], kinds, shown)
    more = tables.and_more(len(shown), len(names), content.dataset.group)
    left = tables.and_more(len(order), len(content.kinds), "label", "those with most are shown")
    return join((tag("p", said, class_="lead"), table, more, left))


def _sides(content: Content) -> Html:
    """How much of each label stands on each side, or in each fold, where the manifest says so."""
    parts = []
    wanted: tuple[tuple[str, Callable[[Portrait], str | None]], ...] = (
        ("Sides of the split", lambda one: content.recording(one).split),
        ("Folds", lambda one: _fold(content, one)),
    )
    for title, side_of in wanted:
        found = {side for one in content.portraits if (side := side_of(one)) is not None}
        if not found:
            continue
        rank = {side: i for i, side in enumerate(SIDES)}
        sides = sorted(found, key=lambda side: (rank.get(side, 0), len(side), side))
        table = np.zeros((len(sides), len(content.kinds)))
        for one, kinds in zip(content.portraits, content.kinds_of, strict=True):
            side = side_of(one)
            for kind in kinds & set(content.kinds) if side is not None else ():
                table[sides.index(side or ""), content.kinds.index(kind)] += one.length
        parts += [tag("h3", f"{title}, {content.unit}"), _shaded(sides, content.kinds[:_COLUMNS], table)]
    return join(parts)


def _fold(content: Content, one: Portrait) -> str | None:
    fold = content.recording(one).fold
    return None if fold is None else str(fold)


def _shaded(
    rows: list[str] | tuple[str, ...], columns: list[str] | tuple[str, ...], amounts: NDArray[np.float64]
) -> Html:
    """Amounts whose shade is their share of the largest one."""
    largest = max(float(amounts.max(initial=0.0)), 1e-12)
    short = [wording.clipped(name, 20) for name in columns]
    turned = "col" if max(map(len, short), default=0) > 5 else None
    head = tag(
        "tr", tag("td", class_="corner"), *(tag("th", name, class_=turned, scope="col") for name in short)
    )
    body = []
    for name, line in zip(rows, amounts, strict=True):
        cells = [
            tag(
                "td",
                f"{value:,.0f}" if value else "·",
                class_="hit" if value else "none",
                style=f"--share:{value / largest:.2f}" if value else None,
                title=f"{name}: {column}",
            )
            for column, value in zip(columns, line, strict=False)
        ]
        body.append(tag("tr", tag("th", wording.clipped(name, 24), class_="row", scope="row"), *cells))
    return tables.scrolling(tag("table", tag("tbody", head, *body), class_="confusion"))


def _spread(lengths: list[float], unit: str) -> str:
    if not lengths:
        return wording.NOTHING
    if min(lengths) == max(lengths):
        return f"{lengths[0]:.3g} {unit}"
    low, middle, high = min(lengths), float(np.median(lengths)), max(lengths)
    return f"{low:.3g} … {middle:.3g} … {high:.3g} {unit}"
