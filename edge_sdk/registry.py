"""The one registry: a plug-in's file name is its name.

``sqlite:`` is ``edge_sdk/sinks/sqlite.py``. Only where there is no such file are entry points asked
(``edgeml.sources``, ``.sinks``, ``.runtimes``, ``.targets``, ``.commands``): importlib.metadata costs 20 ms.
A source module has a class `Source`, a sink module a class `Sink`, a runtime module a class `Runtime`,
a target module a class `Target`. An entry point names the object itself.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass, field
from typing import Any

from edge_sdk.errors import ConfigError, MissingExtraError, UnknownNameError

#: What a built-in module of each group is asked for.
MEMBERS = {
    "sources": "Source",
    "sinks": "Sink",
    "runtimes": "Runtime",
    "targets": "Target",
    "commands": "command",
}
_HERE = os.path.dirname(__file__)  # pathlib would cost every start 6 ms


def builtin_names(group: str) -> list[str]:
    """Names of the plug-ins that are files of this package."""
    files = (
        name for name in os.listdir(os.path.join(_HERE, group)) if name.endswith(".py") and name[0] != "_"
    )
    return sorted(name[:-3] for name in files)


def names(group: str) -> list[str]:
    """Every name there is in a group: files of this package, then entry points."""
    from importlib.metadata import entry_points

    return sorted({*builtin_names(group), *(point.name for point in entry_points(group=f"edgeml.{group}"))})


def find(group: str, name: str) -> Any:
    """The object that a name stands for.

    Args:
        group: ``sources``, ``sinks``, ``runtimes``, ``targets`` or ``commands``.
        name: the plug-in's name.

    Raises:
        UnknownNameError: no file and no entry point of that name.
        MissingExtraError: it is there, but a package it needs is not installed.
    """
    is_file = (
        name.isidentifier() and name[0] != "_" and os.path.exists(os.path.join(_HERE, group, f"{name}.py"))
    )
    if is_file:
        module = importlib.import_module(f"edge_sdk.{group}.{name}")
        return getattr(module, MEMBERS[group])

    from importlib.metadata import entry_points

    for point in entry_points(group=f"edgeml.{group}", name=name):
        try:
            return point.load()
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"{group[:-1]} {name!r}", name, error.name) from error
    raise UnknownNameError(group[:-1], name, names(group))


@dataclass(frozen=True)
class Url:
    """``scheme:location?option=value``; ``scheme://location`` is the same.

    >>> Url.parse("serial:///dev/ttyACM0?baud=115200")
    Url(scheme='serial', location='/dev/ttyACM0', options={'baud': '115200'})
    >>> Url.parse("sqlite:events.db").location
    'events.db'
    """

    scheme: str
    location: str
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Url:
        """Split a URL.

        Raises:
            ConfigError: no scheme, or an option without a value or given twice.
        """
        scheme, colon, rest = text.partition(":")
        if not colon or not scheme or "/" in scheme:
            raise ConfigError(
                f"{text!r} is not a URL",
                expected="NAME:PLACE, such as replay:walk.csv or sqlite:events.db",
                remedy=f"for a file, say which kind: replay:{text} or jsonl:{text}" if text else None,
            )
        location, _, query = rest.partition("?")
        return cls(scheme, location.removeprefix("//"), _options(text, query) if query else {})

    def __str__(self) -> str:
        query = "&".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.scheme}:{self.location}" + (f"?{query}" if query else "")


def _options(text: str, query: str) -> dict[str, Any]:
    from urllib.parse import parse_qsl

    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError as error:
        raise ConfigError(
            f"{text!r}: options", expected="?name=value&name=value", found=f"?{query}"
        ) from error
    options = dict(pairs)
    if len(options) != len(pairs):
        raise ConfigError(f"{text!r}: an option is given twice", expected="each option once")
    return options
