"""Opening an outbox: what the run before left, and what to do with a database that broke."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Sequence
from pathlib import Path

from edge_sdk.blocks import boottime_s
from edge_sdk.errors import Fatal
from edge_sdk.outbox.books import MOST_LANES, Figures, name_code, read_figures
from edge_sdk.outbox.lanes import Lane
from edge_sdk.outbox.letters import Durability, Recovered
from edge_sdk.outbox.memory import Memory
from edge_sdk.outbox.store import Corrupt, SinkRow, Store

_LOG = logging.getLogger("edgeml")
_PARTS = ("", "-wal", "-shm")


def open_store(path: Path, durability: Durability) -> tuple[Store, Path | None, bool]:
    """The database; where it was moved to if it was damaged; whether this one holds what there was."""
    try:
        store = Store(path, durability)
        return store, None, not store.begun
    except Corrupt as error:
        moved = move_away(path)
        _LOG.error(
            "%s: %s; moved to %s; mend it with: edgeml outbox repair; a new one is begun",
            path, error, moved.name if moved else "nowhere",
        )  # fmt: skip
        return Store(path, durability), moved, False


def move_away(path: Path) -> Path | None:
    """Move a database and its log to the next free ``FILE.corrupt-N``; None when there is nothing to move."""
    number = next(n for n in itertools.count(1) if not path.with_name(f"{path.name}.corrupt-{n}").exists())
    to = path.with_name(f"{path.name}.corrupt-{number}")
    moved = None
    for part in _PARTS:
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + part).rename(to.with_name(to.name + part))
            moved = to
    return moved


def recover(
    memory: Memory, store: Store, sinks: Sequence[str], books: bytes, state: tuple[Path | None, bool]
) -> tuple[Recovered, float]:
    """Fill the lanes with what earlier runs owe; also what was found, and the outbox's clock, s.

    Args:
        memory: without lanes yet.
        store: the database.
        sinks: those of this run.
        books: content of the crash books' file.
        state: where a damaged database was moved to, and whether this one holds what there was.
    """
    quarantined, found = state
    figures = read_figures(books, store.facts.key if found else None)
    lanes = _lanes(memory, store, sinks)
    cursors = {lane: _cursor(store.sinks.get(lane.name), figures, lane.name) for lane in lanes}
    last_id = max(
        store.facts.last_id,
        figures.last_id if figures else 0,
        *(cursor or 0 for cursor in cursors.values()),
        0,
    )
    owed = _advance(store, lanes, {lane: last_id if c is None else c for lane, c in cursors.items()}, last_id)
    memory.lanes = [lane for lane in lanes if lane.name in sinks or owed[lane]]
    memory.last_id, memory.first_id = last_id, last_id + 1
    memory.used_bytes = store.used_bytes
    lost, redelivering = {}, {}
    for lane in memory.lanes:
        cursor = cursors[lane]
        lane.recover(last_id if cursor is None else cursor, last_id, owed[lane])
        before = figures.lanes.get(name_code(lane.name)) if figures else None
        if before is None:
            continue
        missing = max(0, before.offered - before.settled - owed[lane])
        if found:
            lost[lane.name] = missing
        else:  # they were in the database that is no more
            if missing:
                lane.account.carried += missing
                lane.account.dropped["corrupt"] += missing
        redelivering[lane.name] = min(before.held, owed[lane])
    memory.begin(store.facts.key)
    return Recovered(
        carried={lane.name: lane.account.carried for lane in memory.lanes},
        lost_in_crash={name: count for name, count in lost.items() if count},
        redelivering={name: count for name, count in redelivering.items() if count},
        quarantined=quarantined,
    ), _clock_s(store)


def _lanes(memory: Memory, store: Store, sinks: Sequence[str]) -> list[Lane]:
    """A lane for each sink, of this run or of before; each has a bit of its own."""
    slots = {name: sink.slot for name, sink in store.sinks.items()}
    free = (slot for slot in range(MOST_LANES) if slot not in set(slots.values()))
    for name in sinks:
        if name not in slots:
            slot = next(free, None)
            if slot is None:
                raise Fatal(
                    f"{store.path}: too many sinks",
                    expected=f"at most {MOST_LANES}, those of before that are owed something included",
                    remedy=f"deliver what waits: edgeml outbox replay {store.path} --to URL",
                )
            slots[name] = slot
    return [Lane(name, slot, memory) for name, slot in sorted(slots.items(), key=lambda item: item[1])]


def _cursor(sink: SinkRow | None, figures: Figures | None, name: str) -> int | None:
    """Up to where a sink is settled; None for a new one. The books are never behind after a crash."""
    if sink is None:
        return None
    lane = figures.lanes.get(name_code(name)) if figures else None
    return max(sink.cursor, lane.cursor if lane else 0)


def _advance(store: Store, lanes: Sequence[Lane], cursors: dict[Lane, int], last_id: int) -> dict[Lane, int]:
    """Move the cursors to where the books are, delete what all have passed; returns rows owed by lane.

    Only rows between the last commit and the crash are looked at.
    """
    owed, passed = {}, set()
    for lane in lanes:
        sink = store.sinks.get(lane.name)
        owed[lane] = sink.owed if sink else 0
        for letter_id, wanted in store.between(sink.cursor + 1, cursors[lane]) if sink else ():
            owed[lane] -= bool(wanted & lane.bit)
            if all(letter_id <= cursors[other] for other in lanes if wanted & other.bit):
                passed.add(letter_id)
        owed[lane] = max(0, owed[lane])
    with store.transaction():
        store.delete(passed)
        store.facts.last_id = last_id
        store.save_sinks(SinkRow(lane.name, lane.slot, cursors[lane], owed[lane]) for lane in lanes)
    return owed


def _clock_s(store: Store) -> float:
    """The outbox's clock: time without power does not count, that between runs of one boot does."""
    facts = store.facts
    if facts.boot and facts.boot == boot_id():
        return facts.clock_s + max(0.0, boottime_s() - facts.boot_s)
    return facts.clock_s


def boot_id() -> str:
    """Which boot of the machine this is; empty where it does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
