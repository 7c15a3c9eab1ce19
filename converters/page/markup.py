"""HTML and SVG as values: what is not `Html` is escaped, so that no name out of a file becomes markup."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from html import escape

#: Elements of HTML without an end tag.
_VOID = frozenset({"meta", "img", "br", "col"})
#: Elements of SVG that are empty.
_SHAPES = frozenset({"rect", "line", "circle", "path"})
#: Marks that turn the direction of the text around them.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def text(value: object) -> Html:
    """`value` as markup: as it is if it is `Html`, escaped otherwise.

    What no document may hold or what would turn the text around it stands as U+FFFD.
    """
    if isinstance(value, Html):
        return value
    if isinstance(value, float):
        return Html(_short(value))
    words = str(value)
    if not words.isprintable():
        words = "".join(char if _fit(char) else "\ufffd" for char in words)
    return Html(escape(words))


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """An element.

    Args:
        name: of the element.
        children: each `Html`, or anything that becomes escaped text.
        attributes: ``class_`` gives ``class`` and ``stroke_width`` ``stroke-width``; one that is None is left
            out.
    """
    pairs = (
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    start = f"<{name}{''.join(pairs)}"
    if name in _SHAPES and not children:
        return Html(f"{start}/>")
    if name in _VOID:
        return Html(f"{start}>")
    return Html(f"{start}>{join(children)}</{name}>")


def join(parts: Iterable[object], between: str = "") -> Html:
    """All parts one after the other; whatever is no `Html` is escaped."""
    return Html(between.join(text(part) for part in parts))


def _fit(char: str) -> bool:
    return char in "\n\t" or (unicodedata.category(char) not in ("Cc", "Cs") and char not in _TURNING)


def _short(value: float) -> str:
    """A coordinate: two decimals are a fraction of a pixel."""
    if not math.isfinite(value):
        return "0"
    rounded = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if rounded == "-0" else rounded
