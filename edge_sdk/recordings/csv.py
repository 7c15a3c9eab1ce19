"""CSV: a header of channel names, numbers below, a time column where there is one."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import DatasetError, first_of
from edge_sdk.recordings.clock import TIME_COLUMNS, rate_of
from edge_sdk.recordings.signal import Signal, check_names, float32, refuse


def read(path: Path, content: bytes, channels: tuple[str, ...]) -> Signal:
    """Samples, the header's names, and the rate that the time column shows."""
    text = _decode(path, content)
    first, _, rest = text.partition("\n")
    separator = max(",;\t", key=first.count)
    names = tuple(cell.strip().strip('"') for cell in first.split(separator))
    skip = 1
    if all(_is_number(name) for name in names):
        if not channels:
            refuse(
                path,
                "line 1: no header",
                "channel names such as ax,ay,az",
                first_of(names),
                "add a header line",
            )
        if len(channels) != len(names):
            refuse(path, "line 1", f"{len(channels)} columns ({first_of(channels)})", f"{len(names)} columns")
        names, rest, skip = channels, text, 0
    check_names(path, names)
    table = _parse(path, rest, separator, len(names), skip)
    clocks = [index for index, name in enumerate(names) if name in TIME_COLUMNS]
    if not clocks:
        return Signal(float32(table), None, names)
    if len(clocks) > 1 or len(names) == 1:
        refuse(path, "line 1", "one time column at most, and at least one channel", ", ".join(names))
    time_s = table[:, clocks[0]] / TIME_COLUMNS[names[clocks[0]]]
    kept = tuple(name for name in names if name not in TIME_COLUMNS)
    rate = rate_of(path, time_s, "line", 1 + skip)
    return Signal(float32(np.delete(table, clocks[0], axis=1)), rate, kept, time_s)


def _decode(path: Path, content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path}: not a text file", expected="UTF-8 CSV", found=f"byte {error.start}"
        ) from error
    if "\0" in text:
        refuse(path, "not a text file", "UTF-8 CSV", "a NUL byte")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _parse(path: Path, text: str, separator: str, columns: int, skip: int) -> NDArray[np.float64]:
    if not text.strip():
        refuse(path, "no samples below the header", "at least one line of numbers")
    try:
        table = np.loadtxt(io.StringIO(text), delimiter=separator, dtype=np.float64, ndmin=2, comments=None)
    except ValueError:
        _refuse_line(path, text, separator, columns, skip)
    if table.shape[1] != columns:
        _refuse_line(path, text, separator, columns, skip)
    return table


def _refuse_line(path: Path, text: str, separator: str, columns: int, skip: int) -> NoReturn:
    """Find the first line that is not `columns` numbers, and say so."""
    for number, line in enumerate(text.split("\n"), start=1 + skip):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split(separator)]
        if len(cells) != columns:
            refuse(path, f"line {number}", f"{columns} columns", len(cells), "the file may be truncated")
        for cell in cells:
            if not _is_number(cell):
                refuse(
                    path, f"line {number}", "a number", repr(cell[:40]), "write nan where a value is missing"
                )
    refuse(path, "malformed .csv", f"{columns} numbers a line")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def write(path: Path, signal: Signal) -> None:
    """With ``time_s`` where the rate is known."""
    # nine digits give every float32 back exactly
    columns = [[f"{value:.9g}" for value in column.tolist()] for column in signal.samples.T]
    names = list(signal.channels)
    if signal.rate_hz:
        columns.insert(0, [f"{index / signal.rate_hz:.6f}" for index in range(len(signal.samples))])
        names.insert(0, "time_s")
    lines = [",".join(names), *(",".join(row) for row in zip(*columns, strict=True))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
