"""The frame of every report: one HTML file with the style sheet in it, which loads and runs nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from converters.page.markup import Html, join, tag

#: Nothing is loaded or run, whatever stands in the page.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"


def render(title: str, head: Html, sections: Iterable[tuple[str, Html]], prefix: str) -> str:
    """A report as an HTML document.

    Args:
        title: of the window.
        head: what stands above the links.
        sections: title and content of each; one without content is left out.
        prefix: of the anchors, as two reports may stand in one notebook.
    """
    links, shown = [], []
    for name, content in sections:
        if not content:
            continue
        anchor = f"{prefix}-{name.lower().replace(' ', '-')}"
        links.append(tag("a", name, href=f"#{anchor}"))
        shown.append(tag("section", tag("h2", name), content, id=anchor))
    body = tag("div", head, tag("nav", *links), *shown, class_="edgeml-report")
    style = Html(Path(__file__).with_name("page.css").read_text(encoding="utf-8"))
    top = join(
        (
            tag("meta", charset="utf-8"),
            tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
            tag("meta", **{"name": "viewport", "content": "width=device-width, initial-scale=1"}),
            tag("title", title),
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
