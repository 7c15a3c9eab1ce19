"""The options in a target's URL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge_sdk.errors import ConfigError, suggestion
from edge_sdk.registry import Url


def take(url: Url, names: Sequence[str], example: str) -> dict[str, Any]:
    """The options of a URL, none of them unknown.

    Args:
        url: of the target.
        names: of the options that there are.
        example: of a right URL, for the error.
    """
    for name in url.options:
        if name not in names:
            raise ConfigError(
                f"target {url}: unknown option {name!r}", expected=example, remedy=suggestion(name, names)
            )
    return url.options


def threads(url: Url) -> int:
    """The option of that name; 1 without."""
    value = url.options.get("threads", "1")
    try:
        count = int(str(value))
        if count < 1:
            raise ValueError
    except ValueError as error:
        raise ConfigError(f"target {url.scheme}: threads", expected="a number from 1", found=value) from error
    return count
