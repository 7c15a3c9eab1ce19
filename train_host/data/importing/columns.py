"""Which columns of a long table are channels, and which say something about its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_sdk.errors import ConfigError, DatasetError, MissingExtraError, first_of, one_line, suggestion
from edge_sdk.recordings.clock import TIME_COLUMNS
from edge_sdk.recordings.signal import check_names
from train_host.data.importing.batches import UNITS, Table, separator
from train_host.data.importing.request import Request


def open_table(path: Path, request: Request) -> Table:
    """Look at the columns.

    Raises:
        ConfigError: an option names a column that there is not, or a time column without its unit.
        DatasetError: no column of numbers is left for channels, or the file is damaged.
        MissingExtraError: pyarrow is not installed.
    """
    is_csv = path.suffix.lower() == ".csv"
    schema = _schema(path, is_csv=is_csv)
    known = list(schema.names)
    time = request.columns.time
    name, _, unit = time.rpartition(":") if time and time not in known and ":" in time else (time, "", "")
    targets = request.columns.target_channels()
    given = {
        "--label-column": request.columns.label,
        "--group-column": request.columns.group,
        "--recording-column": request.columns.recording,
        "--split-column": request.columns.split,
        "--time-column": name,
        **{f"--target-column {target.name}": target.name for target in targets},
        **{f"--channels {channel.name}": channel.name for channel in request.channels},
    }
    for option, column in given.items():
        if column and column not in known:
            raise ConfigError(
                f"{path}: {option.split()[0]}",
                expected="one of " + ", ".join(known),
                found=column,
                remedy=suggestion(column, known),
            )
    clock = None if not name else (name, _unit(path, name, unit, schema))
    used = {column for column in given.values() if column}
    names = tuple(channel.name for channel in request.channels) or tuple(
        field.name for field in schema if field.name not in used and _is_numeric(field.type)
    )
    if not names:
        raise DatasetError(f"{path}: channels", expected="columns of numbers", found=first_of(known))
    check_names(path, names)
    return Table(path, names, targets, request.columns, clock, is_csv)


def _schema(path: Path, *, is_csv: bool) -> Any:
    try:
        from pyarrow import csv, parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading long tables", "data", error.name) from error
    try:
        if not is_csv:
            return parquet.ParquetFile(path).schema_arrow
        options = csv.ParseOptions(delimiter=separator(path))
        with csv.open_csv(path, parse_options=options) as reader:
            return reader.schema
    except DatasetError:
        raise
    except Exception as error:
        raise DatasetError(f"{path}: malformed {path.suffix}", found=one_line(error)) from error


def _unit(path: Path, name: str, unit: str, schema: Any) -> str | None:
    import pyarrow

    kind = schema.field(name).type
    if pyarrow.types.is_timestamp(kind):
        return None
    if not unit and name in TIME_COLUMNS:
        unit = name.removeprefix("time_")
    if unit not in UNITS:
        expected = " or ".join(f"{name}:{known}" for known in UNITS)
        raise ConfigError(
            f"{path}: --time-column", expected=expected, found=f"{name}:{unit}" if unit else name
        )
    if not _is_numeric(kind):
        raise DatasetError(f"{path}: column {name!r}", expected="numbers or points in time", found=kind)
    return unit


def _is_numeric(kind: Any) -> bool:
    import pyarrow

    numeric = pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind)
    return bool(numeric or pyarrow.types.is_boolean(kind) or pyarrow.types.is_null(kind))
