"""What the URLs of boards have in common: options, and a line that is worse than it needs to be."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from edge_sdk.errors import ConfigError, suggestion
from edge_sdk.registry import Url
from firmware_bridge.faults import Faults, FaultyPort
from firmware_bridge.link import Link
from firmware_bridge.ports import Port

#: Of the line, each with the field of `Faults` that it sets; docs/targets.md.
_FAULTS = {("delay" if f.name == "delay_s" else f.name): f.name for f in fields(Faults)}
#: Until a board has answered what takes it no time, s.
_ANSWER_S = 10.0


@dataclass(frozen=True, slots=True)
class Line:
    """How a board is talked to.

    Attributes:
        timeout_s: for one inference, s.
        faults: that are added to the line; None for none.
    """

    timeout_s: float
    faults: Faults | None

    def open(self, port: Port, reset: Callable[[], None] | None = None) -> Link:
        """A link over a port; each window stands for itself, so it may be repeated after a reset."""
        if self.faults is not None:
            port = FaultyPort(port, self.faults, reset)
        answer_s = min(self.timeout_s, _ANSWER_S)
        return Link(port, timeout_s=answer_s, run_timeout_s=self.timeout_s, stateful=False)


def names(*own: str, resets: bool = True) -> tuple[str, ...]:
    """All options of a target: its own, and those of the line."""
    return ("timeout", *own, *(name for name in _FAULTS if resets or name != "reset"))


def take(url: Url, known: Sequence[str], example: str) -> Line:
    """The line that a URL's options describe.

    Raises:
        ConfigError: an unknown or wrong option.
    """
    for name in url.options:
        if name not in known:
            raise ConfigError(
                f"target {url}: unknown option {name!r}",
                expected=f"{example}, or one of {', '.join(known)}",
                remedy=suggestion(name, known),
            )
    given: dict[str, Any] = {}
    for name, attribute in _FAULTS.items():
        if name in url.options and name in known:
            highest = {"delay": 60.0, "seed": float(1 << 62)}.get(name, 1.0)
            given[attribute] = number(url, name, 0.0, highest)
    if "seed" in given:
        given["seed"] = int(given["seed"])
    faults = Faults(**given) if given else None
    return Line(number(url, "timeout", 0.1, 86400.0, 60.0), faults)


def number(url: Url, name: str, least: float, most: float, default: float = 0.0) -> float:
    """An option that is a number.

    Raises:
        ConfigError: it is none, or out of its range.
    """
    value = url.options.get(name, default)
    try:
        found = float(str(value))
    except ValueError:
        found = math.nan
    if not least <= found <= most:
        raise ConfigError(
            f"target {url.scheme}: {name}", expected=f"a number from {least:g} to {most:g}", found=value
        )
    return found


def choice(url: Url, name: str, known: Sequence[str]) -> str | None:
    """An option that is one of a few words; None where it is not given.

    Raises:
        ConfigError: it is another.
    """
    value = url.options.get(name)
    if value is not None and value not in known:
        raise ConfigError(
            f"target {url.scheme}: {name}",
            expected=f"one of {', '.join(known)}",
            found=value,
            remedy=suggestion(str(value), known),
        )
    return value
