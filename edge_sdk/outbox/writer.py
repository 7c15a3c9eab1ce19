"""The writer: one thread that commits what is to be on the disk, trims it, and begins anew what broke."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from edge_sdk.backoff import Backoff
from edge_sdk.blocks import boottime_s
from edge_sdk.errors import DeviceError, Retry, one_line
from edge_sdk.outbox.lanes import Lane
from edge_sdk.outbox.letters import Letter
from edge_sdk.outbox.recovery import Gap, Opened, boot_id, move_away, moved_line, note_gaps, open_store
from edge_sdk.outbox.store import SinkRow, Store
from edge_sdk.outbox.verdicts import Corrupt

_LOG = logging.getLogger("edgeml")
#: Rows of one transaction, and about their bytes.
_BATCH_ROWS, _BATCH_BYTES = 1024, 4 << 20
#: With `spill`, what is owed for so many `commit_s` goes to the disk.
SPILL_AFTER = 2.0
#: How often the outbox's clock is saved while rows wait, s.
_CLOCK_S = 600.0
#: The part of `max_bytes` that dead letters may take.
_DEAD_SHARE = 8


@dataclass(slots=True)
class Trimmed:
    """Reason, id and wanted of each row that was deleted, oldest first; ids between them that were not."""

    dropped: list[tuple[str, int, int]] = field(default_factory=list)
    spared: set[int] = field(default_factory=set)


class Writer:
    """Writes what a memory says is to be written, in group commits.

    Args:
        opened: the outbox as it was found.
        served: the lanes of this run.

    Attributes:
        store: the database; None while none can be begun.
        broken: what SQLite found wrong with it.
        written_bytes: payload of this run.
        oldest_s: when the oldest row was put, on the outbox's clock; None without rows.
        finished: the thread has ended.
    """

    def __init__(self, opened: Opened, served: Sequence[Lane]) -> None:
        self.memory = opened.memory
        self.store: Store | None = opened.store
        self._settings, self._path = self.memory.settings, self.memory.settings.file
        self._served = served
        self._base_s = opened.clock_s - boottime_s()
        self.broken: str | None = None
        self.written_bytes = 0
        self.oldest_s: float | None = None
        self.finished = self._done = False
        self._committed_s = self.clock_s()
        self._retry_at_s = 0.0
        self._backoff = Backoff(first_s=min(0.5, self._settings.commit_s))
        self._spilling = opened.store.facts.rows > 0
        self._asked = self._answered = 0
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def clock_s(self) -> float:
        """The outbox's own clock: powered time since the file was begun, about."""
        return self._base_s + boottime_s()

    def enough_rows(self) -> int:
        """How many letters are committed at once."""
        if self._settings.spill and not self._spilling:
            return max(1, self._settings.memory_rows // 2)
        return min(self._settings.commit_rows, self._settings.memory_rows)

    def ring(self) -> None:
        """Commit now; the lock is held."""
        self.memory.urgent = True
        if self.memory.bell.awaited():
            self.memory.bell.wake()

    def sync(self) -> None:
        """Commit, and wait for it; raises `Retry` when it failed."""
        memory = self.memory
        with memory.lock:
            self._asked += 1
            asked, self._retry_at_s = self._asked, 0.0
            self.ring()
            memory.changed.wait_for(lambda: self._answered >= asked or self.finished)
            if memory.problem is not None:
                raise Retry(memory.problem)

    def finish(self) -> None:
        """Commit everything if that can be done, and end."""
        with self.memory.lock:
            self.memory.closing = True
            self.memory.changed.notify_all()
            self.ring()
        self._thread.join()

    def _run(self) -> None:
        """The writer's thread."""
        memory = self.memory
        try:
            while True:
                with memory.lock:
                    wait_s = self._due_in_s()
                    if wait_s is None or wait_s > 0:
                        memory.idle = wait_s is None or wait_s > self._settings.commit_s
                        memory.bell.expect()
                    elif wait_s < 0:
                        return
                if wait_s is None or wait_s > 0:
                    memory.bell.sleep(wait_s)
                else:
                    self._commit()
        except Exception:
            _LOG.exception("%s: the writer failed", self._path)
            raise
        finally:
            with memory.lock:
                self.finished = True
                memory.problem = memory.problem or ("the writer ended" if not memory.closing else None)
                memory.changed.notify_all()

    def _due_in_s(self) -> float | None:
        """When to commit: 0 now, None never, less than 0 when everything is done."""
        memory, settings = self.memory, self._settings
        now = self.clock_s()
        if memory.closing:
            return -1.0 if self._done else 0.0
        if memory.problem is not None and now < self._retry_at_s:
            return self._retry_at_s - now
        if memory.urgent or self.broken is not None or self.store is None:
            return 0.0
        due = []
        if memory.fresh:
            if len(memory.fresh) >= self.enough_rows():
                return 0.0
            windows = SPILL_AFTER if settings.spill and not self._spilling else 1.0
            due.append(next(iter(memory.fresh.values())).put_s + windows * settings.commit_s)
        if memory.moved:
            due.append(self._committed_s + settings.commit_s)
        if self.store.facts.rows:
            due.append(self._committed_s + _CLOCK_S)
            if settings.max_age_s is not None and self.oldest_s is not None:
                due.append(max(self.oldest_s + settings.max_age_s, self._committed_s + settings.commit_s))
        return max(0.0, min(due) - now) if due else None

    def _commit(self) -> None:
        """One transaction with all that is to be written, or a problem."""
        memory = self.memory
        with memory.lock:
            asked, memory.urgent, memory.moved = self._asked, False, False
            batch = _first(memory.fresh.values())
            memory.writing = batch[-1].id if batch else memory.writing
            deletions, memory.deletions = memory.deletions, []
            dead, memory.dead = memory.dead, []
            sinks = [SinkRow(lane.name, lane.slot, max(0, lane.low - 1), len(lane)) for lane in memory.lanes]
            for letter in itertools.islice(memory.fresh.values(), len(batch), None):
                for lane, sink in zip(memory.lanes, sinks, strict=True):
                    sink.owed -= bool(letter.wanted & lane.bit) and not lane.passed(letter.id, lane.low)
            last_id = memory.last_id
            more = len(batch) < len(memory.fresh)
        try:
            store = self._usable_store()
            with store.transaction():
                written = store.insert(batch)
                store.delete(deletions)
                store.bury(dead, self._settings.max_bytes // _DEAD_SHARE)
                trimmed = self._trim(store, sinks)
                store.save_sinks(sinks)
                store.facts.last_id = last_id
                self._stamp(store)
        except Corrupt as error:
            with memory.lock:
                memory.dead[:0] = dead
            self._begin_anew(str(error))
        except DeviceError as error:
            with memory.lock:
                memory.deletions[:0] = deletions
                memory.dead[:0] = dead
                memory.moved = True
            self._note_problem(error, asked)
        else:
            self.written_bytes += written
            self._note_commit(store, batch, trimmed, asked if not more else -1)
        memory.announce()

    def _note_commit(self, store: Store, batch: Sequence[Letter], trimmed: Trimmed, asked: int) -> None:
        memory = self.memory
        oldest = store.oldest(0, 1)
        with memory.lock:
            if memory.problem is not None:
                _LOG.warning("%s: written again", self._path)
            memory.problem, memory.stalled = None, False
            woken = memory.stored(batch)
            for reason, rows in itertools.groupby(trimmed.dropped, key=lambda row: row[0]):
                memory.drop([(letter_id, wanted) for _, letter_id, wanted in rows], reason, trimmed.spared)
            memory.used_bytes = store.used_bytes
            self.oldest_s = oldest[0][2] if oldest else None
            self._spilling = store.facts.rows > 0
            self._committed_s = self.clock_s()
            self._answered = max(self._answered, asked)
            if self._answered < self._asked:
                memory.urgent = True
            elif memory.closing and not memory.fresh:
                self._done = True
            memory.changed.notify_all()
        self._backoff.reset()
        for lane in woken:
            lane.bell.wake()

    def _note_problem(self, error: DeviceError, asked: int) -> None:
        memory = self.memory
        delay_s = self._backoff.delay_s()
        with memory.lock:
            if memory.problem is None:
                _LOG.warning("%s; kept in memory, trying again", one_line(error))
            memory.problem = one_line(error)
            self._retry_at_s = self.clock_s() + delay_s
            self._answered = max(self._answered, asked)
            woken = memory.release_held()
            if memory.closing:
                self._done = True
                rows = [(letter.id, letter.wanted) for letter in memory.fresh.values()]
                for lane in memory.lanes:
                    lane.rewind()
                memory.drop(rows, "failed")
            memory.changed.notify_all()
        for lane in woken:
            lane.bell.wake()

    def _usable_store(self) -> Store:
        """The database as it should be; begins one where it could not be before."""
        if self.store is None:
            self.store, _, _ = open_store(self._path, self._settings.durability)
            with self.memory.lock:
                self.memory.begin(self.store.facts.key)
        if self.broken is not None:
            raise Corrupt(self.broken)
        if not self.store.in_place:
            raise Corrupt("it was moved or deleted")
        return self.store

    def _begin_anew(self, why: str) -> None:
        """The database broke: move it away; the next commit begins another."""
        store, self.store, self.broken = self.store, None, None
        if store is not None:
            store.close()
        memory = self.memory
        with memory.lock:
            owed = {lane: lane.on_disk for lane in memory.lanes}
            lost = memory.lose_disk("corrupt")
            memory.problem = f"{self._path}: {why}"
            self._retry_at_s = self.clock_s() + (0.0 if memory.closing else self._backoff.delay_s())
        moved = move_away(self._path)
        if moved:
            note_gaps(moved, {lane.name: Gap(lane.slot, *ids, owed[lane]) for lane, ids in lost.items()})
        _LOG.error("%s", moved_line(self._path, why, moved))

    def _trim(self, store: Store, sinks: Sequence[SinkRow]) -> Trimmed:
        """Delete what is too old or too much, oldest first, but nothing that a sink is working on."""
        settings, memory, trimmed = self._settings, self.memory, Trimmed()
        too_old_s = float("-inf") if settings.max_age_s is None else self.clock_s() - settings.max_age_s
        with memory.lock:
            busy = set().union(*(lane.works_on() for lane in self._served))
            lows = [(lane.bit, lane.low) for lane in self._served]
        oldest_first = settings.when_full == "drop_oldest"
        former = any(lane.on_disk for lane in memory.lanes if lane not in self._served)
        too_much = (oldest_first or former) and store.measure() > settings.max_bytes
        after = 0
        while rows := store.oldest(after, 64):
            if not too_much and rows[0][2] > too_old_s:
                break
            chunk = []
            for letter_id, wanted, put_s in rows:
                served = any(wanted & bit and letter_id >= low for bit, low in lows)
                if letter_id not in busy and put_s <= too_old_s:
                    chunk.append(("max_age", letter_id, wanted))
                elif letter_id not in busy and too_much and (oldest_first or not served):
                    chunk.append(("quota", letter_id, wanted))
                else:
                    trimmed.spared.add(letter_id)
            store.delete(letter_id for _, letter_id, _ in chunk)
            trimmed.dropped += chunk
            after = rows[-1][0]
            too_much = too_much and store.measure() > settings.max_bytes
        for lane, sink in zip(memory.lanes, sinks, strict=True):
            sink.owed -= sum(bool(wanted & lane.bit) and i > sink.cursor for _, i, wanted in trimmed.dropped)
        return trimmed

    def _stamp(self, store: Store) -> None:
        facts = store.facts
        facts.clock_s, facts.boot, facts.boot_s = self.clock_s(), boot_id(), boottime_s()


def _first(letters: Iterable[Letter]) -> list[Letter]:
    """Those of one transaction."""
    batch, size = [], 0
    for letter in letters:
        batch.append(letter)
        size += letter.size
        if len(batch) == _BATCH_ROWS or size > _BATCH_BYTES:
            break
    return batch
