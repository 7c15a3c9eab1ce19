"""parquet: a column a channel, and a time column where there is one; needs pyarrow."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import MissingExtraError, first_of
from edge_sdk.recordings.clock import TIME_COLUMNS, rate_of
from edge_sdk.recordings.signal import Signal, check_names, float32, refuse

#: No recording is read that unpacks to more.
MAX_BYTES = 2 << 30
#: Key of the rate in the file's own metadata, where there is no time column.
_RATE = b"rate_hz"


def read(path: Path, content: bytes, channels: tuple[str, ...]) -> Signal:
    """The columns that are asked for, or all that hold numbers; missing values become NaN.

    The time column is one of `TIME_COLUMNS`, or the only one that holds points in time.
    """
    arrow, parquet = _pyarrow()
    file = parquet.ParquetFile(io.BytesIO(content))
    schema = file.schema_arrow
    clock = _clock(path, arrow, schema)
    names = tuple(name for name in schema.names if name != clock)
    if set(channels) <= set(names):
        names = tuple(name for name in names if name in channels) or names
    check_names(path, names)
    for name in names:
        kind = schema.field(name).type
        numeric = (
            arrow.types.is_integer(kind) or arrow.types.is_floating(kind) or arrow.types.is_boolean(kind)
        )
        if not numeric:
            refuse(path, f"column {name!r}", "numbers", kind, "leave it out of channels, or import the file")
    if not names or not file.metadata.num_rows:
        refuse(path, "no samples", "a column a channel, a row a sample", first_of(names) or "nothing")
    size = 8 * (len(names) + 1) * file.metadata.num_rows
    if size > MAX_BYTES:
        refuse(
            path, "too large", f"at most {MAX_BYTES:,} bytes", f"{size:,}", "cut it into several recordings"
        )
    table = file.read(columns=[*names, *([clock] if clock else [])], use_threads=False)
    samples = float32(np.stack([numbers(table.column(name)) for name in names], axis=1))
    if clock is None:
        return Signal(samples, _noted_rate(path, schema), names)
    time_s = seconds(table.column(clock), clock)
    return Signal(samples, rate_of(path, time_s, "row", 1), names, time_s)


def write(path: Path, signal: Signal) -> None:
    """A float32 column a channel; the rate stands in the file's metadata."""
    arrow, parquet = _pyarrow()
    names = signal.channels or tuple(f"ch{n + 1}" for n in range(signal.samples.shape[1]))
    columns = [arrow.array(np.ascontiguousarray(column)) for column in signal.samples.T]
    noted = {_RATE: repr(float(signal.rate_hz)).encode()} if signal.rate_hz else None
    fields = [arrow.field(name, arrow.float32()) for name in names]
    table = arrow.Table.from_arrays(columns, schema=arrow.schema(fields, metadata=noted))
    parquet.write_table(table, path, compression="zstd")


def numbers(column: Any) -> NDArray[np.float64]:
    """A column of numbers as float64 [n]; NaN where a value is missing."""
    import pyarrow

    return np.asarray(column.cast(pyarrow.float64()).to_numpy(zero_copy_only=False), np.float64)


def seconds(column: Any, name: str) -> NDArray[np.float64]:
    """A time column as float64 [n], s, from its own first value where it holds points in time."""
    import pyarrow

    kind = column.type
    if not (pyarrow.types.is_timestamp(kind) or pyarrow.types.is_duration(kind)):
        return numbers(column) / TIME_COLUMNS[name]
    scale = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[kind.unit]
    counts = column.cast(pyarrow.int64()).to_numpy(zero_copy_only=False)
    if counts.dtype.kind == "f":  # numpy has no missing integers
        return np.asarray(counts / scale, np.float64)
    return np.asarray((counts - counts[0]) / scale, np.float64)  # as a float, an epoch in ns loses its end


def _clock(path: Path, arrow: Any, schema: Any) -> str | None:
    found = [
        field.name
        for field in schema
        if field.name in TIME_COLUMNS
        or arrow.types.is_timestamp(field.type)
        or arrow.types.is_duration(field.type)
    ]
    if len(found) > 1:
        refuse(path, "columns", "one time column at most", ", ".join(found))
    return found[0] if found else None


def _noted_rate(path: Path, schema: Any) -> float | None:
    text = (schema.metadata or {}).get(_RATE)
    if text is None:
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        refuse(path, "rate_hz in the metadata", "a positive number", text)
    return rate


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("parquet recordings", "data", error.name) from error
    return pyarrow, parquet
