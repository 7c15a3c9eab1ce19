"""Labels, groups and ids are parts of a file's name."""

from __future__ import annotations

from edge_sdk.errors import DatasetError


def check_name(name: str, what: str = "label or group") -> None:
    """See that it can be part of a file's name.

    Args:
        name: a label, a group or an id.
        what: which of them it may be.

    Raises:
        DatasetError: it cannot.
    """
    if "/" in name or "\\" in name or name.startswith(".") or not name.strip() or not name.isprintable():
        raise DatasetError(what, expected="a name that a file may have", found=repr(name))


def as_name(text: str) -> str:
    """The nearest that can be part of a file's name; a sensor may call itself anything."""
    return "".join("-" if c in "/\\" or not c.isprintable() else c for c in text).lstrip(".") or "device"
