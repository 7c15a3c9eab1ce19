"""Figures with their intervals, one a row, on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from converters.page import tables, wording
from converters.page.markup import Html, tag


@dataclass(frozen=True, slots=True)
class Span:
    """A row.

    Attributes:
        name: of the class or group.
        value: a share, 0 to 1.
        interval: of it.
        n: windows behind it.
        more: a further cell.
    """

    name: str
    value: float
    interval: Sequence[float]
    n: int
    more: str = ""


def table(noun: str, rows: Sequence[Span], whole: float, *, figure: str, more: str = "") -> Html:
    """Name, windows, figure with interval, and both as a drawing.

    Args:
        noun: what a row is.
        rows: in their order.
        whole: the figure of all rows together: a line across.
        figure: its name.
        more: head of the further column; none where it is empty.
    """
    low = min([row.interval[0] for row in rows] + [whole])
    start = max(low - 0.03 * (1 - low) - 0.005, 0.0)
    head = [noun, "windows", figure, "95 %", *([more] if more else []), ""]
    cells = [
        (
            tag("span", wording.clipped(row.name, 28)),
            f"{row.n:,}",
            wording.share(row.value),
            tag("span", wording.interval((row.interval[0], row.interval[1])), class_="soft nowrap"),
            *([row.more] if more else []),
            tag("div", _drawn(row, whole, start), class_="reach"),
        )
        for row in rows
    ]
    numeric = (1, 2, 4) if more else (1, 2)
    return tables.grid(head, cells, numeric=numeric, kind="rows spans")


def _drawn(row: Span, whole: float, start: float) -> Html:
    def at(value: float) -> str:
        return f"{2 + 96 * (value - start) / max(1 - start, 1e-9):.4g}%"

    first, last = row.interval
    hint = f"{row.name}: {wording.share(row.value)} {wording.interval((first, last))}"
    return tag(
        "svg",
        tag("title", hint),
        tag("line", x1=at(whole), x2=at(whole), y1=0.0, y2=18.0, class_="axis"),
        tag("line", x1=at(first), x2=at(last), y1=9.0, y2=9.0, class_="s-result"),
        tag("circle", cx=at(row.value), cy=9.0, r=4.5, class_="f-result"),
        class_="bar",
        height=18,
        style="height:18px",
    )
