"""The HTML report of a conversion: one file without scripts and without anything from the network.

Every section is a module with a function that gives its content, or nothing where there is nothing to show.
`markup` escapes whatever is not markup. page.css has all colours and holds below one class, so that a
notebook keeps its own looks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from converters.page import accuracy, examples, front, head, layerwise, lineage, operators, outputs, ranges
from converters.page.markup import Html, join, tag
from converters.report import Report

#: Nothing is loaded or run, whatever stands in the page.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_SECTIONS: tuple[tuple[str, Callable[[Report], Html]], ...] = (
    ("Recipes tried", front.render),
    ("Accuracy", accuracy.render),
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
    links, sections = [], []
    for title, draw in _SECTIONS:
        content = draw(report)
        if not content:
            continue
        anchor = f"{prefix}-{title.lower().replace(' ', '-')}"  # two reports may stand in one notebook
        links.append(tag("a", title, href=f"#{anchor}"))
        sections.append(tag("section", tag("h2", title), content, id=anchor))
    body = tag("div", head.render(report), tag("nav", *links), *sections, class_="edgeml-report")
    style = Html(Path(__file__).with_name("page.css").read_text(encoding="utf-8"))
    top = join(
        (
            tag("meta", charset="utf-8"),
            tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
            tag("meta", **{"name": "viewport", "content": "width=device-width, initial-scale=1"}),
            tag("title", f"{report.name}: conversion"),
            tag("style", style),
        ),
        "\n",
    )
    page = tag(
        "html",
        tag("head", top),
        "\n",
        tag("body", body, style="margin:0;display:grid;min-height:100vh"),
        lang="en",
        style="color-scheme:light dark",
    )
    return f"<!doctype html>\n{page}\n"
