"""Brings rows of damaged databases back into the outbox that was begun in their place."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge_sdk.errors import Fatal
from edge_sdk.outbox.books import Books, LaneFigures, name_code, read_figures
from edge_sdk.outbox.letters import Dead
from edge_sdk.outbox.reading import Reading
from edge_sdk.outbox.recovery import Gap, move_away, note_gaps, open_books, open_store, read_gaps
from edge_sdk.outbox.salvage import salvage
from edge_sdk.outbox.store import Corrupt, Store

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
            _put_aside_if_damaged(outbox)
        done = Repaired()
        sources = [path] if aside else _put_aside(outbox)
        if sources:
            store, _, _ = open_store(outbox, "batch")
            try:
                _bring_back(store, books, sources, done)
                store.tidy()
            finally:
                store.close()
        for source in sources:
            moved = move_away(source, source.with_name(f"{outbox.name}.repaired"))
            done.files.append(str(moved))
        return done
    finally:
        books.close(remove=not outbox.exists())


def _put_aside(outbox: Path) -> list[Path]:
    found = outbox.parent.glob(f"{outbox.name}.corrupt-*")
    return sorted(
        (p for p in found if p.name.rpartition("-")[2].isdigit()), key=lambda p: (len(p.name), p.name)
    )


def _put_aside_if_damaged(outbox: Path) -> None:
    """Read all of it, and move it away where SQLite or a checksum calls it damaged."""
    gaps: dict[str, Gap] = {}
    try:
        with Reading(outbox) as reading:
            last_id = max(reading.facts.last_id, reading.figures.last_id if reading.figures else 0)
            gaps = {s.name: Gap(s.slot, s.cursor + 1, last_id + 1, s.owed) for s in reading.sinks}
            if all(row.intact for row in reading.rows()) and reading.sound():
                return
    except Corrupt as error:
        _LOG.warning("%s: %s", outbox, error)
    moved = move_away(outbox)
    if moved and gaps:
        note_gaps(moved, gaps)


def _bring_back(store: Store, books: Books, sources: Sequence[Path], done: Repaired) -> None:
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
