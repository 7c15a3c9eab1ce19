"""The HTML report of a conversion, and what other reports are made of, too.

Every section is a module with a function that gives its content, or nothing where there is nothing to show.
`markup` escapes whatever is not markup; `document` puts a page together.
"""

from __future__ import annotations

from collections.abc import Callable

from converters.page import (
    accuracy,
    document,
    examples,
    front,
    head,
    judged,
    layerwise,
    lineage,
    operators,
    outputs,
    ranges,
)
from converters.page.markup import Html
from converters.report import Report

_SECTIONS: tuple[tuple[str, Callable[[Report], Html]], ...] = (
    ("Recipes tried", front.render),
    ("Accuracy", accuracy.render),
    ("Figures", judged.render),
    ("Layers", layerwise.render),
    ("Ranges", ranges.render),
    ("Worst examples", examples.render),
    ("Outputs", outputs.render),
    ("Boards", operators.render),
    ("Data", lineage.data),
    ("Lineage", lineage.origin),
)


def render(report: Report) -> str:
    """The report as an HTML document; the same report gives the same bytes.

    Args:
        report: of a conversion, whether it passed or not.
    """
    prefix = f"m{report.digest.removeprefix('sha256:')[:8]}"
    sections = ((title, draw(report)) for title, draw in _SECTIONS)
    return document.render(f"{report.name}: conversion", head.render(report), sections, prefix)
