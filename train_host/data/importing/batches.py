"""Batches of rows of a CSV or a Parquet file, with pyarrow: names into numbers, cells into float32."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.contract import Channel
from edge_sdk.errors import DatasetError, one_line
from edge_sdk.recordings.signal import float32
from edge_sdk.splits import SIDES
from train_host.data.importing.request import Advance, Columns

#: Rows of a batch of Parquet, and bytes of a block of CSV.
_ROWS, _BYTES = 1 << 16, 4 << 20
#: Units of time, and how many of each make a second.
UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
#: What others call the sides.
_SIDES = {**{side: side for side in SIDES}, "training": "train", "val": "validation", "testing": "test"}


@dataclass(frozen=True)
class Batch:
    """Some rows.

    Attributes:
        samples: float32 [n, channels].
        time_s: float64 [n], s, or None.
        targets: float64 [n, targets], what is to be learned of a regression.
        owner: int64 [n], whose row it is, as a place in `owners`.
        owners: group and recording; empty text where no column names them.
        shown: int64 [n], what it shows, as a place in `showing`.
        showing: label and side; empty text where there is none.
    """

    samples: NDArray[np.float32]
    time_s: NDArray[np.float64] | None
    targets: NDArray[np.float64]
    owner: NDArray[np.int64]
    owners: list[tuple[str, str]]
    shown: NDArray[np.int64]
    showing: list[tuple[str, str]]


@dataclass(frozen=True)
class Table:
    """An open file.

    Attributes:
        names: of the channels.
        targets: columns to learn.
        clock: name of the time column, and its unit; None: it holds points in time.
    """

    path: Path
    names: tuple[str, ...]
    targets: tuple[Channel, ...]
    columns: Columns
    clock: tuple[str, str | None] | None
    is_csv: bool

    def batches(self, advance: Advance) -> Iterator[Batch]:
        """All rows, in order.

        Raises:
            DatasetError: a cell is no number, a row has no group, or the file is damaged.
        """
        first = 1
        try:
            for record in self._csv(advance) if self.is_csv else self._parquet(advance):
                if record.num_rows:
                    yield self._batch(record, first)
                first += record.num_rows
        except DatasetError:
            raise
        except Exception as error:  # pyarrow has errors of many kinds
            raise self._explained(error) from error
        if first == 1:
            raise DatasetError(f"{self.path}: no rows", expected="at least one below the header")

    def _csv(self, advance: Advance) -> Iterator[Any]:
        import pyarrow
        from pyarrow import csv

        clock = self.clock[0] if self.clock else None
        kinds = {name: pyarrow.float64() for name in self._numeric()}
        kinds |= {name: pyarrow.string() for name in self._texts()}
        if self.clock and self.clock[1] is not None:
            kinds[self.clock[0]] = pyarrow.float64()
        wanted = csv.ConvertOptions(column_types=kinds, include_columns=[*kinds, *([clock] if clock else [])])
        wanted.include_columns = list(dict.fromkeys(wanted.include_columns))
        reader = csv.open_csv(
            self.path,
            read_options=csv.ReadOptions(block_size=_BYTES, use_threads=False),  # only then rows have numbers
            parse_options=csv.ParseOptions(delimiter=separator(self.path)),
            convert_options=wanted,
        )
        left = self.path.stat().st_size
        for record in reader:
            yield record
            advance(min(_BYTES, left))
            left -= min(_BYTES, left)
        advance(left)

    def _parquet(self, advance: Advance) -> Iterator[Any]:
        from pyarrow import parquet

        file = parquet.ParquetFile(self.path, pre_buffer=False)  # else all that was read stays in memory
        clock = [self.clock[0]] if self.clock else []
        share = self.path.stat().st_size / max(file.metadata.num_rows, 1)
        for record in file.iter_batches(
            _ROWS, columns=[*self._numeric(), *self._texts(), *clock], use_threads=False
        ):
            yield record
            advance(round(share * record.num_rows))

    def _numeric(self) -> list[str]:
        return [*self.names, *(target.name for target in self.targets)]

    def _texts(self) -> list[str]:
        given = self.columns
        return [name for name in (given.label, given.group, given.recording, given.split) if name]

    def _batch(self, record: Any, first: int) -> Batch:
        values = np.stack([_numbers(record.column(name)) for name in self._numeric()], axis=1)
        samples, targets = float32(values[:, : len(self.names)]), values[:, len(self.names) :]
        columns = self.columns
        owner, owners = _coded(record, columns.group, columns.recording)
        shown, showing = _coded(record, columns.label, columns.split)
        if columns.group is not None:
            nobody = [code for code, (group, _) in enumerate(owners) if not group]
            if nobody:
                row = first + int(np.flatnonzero(owner == nobody[0])[0])
                raise DatasetError(
                    f"{self.path}: row {row}",
                    expected=f"a group in column {columns.group!r}",
                    found="nothing",
                )
        time_s = self._time(record, first)
        return Batch(samples, time_s, targets, owner, owners, shown, self._sided(showing))

    def _sided(self, showing: list[tuple[str, str]]) -> list[tuple[str, str]]:
        for _, side in showing:
            if side and side.lower() not in _SIDES:
                known = "one of " + ", ".join(_SIDES)
                raise DatasetError(f"{self.path}: column {self.columns.split!r}", expected=known, found=side)
        return [(label, _SIDES[side.lower()] if side else "") for label, side in showing]

    def _time(self, record: Any, first: int) -> NDArray[np.float64] | None:
        if self.clock is None:
            return None
        name, unit = self.clock
        column = record.column(name)
        if column.null_count:
            row = first + column.is_null().to_pylist().index(True)
            raise DatasetError(
                f"{self.path}: row {row}", expected=f"a time in column {name!r}", found="nothing"
            )
        if unit is not None:
            return _numbers(column) / UNITS[unit]
        import pyarrow

        scale = UNITS[column.type.unit]
        return np.asarray(column.cast(pyarrow.int64()).to_numpy(zero_copy_only=False) / scale, np.float64)

    def _explained(self, error: Exception) -> DatasetError:
        text = one_line(error)
        place = re.search(r"CSV column #(\d+): (?:Row #(\d+): )?(.*)", text)
        if place is None or not self.is_csv:
            return DatasetError(f"{self.path}: malformed {self.path.suffix}", found=text)
        column, row, what = int(place[1]), place[2], place[3]
        names = header(self.path)
        name = names[column] if column < len(names) else f"#{column}"
        where = f"line {row}, column {name!r}" if row else f"column {name!r}"
        value = re.search(r"invalid value '(.*)'", what)
        return DatasetError(
            f"{self.path}: {where}",
            expected="a number" if value else None,
            found=repr(value[1][:40]) if value else what,
            remedy="leave it empty where a value is missing, or choose other --channels" if value else None,
        )


def _coded(
    record: Any, first: str | None, second: str | None
) -> tuple[NDArray[np.int64], list[tuple[str, str]]]:
    """Two columns of text as one of numbers, with what each number stands for."""
    codes, texts = zip(*(_encoded(record, name) for name in (first, second)), strict=True)
    joint = codes[0] * len(texts[1]) + codes[1]
    values, inverse = np.unique(joint, return_inverse=True)
    width = len(texts[1])
    return inverse.astype(np.int64), [(texts[0][int(v) // width], texts[1][int(v) % width]) for v in values]


def _encoded(record: Any, name: str | None) -> tuple[NDArray[np.int64], list[str]]:
    if name is None:
        return np.zeros(record.num_rows, np.int64), [""]
    import pyarrow
    from pyarrow import compute

    column = record.column(name)
    if pyarrow.types.is_floating(column.type):  # whole numbers beside missing ones: 3.0 is 3
        texts = ["" if v is None or v != v else f"{v:g}" for v in column.to_pylist()]
        column = pyarrow.array(texts)
    column = compute.fill_null(column.cast(pyarrow.string()), "")
    encoded = compute.utf8_trim_whitespace(column).dictionary_encode()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary.to_pylist()


def _numbers(column: Any) -> NDArray[np.float64]:
    """float64 [n]; NaN where a value is missing."""
    import pyarrow

    return np.asarray(column.cast(pyarrow.float64()).to_numpy(zero_copy_only=False), np.float64)


def separator(path: Path) -> str:
    """What stands between the cells of a CSV."""
    line = _first_line(path)
    return max(",;\t", key=line.count)


def header(path: Path) -> list[str]:
    """The names of its columns."""
    return [cell.strip().strip('"') for cell in _first_line(path).split(separator(path))]


def _first_line(path: Path) -> str:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return file.readline(1 << 20)
