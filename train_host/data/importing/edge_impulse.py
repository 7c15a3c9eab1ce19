"""The data acquisition format of Edge Impulse: a protected header, a signature, and a payload; JSON or CBOR.

The payload names device, interval and sensors, and has one row of values an interval. The label is what
stands before the first dot of the file's name, unless labels lie beside it. Signatures are not checked: that
takes the key of whoever recorded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import DatasetError, MissingExtraError, one_line
from edge_sdk.recordings import Signal
from edge_sdk.recordings.signal import check_names, float32
from train_host.data.importing.request import Advance, Piece, Request

SUFFIXES = (".json", ".cbor")
#: Other JSON lies about in folders, too; one of these stands within the first bytes.
_MARKS, _HEAD = (b'"payload"', b'"protected"'), 4096


def is_one(path: Path) -> bool:
    """Whether a file is meant to be of this format, however damaged."""
    if path.suffix.lower() == ".cbor":
        return True
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read", found=error.strerror or error) from error
    return any(mark in head for mark in _MARKS)


def read(path: Path, request: Request, advance: Advance) -> Iterator[Piece]:
    """One recording, its group the device where it is named."""
    del request
    content = path.read_bytes()
    payload = _payload(path, content)
    interval = payload.get("interval_ms")
    if isinstance(interval, bool) or not isinstance(interval, (int, float)) or not 0 < interval < math.inf:
        _refuse(path, "payload.interval_ms", "a positive number", interval)
    names, units = _sensors(path, payload.get("sensors"))
    values = _values(path, payload.get("values"), len(names))
    device = payload.get("device_name")
    if device is not None and not isinstance(device, str):
        _refuse(path, "payload.device_name", "text", device)
    label, dot, rest = path.stem.partition(".")
    yield Piece(
        path=path,
        signal=Signal(float32(values), 1000.0 / interval, names),
        label=label,
        knows_label=True,
        group=device or None,
        id=rest if dot else path.stem,
        units=units,
    )
    advance(len(content))


def _payload(path: Path, content: bytes) -> dict[str, Any]:
    try:
        whole = json.loads(content) if path.suffix.lower() == ".json" else _cbor(content)
    except MissingExtraError:
        raise
    except Exception as error:  # cbor2 raises whatever it likes
        kind = path.suffix[1:].upper()
        raise DatasetError(f"{path}: cannot be read", expected=kind, found=one_line(error)) from error
    if not isinstance(whole, dict) or not isinstance(whole.get("payload"), dict):
        found = ", ".join(map(str, whole))[:80] if isinstance(whole, dict) else type(whole).__name__
        _refuse(path, "content", "protected, signature and payload", found)
    version = whole.get("protected")
    if not isinstance(version, dict) or version.get("ver") != "v1":
        _refuse(path, "protected.ver", "v1", version.get("ver") if isinstance(version, dict) else version)
    payload: dict[str, Any] = whole["payload"]
    return payload


def _cbor(content: bytes) -> Any:
    try:
        import cbor2
    except ModuleNotFoundError as error:
        raise MissingExtraError("CBOR recordings", "data", error.name) from error
    return cbor2.loads(content)


def _sensors(path: Path, sensors: Any) -> tuple[tuple[str, ...], dict[str, str]]:
    """Names in column order, and their units."""
    if not isinstance(sensors, list) or not sensors:
        _refuse(path, "payload.sensors", "a list of sensors", sensors)
    units = {}
    for number, sensor in enumerate(sensors):
        texts = isinstance(sensor, dict) and all(
            isinstance(sensor.get(key, ""), str) for key in ("name", "units")
        )
        if not texts or not sensor.get("name"):
            _refuse(path, f"payload.sensors[{number}]", "name and units", sensor)
        units[sensor["name"]] = sensor.get("units", "")
    names = tuple(sensor["name"] for sensor in sensors)
    check_names(path, names)
    return names, units


def _values(path: Path, values: Any, columns: int) -> NDArray[np.float64]:
    """float64 [n, columns]; a single sensor may have plain numbers."""
    if not isinstance(values, (list, tuple)) or not len(values):
        _refuse(path, "payload.values", "a row of numbers an interval", values)
    if isinstance(values[0], str):
        _refuse(path, "payload.values", "numbers", f"{values[0][:40]!r}, which refers to another file")
    try:
        table = np.asarray(values)
    except ValueError:
        table = np.zeros(0, object)  # rows of unlike lengths
    if table.dtype.kind in "fiub" and table.ndim == 1 and columns == 1:
        table = table[:, None]
    if table.dtype.kind not in "fiub" or table.ndim != 2 or table.shape[1] != columns:
        _refuse_row(path, values, columns)
    return table.astype(np.float64)


def _refuse_row(path: Path, values: Any, columns: int) -> NoReturn:
    """Find the first row that is wrong, and say so."""
    for number, row in enumerate(values):
        cells = row if isinstance(row, (list, tuple)) else [row]
        if len(cells) != columns:
            _refuse(path, f"payload.values[{number}]", f"{columns} numbers, one a sensor", f"{len(cells)}")
        for cell in cells:
            if not isinstance(cell, (int, float)):
                _refuse(path, f"payload.values[{number}]", "numbers", cell)
    _refuse(path, "payload.values", f"{columns} numbers a row", "others")


def _refuse(path: Path, where: str, expected: str, found: object) -> NoReturn:
    shown = found if isinstance(found, str) else "nothing" if found is None else repr(found)
    raise DatasetError(f"{path}: {where}", expected=expected, found=shown[:80])
