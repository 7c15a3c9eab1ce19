"""dataset.toml: what holds for all recordings of a folder."""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from edge_sdk.contract import Channel
from edge_sdk.dataset.manifest import COLUMNS, TARGET
from edge_sdk.dataset.plainfile import check_plain
from edge_sdk.errors import DatasetError, suggestion

FACTS = "dataset.toml"
#: How far a recording's own rate may be from the dataset's, as a fraction.
RATE_TOLERANCE = 0.05
_TASKS = ("classification", "multilabel", "regression", "anomaly")
_KEYS = ("name", "task", "channels", "rate_hz", "labels", "targets", "group", "licence", "source")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What dataset.toml says.

    Attributes:
        name: of the dataset; models trained on it are named after it.
        channels: in column order, with units and, where known, physical ranges.
        rate_hz: sampling rate; None for still images.
        task: what is learned from it.
        labels: in the order of a model's scores; empty means the folders under recordings/, sorted. Of an
            anomaly detector the first is what is normal.
        targets: of a regression: the values to learn, with units; manifest.csv has a column for each.
        group: what a group is: ``subject``, ``machine``, ``site``, ``day``.
        licence: of the data, with whoever must be named.
        source: where the data comes from and what is known about it.
    """

    name: str
    channels: tuple[Channel, ...]
    rate_hz: float | None = None
    task: Literal["classification", "multilabel", "regression", "anomaly"] = "classification"
    labels: tuple[str, ...] = ()
    targets: tuple[Channel, ...] = ()
    group: str = "group"
    licence: str = ""
    source: str = ""

    def to_toml(self) -> str:
        """The text of dataset.toml."""
        lines = [f"name = {_quote(self.name)}", f"task = {_quote(self.task)}"]
        if self.rate_hz is not None:
            lines.append(f"rate_hz = {self.rate_hz:g}")
        if self.labels:
            lines.append(f"labels = [{', '.join(map(_quote, self.labels))}]")
        lines.append(f"group = {_quote(self.group)}")
        lines += [f"{key} = {_quote(text)}" for key in ("licence", "source") if (text := getattr(self, key))]
        for key in ("targets", "channels") if self.targets else ("channels",):
            lines += [f"{key} = [", *map(_line, getattr(self, key)), "]"]
        return "\n".join(lines) + "\n"

    @property
    def target_names(self) -> tuple[str, ...]:
        """What manifest.csv calls the columns of targets."""
        return tuple(target.name for target in self.targets) or (TARGET,)


def read_facts(path: Path) -> Facts:
    """Read dataset.toml.

    Raises:
        DatasetError: missing, not TOML, an unknown key, or a field of the wrong kind.
    """
    if not path.exists():
        raise DatasetError(
            f"{path.parent}: no {FACTS}",
            expected="a dataset folder",
            remedy="make one with: edgeml data import",
        )
    check_plain(path, "TOML")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise DatasetError(f"{path}: cannot be read", expected="TOML", found=error) from error
    for key in data:
        if key not in _KEYS:
            known = "one of " + ", ".join(_KEYS)
            raise DatasetError(f"{path}: unknown key {key!r}", expected=known, remedy=suggestion(key, _KEYS))
    field = _Fields(path, data)
    rate = field.number("rate_hz")
    if rate is not None and not 0 < rate < math.inf:
        field.refuse("rate_hz", "a positive rate", rate)
    task = field.text("task", "classification")
    if task not in _TASKS:
        field.refuse("task", "one of " + ", ".join(_TASKS), task)
    return Facts(
        name=field.text("name", path.resolve().parent.name),
        channels=_columns(field, "channels", data.get("channels")),
        rate_hz=rate,
        task=task,  # type: ignore[arg-type]
        labels=_labels(field, data.get("labels", [])),
        targets=_targets(field, task, data.get("targets")),
        group=field.text("group", "group"),
        licence=field.text("licence", ""),
        source=field.text("source", ""),
    )


@dataclass(frozen=True)
class _Fields:
    """Typed look-ups in dataset.toml whose errors name file and key."""

    path: Path
    data: dict[str, Any]

    def refuse(self, key: str, expected: str, found: object) -> NoReturn:
        raise DatasetError(f"{self.path}: {key}", expected=expected, found=found)

    def text(self, key: str, default: str) -> str:
        value = self.data.get(key, default)
        if not isinstance(value, str):
            self.refuse(key, "text", value)
        return value

    def number(self, key: str) -> float | None:
        value = self.data.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            self.refuse(key, "a number", value)
        return None if value is None else float(value)


def _labels(field: _Fields, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(label, str) and label for label in value):
        field.refuse("labels", "a list of names", value)
    if len(set(value)) != len(value):
        field.refuse("labels", "unlike names", value)
    return tuple(value)


def _targets(field: _Fields, task: str, value: Any) -> tuple[Channel, ...]:
    """What a regression learns; a single value without name and unit, where it is not said."""
    if task != "regression":
        if value is not None:
            field.refuse("targets", "a task that learns values: task = 'regression'", task)
        return ()
    targets = (Channel(TARGET),) if value is None else _columns(field, "targets", value)
    for target in targets:
        if target.name in COLUMNS[:-1]:
            field.refuse("targets", "names that no other column of manifest.csv has", target.name)
    return targets


def _columns(field: _Fields, key: str, value: Any) -> tuple[Channel, ...]:
    """Of the input, or of what is learned."""
    shape = '[{name = "ax", unit = "g", range = [-2, 2]}, …]'
    if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
        field.refuse(key, shape, "nothing" if value is None else value)
    channels = []
    for item in value:
        extent = item.get("range")
        texts = isinstance(item.get("name"), str) and item["name"] and isinstance(item.get("unit", ""), str)
        if not texts or set(item) - {"name", "unit", "range"}:
            field.refuse(key, shape, item)
        if extent is not None and not _is_range(extent):
            field.refuse(f"{key}: range of {item['name']!r}", "[lowest, highest]", extent)
        span = None if extent is None else (float(extent[0]), float(extent[1]))
        channels.append(Channel(item["name"], item.get("unit", ""), span))
    names = [channel.name for channel in channels]
    if len(set(names)) != len(names):
        field.refuse(key, "unlike names", ", ".join(names))
    return tuple(channels)


def _is_range(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 2:
        return False
    return all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value) and value[0] < value[1]


def _line(channel: Channel) -> str:
    """Of a list in dataset.toml."""
    extent = ""
    if channel.range:
        extent = f", range = [{float(channel.range[0])!r}, {float(channel.range[1])!r}]"
    return f"  {{ name = {_quote(channel.name)}, unit = {_quote(channel.unit)}{extent} }},"


def _quote(text: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
