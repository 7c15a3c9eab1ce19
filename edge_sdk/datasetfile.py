"""The two text files of a dataset folder: dataset.toml (facts) and manifest.csv (one line a recording)."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NoReturn

from edge_sdk.contract import Channel
from edge_sdk.errors import DatasetError, DeviceError, suggestion
from edge_sdk.splits import SIDES

FACTS = "dataset.toml"
MANIFEST = "manifest.csv"
RECORDINGS = "recordings"
#: The column of what is learned, where dataset.toml names no `targets`, or one.
TARGET = "target"
COLUMNS = ("file", "label", "group", "start_s", "end_s", "split", "fold", TARGET)
_MOST_BYTES = 64 << 20
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


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording, or one piece of it.

    Attributes:
        file: relative to the folder, with forward slashes.
        label: what it shows; None where nobody has said so yet.
        group: who or what was recorded; all recordings of a group stay on one side of a split.
        start_s: where the piece starts in the file, s; None means the beginning.
        end_s: where it ends; None means the end.
        split: ``train``, ``validation`` or ``test`` where the manifest says so.
        target: the values to learn, for a regression, in the order of the dataset's targets.
        fold: in which fold of a cross-validation it is tested, from 1 on, where the manifest says so.
    """

    file: str
    label: str | None
    group: str
    start_s: float | None = None
    end_s: float | None = None
    split: str | None = None
    target: tuple[float, ...] | None = None
    fold: int | None = None


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
    _check_file(path, "TOML")
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


def read_manifest(path: Path, targets: Sequence[str] = (TARGET,)) -> list[Recording]:
    """Read manifest.csv; paths in it may not leave the folder.

    Args:
        path: the file.
        targets: names of the columns with what is learned; a single one may be called ``target`` as well.

    Raises:
        DatasetError: not CSV, unknown or missing columns, or a line that is wrong.
    """
    _check_file(path, "CSV")
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig")), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: cannot be read", expected="CSV", found=error) from error
    header = [cell.strip() for cell in rows[0]] if rows else []
    if len(targets) == 1:
        header = [targets[0] if column == TARGET else column for column in header]
    known = (*COLUMNS[:-1], *targets)
    for column in header:
        if column not in known:
            expected = "one of " + ", ".join(known)
            raise DatasetError(f"{path}: line 1: unknown column {column!r}", expected=expected)
    learned = "label" in header or set(targets) <= set(header)
    if not {"file", "group"} <= set(header) or not learned or len(set(header)) != len(header):
        raise DatasetError(
            f"{path}: line 1", expected="columns file,label,group,…", found=",".join(header) or "nothing"
        )
    numbered = [
        (number, row) for number, row in enumerate(rows[1:], start=2) if any(cell.strip() for cell in row)
    ]
    return [_recording(path, number, _cells(path, number, header, row), targets) for number, row in numbered]


def _check_file(path: Path, expected: str) -> None:
    """A pipe would never end, nor would a device; a sparse file can claim any size."""
    if not path.is_file():
        raise DatasetError(f"{path}: cannot be read", expected=expected, found="no plain file")
    if path.stat().st_size > _MOST_BYTES:
        raise DatasetError(f"{path}: too large", expected=f"at most {_MOST_BYTES >> 20} MB")


def manifest_text(recordings: Iterable[Recording], targets: Sequence[str] = (TARGET,)) -> str:
    """The text of manifest.csv, with a column for each of the targets."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow([*COLUMNS[:-1], *targets])
    for recording in recordings:
        values = [getattr(recording, column) for column in COLUMNS[:-1]]
        values += recording.target or [None] * len(targets)
        lines.writerow(["" if value is None else value for value in values])
    return out.getvalue()


def write_manifest(path: Path, recordings: Iterable[Recording], targets: Sequence[str] = (TARGET,)) -> None:
    """Write manifest.csv; the old one stays until the new one is complete.

    Args:
        path: the file.
        recordings: its lines.
        targets: as `Facts.target_names` gives them.

    Raises:
        DeviceError: the folder cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(manifest_text(recordings, targets))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise DeviceError(f"cannot write {path}", found=error.strerror or error) from error
    finally:
        beside.unlink(missing_ok=True)


def _cells(path: Path, number: int, header: list[str], row: list[str]) -> dict[str, str]:
    if len(row) != len(header):
        raise DatasetError(f"{path}: line {number}", expected=f"{len(header)} columns", found=len(row))
    return {column: cell.strip() for column, cell in zip(header, row, strict=True)}


def _recording(path: Path, number: int, cells: dict[str, str], targets: Sequence[str]) -> Recording:
    where = f"{path}: line {number}"
    file = PurePosixPath(cells["file"])
    if not cells["file"] or file.is_absolute() or ".." in file.parts:
        raise DatasetError(f"{where}: file", expected="a path inside the folder", found=repr(cells["file"]))
    if not cells["group"]:
        raise DatasetError(f"{where}: group", expected="who or what was recorded", found="nothing")
    side = cells.get("split") or None
    if side is not None and side not in SIDES:
        raise DatasetError(f"{where}: split", expected="one of " + ", ".join(SIDES), found=side)
    fold = cells.get("fold") or None
    if fold is not None and not (fold.isdecimal() and int(fold) >= 1):
        raise DatasetError(f"{where}: fold", expected="a whole number from 1 on", found=fold)
    numbers: dict[str, float | None] = {}
    for column in ("start_s", "end_s", *targets):
        text = cells.get(column, "")
        try:
            numbers[column] = float(text) if text else None
        except ValueError as error:
            raise DatasetError(f"{where}: {column}", expected="a number", found=repr(text)) from error
        if text and not math.isfinite(numbers[column] or 0.0):
            raise DatasetError(f"{where}: {column}", expected="a finite number", found=text)
    start, end = numbers["start_s"] or 0.0, numbers["end_s"]
    if start < 0 or (end is not None and end <= start):
        raise DatasetError(
            f"{where}: start_s, end_s", expected="0 <= start_s < end_s", found=f"{start:g}, {end}"
        )
    return Recording(
        file.as_posix(),
        cells.get("label") or None,
        cells["group"],
        numbers["start_s"],
        end,
        side,
        _values(where, [(name, numbers[name]) for name in targets]),
        None if fold is None else int(fold),
    )


def _values(where: str, named: Sequence[tuple[str, float | None]]) -> tuple[float, ...] | None:
    """What is learned; all of it or nothing."""
    given = tuple(value for _, value in named if value is not None)
    if given and len(given) != len(named):
        missing = next(name for name, value in named if value is None)
        raise DatasetError(
            f"{where}: {missing}", expected="a number, as for the other targets", found="nothing"
        )
    return given or None


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
