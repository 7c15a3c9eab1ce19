"""Opening an outbox: what the run before left, and what to do with a database that broke."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from edge_sdk.blocks import boottime_s
from edge_sdk.errors import Fatal, Retry
from edge_sdk.outbox.books import MOST_LANES, Books, Figures, name_code, read_figures
from edge_sdk.outbox.lanes import Lane
from edge_sdk.outbox.letters import Durability, OutboxSettings, Recovered
from edge_sdk.outbox.memory import Memory
from edge_sdk.outbox.store import Row, SinkRow, Store
from edge_sdk.outbox.verdicts import Corrupt

_LOG = logging.getLogger("edgeml")
#: Ids that are left out after a database was lost.
_ID_LEAP = 1 << 32
_PARTS = ("", "-wal", "-shm", ".json")


def open_store(path: Path, durability: Durability) -> tuple[Store, Path | None, bool]:
    """The database; where it was moved to if it was damaged; whether this one holds what there was."""
    try:
        store = Store(path, durability)
        return store, None, not store.begun
    except Corrupt as error:
        moved = move_away(path)
        _LOG.error("%s", moved_line(path, str(error), moved))
        return Store(path, durability), moved, False


def move_away(path: Path, to: Path | None = None) -> Path | None:
    """Move a database and its log to the next free ``FILE.corrupt-N``; None when there is nothing to move."""
    to = to or path.with_name(f"{path.name}.corrupt")
    number = next(n for n in itertools.count(1) if not to.with_name(f"{to.name}-{n}").exists())
    target = to.with_name(f"{to.name}-{number}")
    moved = None
    for part in _PARTS:
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + part).rename(target.with_name(target.name + part))
            moved = target
    return moved


def moved_line(path: Path, why: str, moved: Path | None) -> str:
    """What a person is told about a damaged database."""
    where = f"moved to {moved.name}; mend it with: edgeml outbox repair {path}" if moved else "it is gone"
    return f"{path}: {why}; {where}; a new one is begun"


@dataclass(frozen=True, slots=True)
class Gap:
    """What a sink lost with a damaged database: `owed` rows of its bit, from one id to before another."""

    slot: int
    first: int
    until: int
    owed: int

    def covers(self, row: Row) -> bool:
        """Whether a row is one of them."""
        return bool(row.wanted >> self.slot & 1) and self.first <= row.id < self.until


def note_gaps(moved: Path, gaps: Mapping[str, Gap]) -> None:
    """Write beside a damaged database what is missed, for `edgeml outbox repair`."""
    notes = {name: astuple(gap) for name, gap in gaps.items() if gap.first < gap.until}
    try:
        moved.with_name(moved.name + ".json").write_text(json.dumps(notes) + "\n", encoding="utf-8")
    except OSError as error:  # repair salvages too much then
        _LOG.warning("%s: %s", moved, error)


def read_gaps(moved: Path) -> dict[str, Gap] | None:
    """What `note_gaps` wrote; None where there is nothing that can be read."""
    try:
        notes = json.loads(moved.with_name(moved.name + ".json").read_text(encoding="utf-8"))
        return {name: Gap(*map(int, values)) for name, values in notes.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None


@dataclass(frozen=True, slots=True)
class Opened:
    """An outbox as it was found: `clock_s` is its own clock, s."""

    store: Store
    memory: Memory
    recovered: Recovered
    clock_s: float


def open_outbox(
    settings: OutboxSettings, sinks: Sequence[str], books: Books, on_lost: Callable[[int], None]
) -> Opened:
    """Open the database, or begin one, and fill the lanes with what earlier runs owe.

    Raises:
        Fatal: it cannot work.
        Retry: it cannot work now.
    """
    path = settings.file
    store, quarantined, found = open_store(path, settings.durability)
    for _ in range(2):
        memory = Memory(settings, books, on_lost)
        try:
            recovered = _recover(memory, store, sinks, books.found, (quarantined, found))
            return Opened(store, memory, recovered, _clock_s(store))
        except Corrupt as error:  # SQLite looks at a page when it needs it
            store.close()
            quarantined, found = move_away(path), False
            _LOG.error("%s", moved_line(path, str(error), quarantined))
            store = Store(path, settings.durability)
        except BaseException:
            store.close()
            raise
    raise Fatal(f"{path}: what is written cannot be read", remedy="use another disk")


def _recover(
    memory: Memory, store: Store, sinks: Sequence[str], books: bytes, state: tuple[Path | None, bool]
) -> Recovered:
    """Fill a memory with lanes.

    Args:
        memory: without lanes yet.
        store: the database.
        sinks: those of this run.
        books: content of the crash books' file.
        state: where a damaged database was moved to, and whether this one holds what there was.
    """
    quarantined, found = state
    figures = read_figures(books, store.facts.key if found else None)
    lanes = _lanes(memory, store, sinks, figures)
    cursors = {lane: _cursor(store.sinks.get(lane.name), figures, lane.name) for lane in lanes}
    last_id = max(
        store.facts.last_id,
        figures.last_id if figures else 0,
        *(cursor or 0 for cursor in cursors.values()),
        0,
    )
    if not found and last_id:  # the books may be old: ids of what was lost must never come again
        last_id += _ID_LEAP
    settled = {lane: last_id if cursor is None else cursor for lane, cursor in cursors.items()}
    owed = _advance(store, sinks, lanes, settled, last_id)
    memory.lanes = [lane for lane in lanes if lane.name in sinks or owed[lane]]
    memory.last_id, memory.first_id = last_id, last_id + 1
    memory.used_bytes = store.used_bytes
    lost, redelivering, gaps = {}, {}, {}
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
            gaps[lane.name] = Gap(lane.slot, before.cursor + 1, last_id + 1, missing)
            if missing:
                gone = "%s: %d predictions for %s were on a database that is gone"
                _LOG.error(gone, store.path, missing, lane.name)
                lane.account.carried += missing
                lane.account.dropped["corrupt"] += missing
        redelivering[lane.name] = min(before.held, owed[lane])
    if quarantined:
        note_gaps(quarantined, gaps)
    memory.begin(store.facts.key)
    return Recovered(
        carried={lane.name: lane.account.carried for lane in memory.lanes},
        lost_in_crash={name: count for name, count in lost.items() if count},
        redelivering={name: count for name, count in redelivering.items() if count},
        quarantined=quarantined,
    )


def _lanes(memory: Memory, store: Store, sinks: Sequence[str], figures: Figures | None) -> list[Lane]:
    """A lane for each sink, of this run or of before; each has a bit of its own, the same as ever."""
    slots = {name: sink.slot for name, sink in store.sinks.items()}
    for name in sinks:
        before = figures.lanes.get(name_code(name)) if figures else None
        if before and name not in slots and before.slot not in slots.values() and before.slot < MOST_LANES:
            slots[name] = before.slot
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


def _advance(
    store: Store, sinks: Sequence[str], lanes: Sequence[Lane], cursors: dict[Lane, int], last_id: int
) -> dict[Lane, int]:
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
        for lane in lanes:
            if lane.name not in sinks and not owed[lane]:
                store.forget_sink(lane.name)
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


def open_books(path: Path) -> Books:
    """The crash books of an outbox, and with them the right to write it; raises `Retry` or `Fatal`."""
    if not path.parent.is_dir():
        raise Fatal(f"{path}: no such folder", remedy=f"create the folder first: mkdir -p {path.parent}")
    try:
        return Books(path.with_name(path.name + ".books"))
    except BlockingIOError as error:
        raise Retry(
            f"{path}: another process uses it", remedy="give each pipeline an outbox of its own"
        ) from error
    except OSError as error:
        passes = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE}
        raise (Retry if passes else Fatal)(
            f"{path}: cannot be written", found=os.strerror(error.errno or 0)
        ) from error
