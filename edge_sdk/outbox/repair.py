"""Brings rows of damaged databases back into the outbox that was begun in their place."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge_sdk.errors import Fatal
from edge_sdk.outbox.books import MOST_LANES, Books, Figures, LaneFigures, name_code, read_figures
from edge_sdk.outbox.letters import Dead, checksum
from edge_sdk.outbox.reading import Reading
from edge_sdk.outbox.recovery import Gap, move_away, note_gaps, open_books, read_gaps
from edge_sdk.outbox.salvage import salvage, salvage_names
from edge_sdk.outbox.store import Row, SinkRow, Store
from edge_sdk.outbox.verdicts import Corrupt

_LOG = logging.getLogger("edgeml")
#: For a damaged file of which nobody knows what was owed.
_ALL = 1 << 62


@dataclass(slots=True)
class Repaired:
    """What became of damaged databases.

    Attributes:
        files: that were read, by the names that they have now.
        salvaged: rows that are in the outbox again, by sink.
        missing: rows that a sink was owed and that are in none of them; less than 0 where more were found
            than anybody knew of.
        dead: dead letters that were found.
    """

    files: list[str] = field(default_factory=list)
    salvaged: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    dead: int = 0


class Mending(Store):
    """A database whose rows and cursors are set right."""

    def add_sink(self, name: str, slot: int) -> None:
        """A sink that may be there already, with its own bit where that is free."""
        taken = {sink.slot for sink in self.sinks.values()}
        if name not in self.sinks:
            slot = slot if slot not in taken else next(n for n in range(MOST_LANES) if n not in taken)
            self.save_sinks([SinkRow(name, slot, self.facts.last_id, 0)])

    def settle_passed(self) -> None:
        """Take the bits of sinks that have passed a row out of it, so that cursors can go back."""
        for letter_id, wanted, put_s, body in self._writer.execute(
            "SELECT id, wanted, put_s, body FROM letters WHERE id <= ?",
            (max((sink.cursor for sink in self.sinks.values()), default=0),),
        ).fetchall():
            sinks = self.sinks.values()
            owed = wanted & ~sum(1 << sink.slot for sink in sinks if letter_id <= sink.cursor)
            self._writer.execute(
                "UPDATE letters SET wanted = ?, crc = ? WHERE id = ?",
                (owed, checksum(letter_id, owed, put_s, body), letter_id),
            )

    def owe(self, row: Row, bit: int) -> bool:
        """Owe a row to a sink; False when it is owed already."""
        found = self._writer.execute("SELECT wanted FROM letters WHERE id = ?", (row.id,)).fetchone()
        wanted = found[0] if found else 0
        if wanted & bit:
            return False
        self._writer.execute(
            "INSERT OR REPLACE INTO letters VALUES (?, ?, ?, ?, ?)",
            (row.id, wanted | bit, row.put_s, checksum(row.id, wanted | bit, row.put_s, row.body), row.body),
        )
        return True

    def recount(self) -> None:
        """Make cursors and counts of what the rows say."""
        execute = self._writer.execute
        execute("DELETE FROM letters WHERE wanted = 0")
        self.facts.rows, newest = execute("SELECT count(*), coalesce(max(id), 0) FROM letters").fetchone()
        self.facts.last_id = max(self.facts.last_id, newest)
        for sink in list(self.sinks.values()):
            oldest, owed = execute(
                "SELECT min(id), count(*) FROM letters WHERE wanted & ?", (1 << sink.slot,)
            ).fetchone()
            cursor = self.facts.last_id if oldest is None else oldest - 1
            self.save_sinks([SinkRow(sink.name, sink.slot, cursor, owed)])


def repair(path: Path) -> Repaired:
    """Put aside a damaged outbox, and salvage what was put aside.

    Args:
        path: the outbox, or one damaged file ``FILE.corrupt-N`` of it.

    Raises:
        Retry: a pipeline uses it.
        Fatal: nothing of that name.
    """
    name, aside, _ = path.name.partition(".corrupt-")
    outbox = path.with_name(name)
    if not path.exists() and not _put_aside(outbox):
        raise Fatal(f"{path}: no such outbox", expected="the file of [outbox] in edgeml.toml")
    books = open_books(outbox)
    try:
        if outbox.exists() and not aside:
            _put_aside_if_damaged(outbox, books.found)
        done = Repaired()
        sources = [path] if aside else _put_aside(outbox)
        if sources:
            store = Mending(outbox, "batch")
            try:
                _bring_back(store, books, sources, done)
                store.tidy()
            finally:
                store.close()
        for source in sources:
            moved = move_away(source, source.with_name(f"{outbox.name}.repaired"))
            done.files.append(str(moved))
        return done
    except Corrupt as error:
        remedy = f"first: edgeml outbox repair {outbox}"
        raise Fatal(f"{outbox}: is damaged too", found=error, remedy=remedy) from error
    finally:
        books.close(remove=not books.figures and not books.found)


def _put_aside(outbox: Path) -> list[Path]:
    found = outbox.parent.glob(f"{outbox.name}.corrupt-*")
    return sorted(
        (p for p in found if p.name.rpartition("-")[2].isdigit()), key=lambda p: (len(p.name), p.name)
    )


def _put_aside_if_damaged(outbox: Path, books: bytes) -> None:
    """Read all of it, and move it away where SQLite or a checksum calls it damaged."""
    figures = read_figures(books, None)
    try:
        with Reading(outbox) as reading:
            last_id = max(reading.facts.last_id, reading.figures.last_id if reading.figures else 0)
            gaps = {s.name: Gap(s.slot, s.cursor + 1, last_id + 1, s.owed) for s in reading.sinks}
            if all(row.intact for row in reading.rows()) and reading.sound():
                return
    except Corrupt as error:
        if figures is None:
            raise Fatal(
                f"{outbox}: is no outbox", found=error, expected="its crash books beside it"
            ) from error
        _LOG.warning("%s: %s", outbox, error)
        gaps = _remembered(outbox, figures)
    moved = move_away(outbox)
    if moved:
        note_gaps(moved, gaps)


def _remembered(outbox: Path, figures: Figures) -> dict[str, Gap]:
    """What the crash books say that each sink is owed; they know a name when they see it."""
    gaps = {}
    for name in salvage_names(outbox):
        lane = figures.lanes.get(name_code(name))
        if lane is not None:
            owed = max(0, lane.offered - lane.settled)
            gaps[name] = Gap(lane.slot, lane.cursor + 1, figures.last_id + 1, owed)
    return gaps


def _bring_back(store: Mending, books: Books, sources: Sequence[Path], done: Repaired) -> None:
    figures = read_figures(books.found, None)
    known = figures if figures and figures.key == store.facts.key else None
    with store.transaction():
        store.facts.last_id = max(store.facts.last_id, figures.last_id if figures else 0)
        for sink in list(store.sinks.values()):
            lane = known.lanes.get(name_code(sink.name)) if known else None
            store.save_sinks([replace(sink, cursor=max(sink.cursor, lane.cursor if lane else 0))])
        store.settle_passed()
        for source in sources:
            gaps = read_gaps(source)
            gaps = _guessed(store, source) if gaps is None else gaps
            for name, gap in gaps.items():
                store.add_sink(name, gap.slot)
                done.missing[name] += gap.owed
            for row in salvage(source):
                names = [name for name, gap in gaps.items() if gap.covers(row)]
                for name in names:
                    if store.owe(row, 1 << store.sinks[name].slot):
                        done.salvaged[name] += 1
            dead = _dead_of(source)
            store.bury(dead, sum(len(letter.body) for letter in dead) + store.facts.dead_bytes)
            done.dead += len(dead)
        store.recount()
    done.missing = Counter({name: n - done.salvaged[name] for name, n in done.missing.items()})
    lanes = [(s.name, LaneFigures(s.owed, 0, s.cursor, 0, s.slot)) for s in store.sinks.values()]
    books.begin(store.facts.key, store.facts.last_id, lanes)


def _guessed(store: Store, source: Path) -> dict[str, Gap]:
    """Where nobody noted what was owed: what the file itself says, or everything to everybody."""
    try:
        with Reading(source) as reading:
            return {s.name: Gap(s.slot, s.cursor + 1, _ALL, s.owed) for s in reading.sinks}
    except Corrupt:
        return {s.name: Gap(s.slot, 0, _ALL, 0) for s in store.sinks.values()}


def _dead_of(source: Path) -> list[Dead]:
    """Dead letters, as far as SQLite reads them."""
    dead: list[Dead] = []
    try:
        with Reading(source) as reading:
            dead.extend(letter for _, letter in reading.dead())
    except Corrupt as error:
        _LOG.warning("%s: dead letters: %s", source, error)
    return dead
