"""Looks into an outbox without touching it, also while a pipeline uses it."""

from __future__ import annotations

import contextlib
import fcntl
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_sdk.errors import Fatal
from edge_sdk.outbox.books import Figures, name_code, read_figures
from edge_sdk.outbox.letters import Dead
from edge_sdk.outbox.store import APPLICATION_ID, Facts, Row, SinkRow, quoted
from edge_sdk.outbox.verdicts import Corrupt, translated


class Reading(contextlib.AbstractContextManager["Reading"]):
    """One look at an outbox's file.

    Attributes:
        facts: of the table ``outbox``.
        sinks: with their cursors as the crash books have them.
        figures: of the crash books; None where there are none of this file.

    Raises:
        Corrupt: it is damaged.
        Fatal: no such file, or somebody else's.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise Fatal(f"{path}: no such outbox", expected="the file of [outbox] in edgeml.toml")
        self.path = path
        with translated(path):
            self._database = sqlite3.connect(f"file:{quoted(path)}?mode=ro", uri=True, isolation_level=None)
        try:
            with translated(path):
                self._look()
        except BaseException:
            self._database.close()
            raise

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def rows(self) -> Iterator[Row]:
        """Every row, oldest first."""
        with translated(self.path):
            for row in self._database.execute("SELECT id, wanted, put_s, crc, body FROM letters ORDER BY id"):
                yield Row(*row)

    def dead(self, sink: str | None = None) -> Iterator[tuple[int, Dead]]:
        """Every dead letter with its row's number, in the order they died."""
        with translated(self.path):
            for rowid, *values in self._database.execute(
                "SELECT rowid, id, sink, put_s, reason, detail, body FROM dead"
                " WHERE ? IS NULL OR sink = ? ORDER BY rowid",
                (sink, sink),
            ):
                yield rowid, Dead(*values)

    def owed(self, sink: SinkRow) -> tuple[int, float | None]:
        """How many rows a sink is owed, and when the oldest was put."""
        with translated(self.path):
            count, oldest = self._database.execute(
                "SELECT count(*), min(put_s) FROM letters WHERE id > ? AND wanted & ?",
                (sink.cursor, 1 << sink.slot),
            ).fetchone()
        return count, oldest

    def sound(self) -> bool:
        """Whether SQLite finds nothing wrong with the file."""
        with translated(self.path):
            return bool(self._database.execute("PRAGMA integrity_check").fetchone()[0] == "ok")

    def bytes(self) -> int:
        """What rows and books take."""
        with translated(self.path):
            pages, free, size = (
                self._database.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
        return (pages - free) * size  # type: ignore[no-any-return]

    def _look(self) -> None:
        (application,) = self._database.execute("PRAGMA application_id").fetchone()
        if application != APPLICATION_ID:
            raise Fatal(f"{self.path}: is no outbox", expected="the file of [outbox] in edgeml.toml")
        columns = ", ".join(Facts.__slots__)
        facts = self._database.execute(f"SELECT {columns} FROM outbox").fetchone()
        if facts is None:
            raise Corrupt("its books are gone")
        self.facts = Facts(*facts)
        self.figures = figures_of(self.path, self.facts.key)
        self.sinks = []
        for row in self._database.execute("SELECT name, slot, cursor, owed FROM sinks ORDER BY slot"):
            sink = SinkRow(*row)
            lane = self.figures.lanes.get(name_code(sink.name)) if self.figures else None
            sink.cursor = max(sink.cursor, lane.cursor if lane else 0)
            self.sinks.append(sink)


def owed_rows(reading: Reading, sink: str | None) -> Iterator[Row]:
    """Rows that one sink, or any, is owed, oldest first."""
    for row in reading.rows():
        names = [s.name for s in reading.sinks if row.wanted & 1 << s.slot and row.id > s.cursor]
        if names if sink is None else sink in names:
            yield row


def books_of(path: Path) -> Path:
    """Where the crash books of an outbox are."""
    return path.with_name(path.name + ".books")


def figures_of(path: Path, key: bytes | None) -> Figures | None:
    """The crash books of an outbox."""
    try:
        return read_figures(books_of(path).read_bytes(), key)
    except OSError:
        return None


def in_use(path: Path) -> bool:
    """Whether a pipeline holds it."""
    try:
        with books_of(path).open("rb") as books:
            fcntl.flock(books, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def inspect(path: Path) -> dict[str, Any]:
    """What ``edgeml outbox inspect --json`` prints; of a damaged file what can be known all the same."""
    running = in_use(path)
    report: dict[str, Any] = {"file": str(path), "problem": None, "in_use": running, "crashed": False}
    aside = sorted(str(p) for p in path.parent.glob(f"{path.name}.corrupt-*") if p.suffix[-1].isdigit())
    report |= {"rows": None, "bytes": path.stat().st_size if path.exists() else None, "dead": None}
    report |= {"oldest_s": None, "sinks": {}, "damaged_files": aside}
    try:
        with Reading(path) as reading:
            report["crashed"] = bool(reading.figures and reading.figures.left_open and not running)
            report |= {"rows": reading.facts.rows, "bytes": reading.bytes(), "dead": reading.facts.dead}
            for sink in reading.sinks:
                report["sinks"][sink.name] = _inspected(reading, sink)
            ages = [facts["oldest_s"] for facts in report["sinks"].values() if facts["oldest_s"] is not None]
            report["oldest_s"] = max(ages, default=None)
    except Corrupt as error:
        report["problem"] = f"damaged: {error}"
        figures = figures_of(path, None)
        report["crashed"] = bool(figures and figures.left_open and not running)
    return report


def _inspected(reading: Reading, sink: SinkRow) -> dict[str, Any]:
    count, oldest = reading.owed(sink)
    lane = reading.figures.lanes.get(name_code(sink.name)) if reading.figures else None
    age_s = None if oldest is None else max(0.0, reading.facts.clock_s - oldest)
    facts: dict[str, Any] = {"owed": count, "oldest_s": age_s, "cursor": sink.cursor}
    if lane is not None:
        facts["in_memory"] = max(0, lane.offered - lane.settled - count)
        facts["in_flight"] = lane.held
    return facts
