"""manifest.csv: what the recordings of a folder are, one line each."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edge_sdk.dataset.plainfile import check_plain
from edge_sdk.errors import DatasetError
from edge_sdk.modelfile import write_atomic
from edge_sdk.splits import SIDES

MANIFEST = "manifest.csv"
#: The column of what is learned, where dataset.toml names no `targets`, or one.
TARGET = "target"
COLUMNS = ("file", "label", "group", "start_s", "end_s", "split", "fold", TARGET)


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


def read_manifest(path: Path, targets: Sequence[str] = (TARGET,)) -> list[Recording]:
    """Read manifest.csv; paths in it may not leave the folder.

    Args:
        path: the file.
        targets: names of the columns with what is learned; a single one may be called ``target`` as well.

    Raises:
        DatasetError: not CSV, unknown or missing columns, or a line that is wrong.
    """
    check_plain(path, "CSV")
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
    write_atomic(path, manifest_text(recordings, targets).encode())


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
