"""The outbox's database: rows, cursors and dead letters in one SQLite file, written by one thread."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_sdk.database import CACHE_PRAGMA, identity
from edge_sdk.errors import Fatal
from edge_sdk.outbox.letters import Dead, Durability, Letter, checksum, encode
from edge_sdk.outbox.verdicts import Corrupt, translated

SCHEMA = 1
#: "edgo", in the file's header: tells an outbox from somebody's database.
APPLICATION_ID = 0x6564676F

_TABLES = (
    """CREATE TABLE outbox (
    one INTEGER PRIMARY KEY CHECK (one = 1), schema INTEGER NOT NULL, key BLOB NOT NULL,
    last_id INTEGER NOT NULL, rows INTEGER NOT NULL, dead INTEGER NOT NULL, dead_bytes INTEGER NOT NULL,
    clock_s REAL NOT NULL, boot TEXT NOT NULL, boot_s REAL NOT NULL)""",
    """CREATE TABLE sinks (
    name TEXT PRIMARY KEY, slot INTEGER NOT NULL UNIQUE, cursor INTEGER NOT NULL, owed INTEGER NOT NULL)""",
    """CREATE TABLE letters (
    id INTEGER PRIMARY KEY, wanted INTEGER NOT NULL, put_s REAL NOT NULL, crc INTEGER NOT NULL,
    body BLOB NOT NULL)""",
    """CREATE TABLE dead (
    id INTEGER NOT NULL, sink TEXT NOT NULL, put_s REAL NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL,
    body BLOB NOT NULL, PRIMARY KEY (id, sink))""",
)
_BUSY_S = 1.0
#: Bodies that are read at a time, bytes.
_PAGE_BYTES = 1 << 20


@dataclass(slots=True)
class SinkRow:
    """A sink in the database: letters up to `cursor` are settled, `owed` rows after it are not."""

    name: str
    slot: int
    cursor: int
    owed: int


@dataclass(slots=True)
class Facts:
    """The one row of the table ``outbox``.

    Attributes:
        key: random; ties the crash books to this file.
        last_id: given out.
        rows: in the table ``letters``.
        dead: in the table ``dead``.
        dead_bytes: their bodies.
        clock_s: the outbox's own clock, s of powered time.
        boot: which boot of the machine `boot_s` belongs to.
        boot_s: the boot clock at the same moment, s.
    """

    key: bytes
    last_id: int = 0
    rows: int = 0
    dead: int = 0
    dead_bytes: int = 0
    clock_s: float = 0.0
    boot: str = ""
    boot_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """A row of ``letters``; its checksum was not looked at yet."""

    id: int
    wanted: int
    put_s: float
    crc: int
    body: bytes

    @property
    def intact(self) -> bool:
        """The checksum holds."""
        return self.crc == checksum(self.id, self.wanted, self.put_s, self.body)


class Store:
    """One open database.

    Everything that writes is called from one thread at a time; `read` from any.

    Args:
        path: the file; begun where there is none.
        durability: whether commits are forced to the disk.

    Raises:
        Corrupt: it is damaged.
        Fatal: it cannot work: no folder, no permission, somebody else's database.
        Retry: the disk is full or fails, or another program holds it.
    """

    def __init__(self, path: Path, durability: Durability) -> None:
        self.path = path
        self.sinks: dict[str, SinkRow] = {}
        self.facts = Facts(secrets.token_bytes(16))
        self.used_bytes = 0
        #: It was empty, or there was none.
        self.begun = False
        self._read_lock = threading.Lock()
        self._reader: sqlite3.Connection | None = None
        if not path.parent.is_dir():
            raise Fatal(f"{path}: no such folder", remedy=f"create the folder first: mkdir -p {path.parent}")
        if path.is_dir():
            raise Fatal(f"{path}: cannot be an outbox", expected="a file", found="a folder")
        if _cut_to_nothing(path):
            raise Corrupt("the database is empty, its write-ahead log is not")
        with translated(path):
            self._writer = sqlite3.connect(
                path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
        try:
            with translated(path):
                self._prepare(durability)
        except BaseException:
            self.close()
            raise
        self._identity = identity(path)

    @property
    def in_place(self) -> bool:
        """The file is still the one that was opened; SQLite would go on writing to a deleted one."""
        return identity(self.path) == self._identity

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything in it is committed or nothing; raises `Corrupt` or `Retry`."""
        kept = Facts(**{name: getattr(self.facts, name) for name in Facts.__slots__})
        with translated(self.path):
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield
                self._write_facts()
                self._writer.execute("COMMIT")
            except BaseException:
                self.facts = kept
                if self._writer.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        self._writer.execute("ROLLBACK")
                raise
            self.used_bytes = self.measure()

    def insert(self, letters: Iterable[Letter]) -> int:
        """Add rows; returns the bytes of their bodies."""
        rows, payload = [], 0
        for letter in letters:
            body = encode(letter.prediction)
            payload += len(body)
            crc = checksum(letter.id, letter.wanted, letter.put_s, body)
            rows.append((letter.id, letter.wanted, letter.put_s, crc, body))
        return self.insert_rows(rows) and payload

    def insert_rows(self, rows: Sequence[tuple[int, int, float, int, bytes]]) -> int:
        """Add rows as they are, except those that are there already; returns how many."""
        added = self._many("INSERT OR IGNORE INTO letters VALUES (?, ?, ?, ?, ?)", rows)
        self.facts.rows += added
        return added

    def delete(self, ids: Iterable[int]) -> int:
        """Delete rows, where they are there; returns how many were."""
        gone = self._many("DELETE FROM letters WHERE id = ?", [(i,) for i in ids])
        self.facts.rows -= gone
        return gone

    def bury(self, dead: Sequence[Dead], max_bytes: int) -> None:
        """Add dead letters; the oldest go where they take more than `max_bytes`."""
        for letter in dead:
            added = self._writer.execute(
                "INSERT OR IGNORE INTO dead VALUES (?, ?, ?, ?, ?, ?)",
                (letter.letter_id, letter.sink, letter.put_s, letter.reason, letter.detail, letter.body),
            ).rowcount
            self.facts.dead += added
            self.facts.dead_bytes += added * len(letter.body)
        while self.facts.dead_bytes > max_bytes and self.facts.dead > 1:
            oldest = "SELECT rowid, length(body) FROM dead ORDER BY rowid LIMIT 64"
            for rowid, size in self._writer.execute(oldest).fetchall():
                if self.facts.dead_bytes > max_bytes:
                    self.exhume(rowid, size)

    def dead_body(self, rowid: int) -> bytes:
        """A dead letter's bytes; empty when it is gone."""
        with translated(self.path):
            found = self._writer.execute("SELECT body FROM dead WHERE rowid = ?", (rowid,)).fetchone()
        return bytes(found[0]) if found else b""

    def exhume(self, rowid: int, size: int) -> None:
        """Delete one dead letter."""
        gone = self._writer.execute("DELETE FROM dead WHERE rowid = ?", (rowid,)).rowcount
        self.facts.dead -= gone
        self.facts.dead_bytes -= gone * size

    def save_sinks(self, sinks: Iterable[SinkRow]) -> None:
        """Write those cursors that moved."""
        moved = [sink for sink in sinks if self.sinks.get(sink.name) != sink]
        self._writer.executemany(
            "INSERT INTO sinks VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
            " cursor = excluded.cursor, owed = excluded.owed",
            [(sink.name, sink.slot, sink.cursor, sink.owed) for sink in moved],
        )
        for sink in moved:
            self.sinks[sink.name] = SinkRow(sink.name, sink.slot, sink.cursor, sink.owed)

    def forget_sink(self, name: str) -> None:
        """Remove a sink that owes nothing."""
        self._writer.execute("DELETE FROM sinks WHERE name = ?", (name,))
        self.sinks.pop(name, None)

    def oldest(self, after: int, limit: int) -> list[tuple[int, int, float]]:
        """Id, wanted and put_s of the oldest rows after an id, as the writer sees them."""
        with translated(self.path):
            return self._writer.execute(
                "SELECT id, wanted, put_s FROM letters WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
            ).fetchall()

    def between(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Id and wanted of the rows from one id to another, as the writer sees them."""
        with translated(self.path):
            yield from self._writer.execute(
                "SELECT id, wanted FROM letters WHERE id BETWEEN ? AND ? ORDER BY id", (first, last)
            )

    def read(self, bit: int, first: int, until: int, limit: int) -> list[Row]:
        """Committed rows for a sink from an id to before another, oldest first.

        At most `limit`, fewer where they are large, none only where there are none.

        Raises:
            Corrupt: the file is damaged there.
            Retry: it cannot be read now.
        """
        rows, size = [], 0
        with self._read_lock, translated(self.path):
            if self._reader is None:
                self._reader = sqlite3.connect(
                    f"file:{quoted(self.path)}?mode=rw", uri=True, timeout=_BUSY_S,
                    isolation_level=None, check_same_thread=False,
                )  # fmt: skip
                self._reader.execute(CACHE_PRAGMA)
            cursor = self._reader.execute(
                "SELECT id, wanted, put_s, crc, body FROM letters"
                " WHERE id >= ? AND id < ? AND wanted & ? ORDER BY id LIMIT ?",
                (first, until, bit, limit),
            )
            try:
                for row in cursor:
                    rows.append(Row(*row))
                    size += len(row[4])
                    if size > _PAGE_BYTES:
                        break
            finally:
                cursor.close()
        return rows

    def measure(self) -> int:
        """What rows and books take, bytes; does not grow with them."""
        execute = self._writer.execute
        (pages,) = execute("PRAGMA page_count").fetchone()
        (free,) = execute("PRAGMA freelist_count").fetchone()
        (size,) = execute("PRAGMA page_size").fetchone()
        return (pages - free) * size  # type: ignore[no-any-return]

    def tidy(self) -> None:
        """Fold the write-ahead log into the file, and give back what an empty outbox does not need."""
        with translated(self.path):
            if not self.facts.rows and not self.facts.dead and self.used_bytes * 4 < self._file_bytes():
                self._writer.execute("VACUUM")
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close it; may be called twice."""
        with self._read_lock:
            for connection in (self._reader, getattr(self, "_writer", None)):
                if connection is not None:
                    with contextlib.suppress(sqlite3.Error):
                        connection.close()

    def _prepare(self, durability: Durability) -> None:
        execute = self._writer.execute
        (application,) = execute("PRAGMA application_id").fetchone()
        (tables,) = execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and application != APPLICATION_ID:
            raise Fatal(
                f"{self.path}: is somebody else's database",
                expected="an outbox, or no file",
                found=f"application id {application:#x}",
                remedy="name another file",
            )
        execute("PRAGMA journal_mode=WAL")
        execute(f"PRAGMA synchronous={'NORMAL' if durability == 'none' else 'FULL'}")
        execute("PRAGMA journal_size_limit=4194304")
        execute(CACHE_PRAGMA)
        if not tables:
            execute("BEGIN IMMEDIATE")
            execute(f"PRAGMA application_id={APPLICATION_ID}")
            for table in _TABLES:
                execute(table)
            facts = self.facts
            execute(
                "INSERT INTO outbox VALUES (1, ?, ?, ?, 0, 0, 0, 0.0, '', 0.0)",
                (SCHEMA, facts.key, facts.last_id),
            )
            execute("COMMIT")
            execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self.begun = True
        self._load()
        self.used_bytes = self.measure()

    def _load(self) -> None:
        columns = ", ".join(Facts.__slots__)
        row = self._writer.execute(f"SELECT schema, {columns} FROM outbox").fetchone()
        if row is None:
            raise Corrupt("its books are gone")
        schema, *facts = row
        if schema != SCHEMA:
            raise Fatal(
                f"{self.path}: is an outbox of another version",
                expected=f"schema {SCHEMA}",
                found=f"schema {schema}",
                remedy="name another file",
            )
        self.facts = Facts(*facts)
        sinks = self._writer.execute("SELECT name, slot, cursor, owed FROM sinks ORDER BY slot")
        self.sinks = {row[0]: SinkRow(*row) for row in sinks}

    def _write_facts(self) -> None:
        names = Facts.__slots__[1:]
        self._writer.execute(
            f"UPDATE outbox SET {', '.join(f'{name} = ?' for name in names)}",
            [getattr(self.facts, name) for name in names],
        )

    def _many(self, statement: str, rows: Sequence[Any]) -> int:
        return max(0, self._writer.executemany(statement, rows).rowcount) if rows else 0

    def _file_bytes(self) -> int:
        return self.path.stat().st_size


def _cut_to_nothing(path: Path) -> bool:
    """Whether SQLite would take the file for a new one and delete what its log still holds."""
    log = path.with_name(path.name + "-wal")
    try:
        return path.stat().st_size == 0 and log.stat().st_size > 0
    except OSError:
        return False


def quoted(path: Path) -> str:
    """A path as SQLite's URIs want it."""
    from urllib.parse import quote

    return quote(os.fsencode(path.absolute()))
