"""``sqlite:FILE`` keeps predictions in a SQLite database."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_sdk.closing import Closing
from edge_sdk.database import CACHE_PRAGMA, UNWRITABLE, code_of, identity, not_now
from edge_sdk.errors import ConfigError, DeviceError, Fatal, Retry
from edge_sdk.plugins import Delivery
from edge_sdk.prediction import Prediction
from edge_sdk.runs import Run

SCHEMA = 1

_RUNS = """CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT PRIMARY KEY, device TEXT, model TEXT, digest TEXT, started_s REAL)"""
_META = "CREATE TABLE IF NOT EXISTS edgeml (name TEXT PRIMARY KEY, value TEXT)"
_PREDICTIONS = """CREATE TABLE IF NOT EXISTS "{table}" (
    device TEXT NOT NULL, run_id TEXT NOT NULL, sequence INTEGER NOT NULL,
    time_s REAL, wall_s REAL, clock_synced INTEGER, model TEXT,
    label TEXT, score REAL, value REAL, event TEXT, fault TEXT, latency_us REAL, outputs TEXT,
    PRIMARY KEY (device, run_id, sequence))"""
_COLUMNS = (
    "device", "run_id", "sequence", "time_s", "wall_s", "clock_synced", "model",
    "label", "score", "value", "event", "fault", "latency_us", "outputs",
)  # fmt: skip
_BUSY_S = 1.0


class Sink(Closing):
    """One row a prediction, one transaction a batch, on the disk before it counts as delivered.

    Write-ahead log and ``synchronous=FULL``: a power cut loses nothing that was delivered. The primary key
    (device, run_id, sequence) makes writing twice harmless. The table ``runs`` says which model each run had.

    Args:
        location: the database file; its folder must be there.
        table: name of the table of predictions.
    """

    delivery: Delivery = "direct"
    location_is_path = True

    def __init__(self, location: str, *, table: str = "predictions") -> None:
        if not location:
            raise ConfigError("sqlite: no file", expected="sqlite:FILE, such as sqlite:events.db")
        if not table.isidentifier() or table.startswith("sqlite_") or table in {"runs", "edgeml"}:
            raise ConfigError(
                "sqlite: table", expected="letters, digits and _; not runs or edgeml", found=repr(table)
            )
        self.path, self.table = Path(location), table
        marks = ", ".join("?" * len(_COLUMNS))
        self._insert = f'INSERT OR IGNORE INTO "{table}" ({", ".join(_COLUMNS)}) VALUES ({marks})'
        if not self.path.parent.is_dir():
            raise Fatal(
                f"{self.path}: no such folder", remedy=f"create the folder first: mkdir -p {self.path.parent}"
            )
        try:
            # One thread writes; another may close it when that one hangs.
            self._database = sqlite3.connect(
                self.path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise self._verdict(error) from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self.close()
            raise self._verdict(error) from error
        except DeviceError:
            self.close()
            raise

    def begin(self, run: Run) -> None:
        """Note which model, by digest, made the predictions of this run."""
        row = (run.run_id, run.device, run.model, run.digest, run.started_s)
        try:
            self._database.execute("INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?, ?)", row)
        except sqlite3.Error as error:
            raise self._verdict(error) from error

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Commit them, all or none.

        Raises:
            Retry: the database is locked, the disk is full or fails, the file was moved or deleted.
            Fatal: the database is corrupt.
        """
        self._check_in_place()
        rows = [_row(prediction) for prediction in predictions]
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(self._insert, rows)
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise self._verdict(error) from error

    def close(self) -> None:
        """Close the database; may be called twice."""
        self._database.close()

    def _prepare(self) -> None:
        execute = self._database.execute
        execute("PRAGMA journal_mode=WAL")
        execute("PRAGMA synchronous=FULL")
        execute(CACHE_PRAGMA)
        execute("BEGIN IMMEDIATE")
        execute(_META)
        execute("INSERT OR IGNORE INTO edgeml VALUES ('schema', ?)", (str(SCHEMA),))
        (found,) = execute("SELECT value FROM edgeml WHERE name = 'schema'").fetchone()
        execute(_RUNS)
        execute(_PREDICTIONS.format(table=self.table))
        if set(_COLUMNS) - set(columns := self._columns()) == {"fault"}:  # of before there was one
            execute(f'ALTER TABLE "{self.table}" ADD COLUMN fault TEXT')
            columns = self._columns()
        execute("COMMIT")
        if found != str(SCHEMA) or not set(_COLUMNS) <= set(columns):
            raise Fatal(
                f"{self.path}: table {self.table!r} is not of this version",
                expected=f"schema {SCHEMA} with columns {', '.join(_COLUMNS)}",
                found=f"schema {found} with columns {', '.join(columns)}",
                remedy="name another file or another table",
            )
        self._identity = identity(self.path)

    def _columns(self) -> tuple[str, ...]:
        return tuple(row[1] for row in self._database.execute(f'PRAGMA table_info("{self.table}")'))

    def _check_in_place(self) -> None:
        """SQLite would go on writing to a deleted file, and nobody would ever read it."""
        if identity(self.path) != self._identity:
            raise Retry(f"{self.path}: the file was moved or deleted", remedy="a new one is begun")

    def _roll_back(self) -> None:
        try:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
        except sqlite3.Error:
            self.close()  # the pipeline reopens it

    def _verdict(self, error: sqlite3.Error) -> DeviceError:
        code = code_of(error)
        if code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
            return Fatal(
                f"{self.path}: not a SQLite database, or corrupt",
                found=error,
                remedy=f"move it away (mv {self.path} {self.path}.broken); a new one is begun",
            )
        if code in UNWRITABLE:
            return Fatal(
                f"{self.path}: cannot be written",
                found=error,
                remedy="choose a file that this user may write",
            )
        return not_now(self.path, error)


def _row(prediction: Prediction) -> tuple[Any, ...]:
    values = prediction.as_dict()
    values["outputs"] = json.dumps(values["outputs"])
    return tuple(values[column] for column in _COLUMNS)
