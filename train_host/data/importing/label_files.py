"""Labels that lie beside the files of an export of Edge Impulse, whatever the files' own format.

``info.labels`` lists the files below its folder, ``structured_labels.labels`` says of files in its own folder
what each stretch of samples shows. Indices count samples, and the last one belongs to the stretch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

from edge_sdk.errors import DatasetError
from edge_sdk.recordings import Signal
from train_host.data.importing.request import Piece

_INFO, _STRUCTURED = "info.labels", "structured_labels.labels"
NAMES = (_INFO, _STRUCTURED)
#: An export keeps its files at most so many folders below info.labels.
_DEPTH = 3
_MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class _Stretch:
    """Samples `start` to `end`, both included."""

    start: int
    end: int
    label: str


def apply(piece: Piece) -> Iterator[Piece]:
    """The piece with the label that is noted for its file, or cut into stretches; as it is if none is.

    Raises:
        DatasetError: the file with the labels is malformed, or reaches beyond the samples.
    """
    where, noted = _noted(piece.path)
    if where is None:
        yield piece
    elif not isinstance(noted, tuple):
        yield replace(piece, label=noted, knows_label=True)
    else:
        signal = piece.signal
        for number, stretch in enumerate(noted, start=1):
            if stretch.end >= len(signal.samples) or signal.is_image:
                _refuse(where, piece.path.name, f"an endIndex below {len(signal.samples)}", stretch.end)
            rows = slice(stretch.start, stretch.end + 1)
            time_s = None if signal.time_s is None else signal.time_s[rows]
            yield replace(
                piece,
                signal=Signal(signal.samples[rows], signal.rate_hz, signal.channels, time_s),
                label=stretch.label,
                knows_label=True,
                id=f"{piece.id or piece.path.stem}-{number}" if len(noted) > 1 else piece.id,
                whole=piece.whole and len(noted) == 1 and stretch.end + 1 == len(signal.samples),
            )


def _noted(path: Path) -> tuple[Path | None, str | tuple[_Stretch, ...] | None]:
    """Where something is noted about a file, and what."""
    structured = path.parent / _STRUCTURED
    if structured.is_file():
        stretches = _of_folder(structured, structured.stat().st_mtime_ns)
        if path.name in stretches:
            return structured, stretches[path.name]
    for folder in list(path.parents)[:_DEPTH]:
        info = folder / _INFO
        if info.is_file():
            labels = _listed(info, info.stat().st_mtime_ns)
            key = path.relative_to(folder).as_posix()
            if key in labels:
                return info, labels[key]
    return None, None


@lru_cache(maxsize=8)
def _of_folder(path: Path, changed: int) -> dict[str, tuple[_Stretch, ...]]:
    del changed  # a file that was written again is read again
    content = _load(path).get("structuredLabels")
    if not isinstance(content, dict):
        _refuse(path, "structuredLabels", "file names with their stretches", content)
    return {name: _stretches(path, name, value) for name, value in content.items()}


@lru_cache(maxsize=8)
def _listed(path: Path, changed: int) -> dict[str, str | tuple[_Stretch, ...] | None]:
    del changed
    files = _load(path).get("files")
    if not isinstance(files, list):
        _refuse(path, "files", "a list", files)
    found: dict[str, str | tuple[_Stretch, ...] | None] = {}
    for number, entry in enumerate(files):
        where = f"files[{number}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
            _refuse(path, where, "an object with a path", entry)
        label = entry["label"] if isinstance(entry.get("label"), dict) else {}
        kind = label.get("type")
        if kind == "label" and isinstance(label.get("label"), str):
            found[entry["path"]] = label["label"]
        elif kind == "multi-label":
            found[entry["path"]] = _stretches(path, where, label.get("labels"))
        elif kind == "unlabeled":
            found[entry["path"]] = None
        else:
            _refuse(path, f"{where}: label", "type label, multi-label or unlabeled", entry.get("label"))
    return found


def _stretches(path: Path, where: str, value: Any) -> tuple[_Stretch, ...]:
    found = []
    for entry in value if isinstance(value, list) and value else [value]:
        try:
            stretch = _Stretch(entry["startIndex"], entry["endIndex"], entry["label"])
            ordered = 0 <= stretch.start <= stretch.end
        except (TypeError, KeyError):
            ordered = False
        if not ordered or not isinstance(stretch.label, str) or not stretch.label:
            _refuse(path, where, "startIndex, endIndex and label, the end not before the start", entry)
        found.append(stretch)
    return tuple(found)


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise OSError(f"larger than {_MOST_BYTES >> 20} MB")
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: cannot be read", expected="JSON", found=error) from error
    if not isinstance(content, dict):
        _refuse(path, "content", "an object", content)
    return content


def _refuse(path: Path, where: str, expected: str, found: object) -> NoReturn:
    raise DatasetError(f"{path}: {where}", expected=expected, found=repr(found)[:80])
