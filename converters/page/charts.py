"""Drawings in SVG. Colours are classes of page.css; text keeps its size, whatever the width of the page.

A chart that grows with the page has horizontal places in per cent (`bar`, `diverging`). One with slopes is
drawn once for narrow pages and once for wide ones, and the style sheet shows one of the two (`responsive`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from converters.page.markup import Html, join, tag, text
from converters.page.scales import Scale
from converters.page.wording import MINUS

#: Widths of a chart drawn twice, pixels.
NARROW, WIDE = 340, 540
#: Height of a line of text and an upper bound of a character's mean width, pixels at 12 px.
LINE, CHARACTER = 14.0, 7.4


def drawing(width: float, height: float, title: str, *parts: object) -> Html:
    """An SVG of fixed proportions, as wide as there is room but never wider than `width`.

    Args:
        width: pixels.
        height: pixels.
        title: for those who cannot see it.
        parts: what is in it.
    """
    return tag(
        "svg",
        *parts,
        viewBox=f"0 0 {text(float(width))} {text(float(height))}",
        style=f"max-width:{text(float(width))}px",
        role="img",
        aria_label=title,
    )


def responsive(draw: Callable[[float], Html]) -> Html:
    """A chart for narrow and one for wide pages; the style sheet shows the one that fits."""
    narrow, wide = (
        tag("div", draw(width), class_=kind) for width, kind in ((NARROW, "narrow"), (WIDE, "wide"))
    )
    return tag("div", narrow, wide)


def write(x: float, y: float, words: object, kind: str = "", anchor: str | None = None) -> Html:
    """Text at a place: `anchor` is ``middle`` or ``end``."""
    return tag("text", words, x=float(x), y=float(y), class_=kind or None, text_anchor=anchor)


def path(points: NDArray[np.float64] | Sequence[tuple[float, float]], kind: str) -> Html:
    """A line through the points, [n, 2] pixels."""
    steps = " ".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return tag("path", d=f"M{steps}", class_=f"line {kind}")


def axes(
    x: Scale,
    y: Scale,
    titles: tuple[str, str],
    shown: tuple[Callable[[float], str], Callable[[float], str]],
) -> Html:
    """Grid, numbers and titles of both axes.

    Args:
        x: from left to right.
        y: from the bottom up.
        titles: of x, with its unit, below; of y above.
        shown: how a number is written at each axis.
    """
    parts = []
    for value in y.ticks:
        parts.append(tag("line", x1=x.start, x2=x.end, y1=y(value), y2=y(value), class_="grid"))
        parts.append(write(x.start - 6, y(value) + 4, shown[1](value), "tick", "end"))
    for value in x.ticks:
        parts.append(tag("line", x1=x(value), x2=x(value), y1=y.start, y2=y.start + 4, class_="axis"))
        parts.append(write(x(value), y.start + 17, shown[0](value), "tick", "middle"))
    parts.append(tag("line", x1=x.start, x2=x.end, y1=y.start, y2=y.start, class_="axis"))
    parts.append(write((x.start + x.end) / 2, y.start + 34, titles[0], "title", "middle"))
    parts.append(write(2, y.end - 12, titles[1], "title"))
    return join(parts)


def bar(fraction: float, kind: str, title: str, *, mark: float | None = None) -> Html:
    """A horizontal bar as long as `fraction` of its cell.

    Args:
        fraction: 0 to 1.
        kind: class of its colour.
        title: shown under the pointer.
        mark: place of a thin line across, as a fraction.
    """
    filled, across = f"{_per_cent(fraction)}%", None if mark is None else f"{_per_cent(mark)}%"
    parts = [tag("rect", tag("title", title), y=2.0, width=filled, height=10.0, rx=1.0, class_=kind)]
    if across:
        parts.append(tag("line", x1=across, x2=across, y1=0.0, y2=14.0, class_="mark"))
    return tag("svg", *parts, class_="bar", height=14)


def _per_cent(fraction: float) -> str:
    return f"{100 * min(max(fraction, 0.0), 1.0):.4g}"


def diverging(value: float, limit: float, title: str) -> Html:
    """A bar from the middle of its cell: to the left in red for losses, to the right for gains."""
    half = 50 * min(abs(value) / limit, 1.0) if limit > 0 else 0.0
    start = 50 - half if value < 0 else 50.0
    return tag(
        "svg",
        tag("line", x1="50%", x2="50%", y1=0.0, y2=14.0, class_="axis"),
        tag(
            "rect",
            tag("title", title),
            x=f"{start:.4g}%",
            y=2.0,
            width=f"{half:.4g}%",
            height=10.0,
            class_="f-bad" if value < 0 else "f-good",
        ),
        class_="bar",
        height=14,
    )


def histogram(
    counts: Sequence[int], x: Scale, y: tuple[float, float], kind: str, *, log: bool = False
) -> Html:
    """Columns side by side that fill `x`.

    Args:
        counts: of the equal steps from x.low to x.high.
        x: from left to right.
        y: pixels of the bottom and of the top.
        kind: class of the colour.
        log: heights grow with the logarithm, so that rare values can be seen.
    """
    heights = np.log1p(np.asarray(counts, float)) if log else np.asarray(counts, float)
    heights = heights / max(float(heights.max(initial=0.0)), 1e-9) * (y[0] - y[1])
    step = (x.end - x.start) / max(len(counts), 1)
    outline = "".join(
        f"V{y[0] - max(h, 1.0 if h else 0.0):.4g}H{x.start + (i + 1) * step:.4g}"
        for i, h in enumerate(heights)
    )
    return tag("path", d=f"M{x.start:.4g} {y[0]:.4g}{outline}V{y[0]:.4g}z", class_=kind)


def legend(*entries: tuple[str, str]) -> Html:
    """What the colours stand for: each a class of a colour and words."""
    items = (
        tag(
            "span",
            tag(
                "svg",
                tag("rect", width=10.0, height=10.0, rx=2.0, class_=kind),
                width=10,
                height=10,
                aria_hidden="true",
            ),
            " ",
            words,
        )
        for kind, words in entries
    )
    return tag("p", join(items, " "), class_="legend")


def number(value: float) -> str:
    """A tick: as short as it can be."""
    if abs(value) < 1e-12:
        return "0"
    return f"{value:.6g}".replace("e-0", "e-").replace("e+0", "e").replace("-", MINUS)
