"""Tables of figures, with an end where there would be too many rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from converters.page.markup import Html, join, tag
from converters.page.wording import counted


def grid(
    head: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    numeric: Iterable[int] = (),
    marked: Iterable[int] = (),
    kind: str = "rows",
) -> Html:
    """A table that scrolls on its own where the page is narrow.

    Args:
        head: of each column.
        rows: cells, markup or text.
        numeric: columns that stand to the right.
        marked: rows that stand out.
        kind: class of the table.
    """
    right, bold = frozenset(numeric), frozenset(marked)
    kinds = ["n" if i in right else None for i in range(len(head))]
    top = tag("tr", *(tag("th", cell, class_=kinds[i], scope="col") for i, cell in enumerate(head)))
    lines = (
        tag(
            "tr",
            *(tag("td", cell, class_=kinds[i]) for i, cell in enumerate(row)),
            class_="marked" if place in bold else None,
        )
        for place, row in enumerate(rows)
    )
    return scrolling(tag("table", tag("thead", top), tag("tbody", *lines), class_=kind))


def facts(rows: Iterable[tuple[object, object]]) -> Html:
    """Names with what they stand for."""
    lines = (tag("tr", tag("th", name, scope="row"), tag("td", value)) for name, value in rows)
    return scrolling(tag("table", tag("tbody", *lines), class_="facts"))


def scrolling(content: Html) -> Html:
    """Content that may be wider than the page; whoever has no pointer reaches it with the keyboard."""
    return tag("div", content, class_="scroll", tabindex=0)


def and_more(shown: int, total: int, noun: str, order: str = "") -> Html:
    """What was left out, or nothing."""
    if shown >= total:
        return Html()
    rest = f"… and {counted(total - shown, noun)} more" + (f"; {order}" if order else "")
    return tag("p", rest, class_="soft")


def lines(parts: Iterable[object]) -> Html:
    """Texts below each other in a cell."""
    return join(parts, Html("<br>"))
