"""What a dataset folder holds, as one HTML page without scripts and without anything from the network."""

from __future__ import annotations

from collections.abc import Callable

from converters.page import document
from converters.page.markup import Html
from train_host.data.check import Checked
from train_host.data.report import balance, channels, examples, head, origin, suspects, values
from train_host.data.report.content import Content, read

__all__ = ["Content", "read", "render"]

_SECTIONS: tuple[tuple[str, Callable[[Content], Html]], ...] = (
    ("Balance", balance.labels),
    ("Values", values.render),
    ("Groups", balance.groups),
    ("Suspects", suspects.render),
    ("Findings", suspects.findings),
    ("Examples", examples.render),
    ("Channels", channels.render),
    ("Origin", origin.render),
)


def render(checked: Checked) -> str:
    """The page; the same folder gives the same bytes.

    Args:
        checked: from `train_host.data.check.check`, of a folder that could be read.
    """
    content = read(checked)
    prefix = f"d{content.dataset.digest.removeprefix('sha256:')[:8]}"
    sections = ((title, draw(content)) for title, draw in _SECTIONS)
    return document.render(f"{content.dataset.name}: data", head.render(content), sections, prefix)
