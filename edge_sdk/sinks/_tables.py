"""The tables that predictions and runs have in a PostgreSQL database, and their statements."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_sdk.errors import ConfigError

if TYPE_CHECKING:
    from psycopg.sql import SQL, Composed

_PREDICTIONS = {
    "device": "text", "run_id": "text", "sequence": "bigint",
    "time_s": "double precision", "wall_s": "double precision", "clock_synced": "boolean", "model": "text",
    "label": "text", "score": "double precision", "value": "double precision", "event": "text",
    "fault": "text", "latency_us": "double precision", "outputs": "real[]",
}  # fmt: skip
_RUNS = {
    "run_id": "text", "device": "text", "model": "text", "digest": "text", "started_s": "double precision",
}  # fmt: skip
_LONGEST_NAME = 63  # bytes; PostgreSQL would cut the rest off


@dataclass(frozen=True, slots=True)
class Table:
    """One table; a batch of its rows travels as one JSON value, so that one round trip commits it.

    Attributes:
        name: of the table, with its schema's before it where that is given.
        columns: their types, by name.
        key: the columns of the primary key.
    """

    name: tuple[str, ...]
    columns: Mapping[str, str]
    key: tuple[str, ...]

    @property
    def insert(self) -> Composed:
        """Stores those rows of a JSON array that are not there yet."""
        from psycopg.sql import SQL

        return self._filled(
            SQL(
                "INSERT INTO {table} ({names}) SELECT {names} FROM jsonb_to_recordset(%s) AS given ({typed})"
                " ON CONFLICT ({key}) DO NOTHING"
            )
        )

    @property
    def create(self) -> Composed:
        """Makes the table, where it is absent."""
        from psycopg.sql import SQL

        return self._filled(SQL("CREATE TABLE IF NOT EXISTS {table} ({typed}, PRIMARY KEY ({key}))"))

    @property
    def look(self) -> Composed:
        """Tells the columns that it has."""
        from psycopg.sql import SQL

        return self._filled(SQL("SELECT * FROM {table} LIMIT 0"))

    @property
    def add_fault(self) -> Composed:
        """Adds the one column that an older version did not have."""
        from psycopg.sql import SQL

        return self._filled(SQL("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS fault text"))

    def _filled(self, statement: SQL) -> Composed:
        from psycopg.sql import SQL, Identifier

        names = {name: Identifier(name) for name in self.columns}
        typed = [SQL("{} " + kind).format(names[name]) for name, kind in self.columns.items()]
        comma = SQL(", ")
        return statement.format(
            table=Identifier(*self.name),
            names=comma.join(names.values()),
            typed=comma.join(typed),
            key=comma.join(names[name] for name in self.key),
        )


def tables(table: str) -> tuple[Table, Table]:
    """The table of predictions that an option names, and the table of runs beside it.

    Raises:
        ConfigError: not a name.
    """
    parts = tuple(table.split("."))
    fits = all(0 < len(part.encode()) <= _LONGEST_NAME and part.isprintable() for part in parts)
    if len(parts) > 2 or not fits or parts[-1] == "runs":
        raise ConfigError(
            "postgres: table",
            expected="TABLE or SCHEMA.TABLE, 63 bytes each at most; not runs",
            found=repr(table),
        )
    return (
        Table(parts, _PREDICTIONS, ("device", "run_id", "sequence")),
        Table((*parts[:-1], "runs"), _RUNS, ("run_id",)),
    )


def storable(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as PostgreSQL's JSON can hold it: no NUL, no half of a surrogate pair, no NaN."""
    return {name: _storable(value) for name, value in row.items()}


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\N{SYMBOL FOR NULL}").encode("utf-8", "replace").decode()
    return None if isinstance(value, float) and not math.isfinite(value) else value
