"""Figures at the head of a page: what it is, the figure in large, and a note."""

from __future__ import annotations

from converters.page.markup import Html, tag

ARROW = " → "


def tile(name: str, value: str, note: str, before: str | None = None) -> Html:
    """One figure.

    Args:
        name: what it is.
        value: the figure.
        note: in small.
        before: what it was, shown ahead of it.
    """
    was = tag("span", before, ARROW, class_="from") if before is not None else Html()
    return tag(
        "div",
        tag("div", name, class_="name"),
        tag("div", was, tag("span", value, class_="nowrap"), class_="value"),
        tag("div", note, class_="note"),
        class_="tile",
    )
