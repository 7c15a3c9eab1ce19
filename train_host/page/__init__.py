"""The page that a training leaves beside its model: how good the model is, and what it is made from.

Sections come from the task (`train_host.tasks`) and from here; frame, tables and charts are those of the
reports of `converters.page`.
"""

from __future__ import annotations

import json

from converters.page import document
from edge_sdk.modelfile import digest_of
from train_host.page import champion, events, head, history, origin, reliability
from train_host.page.report import Report

__all__ = ["Report", "render"]


def render(report: Report) -> str:
    """The report as an HTML document; the same report gives the same bytes.

    Args:
        report: of a training.
    """
    sections = (
        ("Champion and challenger", champion.render(report)),
        *report.sections,
        ("Confidence", reliability.render(report)),
        ("Events", events.render(report)),
        ("Training", history.render(report)),
        ("Data", origin.data(report)),
        ("Lineage", origin.lineage(report)),
    )
    prefix = f"t{digest_of(json.dumps(report.run).encode()).removeprefix('sha256:')[:8]}"
    return document.render(f"{report.judged.name}: training", head.render(report), sections, prefix)
