"""The outbox: memory in front, a database behind, one thread that writes in group commits."""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from edge_sdk.backoff import Backoff
from edge_sdk.blocks import boottime_s
from edge_sdk.closing import Closing
from edge_sdk.errors import DeviceError, Fatal, Retry, one_line
from edge_sdk.outbox.books import Books
from edge_sdk.outbox.lanes import Lane
from edge_sdk.outbox.letters import Dead, Letter, OutboxSettings, decode, size_of
from edge_sdk.outbox.memory import Memory, Page
from edge_sdk.outbox.recovery import boot_id, move_away, open_store, recover
from edge_sdk.outbox.store import Corrupt, SinkRow, Store
from edge_sdk.prediction import Prediction
from edge_sdk.snapshot import OutboxState

_LOG = logging.getLogger("edgeml")
#: Rows of one transaction, and about their bytes.
_BATCH_ROWS, _BATCH_BYTES = 1024, 4 << 20
#: With `spill`, what is owed for so many `commit_s` goes to the disk.
SPILL_AFTER = 2.0
#: How long `put` waits for a disk that works when memory is full, s.
_PATIENCE_S = 1.0
#: How often the outbox's clock is saved while rows wait, s.
_CLOCK_S = 600.0
#: The part of `max_bytes` that dead letters may take.
_DEAD_SHARE = 8


class Outbox(Closing):
    """Keeps predictions until every sink that wants them has them.

    Args:
        settings: where and how.
        sinks: names; those of earlier runs that are missing keep what they are owed, up to the quotas.
        on_lost: told, from any thread, how many predictions of this session were newly lost.

    Attributes:
        lanes: one a sink, in the order of `sinks`.
        recovered: what earlier runs left.

    Raises:
        Fatal: no such folder, no permission, somebody else's database.
        Retry: another process uses it, the disk is full or fails.
    """

    def __init__(
        self, settings: OutboxSettings, sinks: Sequence[str], on_lost: Callable[[int], None] = lambda _: None
    ) -> None:
        self.settings, self.path = settings, settings.file
        books = _open_books(self.path)
        try:
            self._store: Store | None
            self._store, quarantined, found = open_store(self.path, settings.durability)
            try:
                self._memory = Memory(settings, books, on_lost)
                self._memory.read = self._read
                self._clock_base = 0.0
                self.recovered, clock_s = recover(
                    self._memory, self._store, sinks, books.found, (quarantined, found)
                )
            except BaseException:
                self._store.close()
                raise
        except Corrupt as error:
            books.close(remove=not books.found)
            raise Fatal(f"{self.path}: cannot be used", found=error) from error
        except BaseException:
            books.close(remove=not books.found)
            raise
        self._clock_base = clock_s - boottime_s()
        self._books = books
        by_name = {lane.name: lane for lane in self._memory.lanes}
        self.lanes: tuple[Lane, ...] = tuple(by_name[name] for name in sinks)
        self._written_bytes = 0
        self._oldest_s: float | None = None
        self._broken: str | None = None
        self._committed_s = self._clock()
        self._retry_at_s = 0.0
        self._backoff = Backoff(first_s=min(0.5, settings.commit_s))
        self._spilling = self._store.facts.rows > 0
        self._asked = self._answered = 0
        self._done = self._finished = self._closed = False
        self._writer = threading.Thread(target=self._write, name="outbox", daemon=True)
        self._writer.start()

    def put(self, prediction: Prediction, arrived_s: float | None, lanes: Sequence[Lane]) -> Letter | None:
        """Take a prediction for some sinks; they can take it at once.

        Returns at once, save with ``each`` (after the commit), with ``block`` (when there is room), and for
        at most a second when memory fills faster than a working disk takes it.

        Returns:
            None when it was refused; it is counted then.
        """
        memory = self._memory
        size = size_of(prediction)
        with memory.lock:
            reason = None if self._has_room(size) else self._wait_for_room(size)
            if reason is None:
                letter = Letter(memory.last_id + 1, prediction, arrived_s, put_s=self._clock(), size=size)
                held = self.settings.durability == "each" and memory.problem is None
                woken = memory.add(letter, lanes, held)
                ring = self._is_due(held) and memory.bell.awaited()
            else:
                memory.refuse(lanes, reason)
        if reason is not None:
            memory.announce()
            return None
        for lane in woken:
            lane.bell.wake()
        if ring:
            memory.bell.wake()
        if held:
            self._wait_for_commit(letter)
        elif memory.lost:
            memory.announce()
        return letter

    def note_lost(self, letter: Letter) -> bool:
        """A direct sink gave up the same prediction: it is not queued any more; False when it was lost."""
        with self._memory.lock:
            return self._memory.note_lost(letter)

    def owes(self, letter: Letter) -> bool:
        """Whether a sink is still to have it."""
        with self._memory.lock:
            return self._memory.owes(letter)

    def owed(self) -> int:
        """Predictions of this session that are not lost and that a sink is still to have."""
        return self._memory.owed

    def lost(self) -> int:
        """Predictions of this session that were lost here; what `on_lost` was told adds up to it."""
        return self._memory.lost

    def state(self) -> OutboxState:
        """What waits, for people; from any thread."""
        memory, store = self._memory, self._store
        with memory.lock:
            oldest_s = self._oldest_s
            if oldest_s is None and memory.fresh:
                oldest_s = next(iter(memory.fresh.values())).put_s
            return OutboxState(
                file=str(self.path),
                rows=store.facts.rows if store else 0,
                bytes=memory.used_bytes,
                max_bytes=self.settings.max_bytes,
                written_bytes=self._written_bytes,
                oldest_s=None if oldest_s is None else max(0.0, self._clock() - oldest_s),
                dead=store.facts.dead if store else 0,
                problem=memory.problem,
            )

    def sync(self) -> None:
        """Commit everything that was put so far, and the cursors.

        Raises:
            Retry: the disk cannot be written now.
        """
        memory = self._memory
        with memory.lock:
            if self._finished:
                return
            self._asked += 1
            asked, memory.urgent, self._retry_at_s = self._asked, True, 0.0
        memory.announce()
        with memory.lock:
            memory.changed.wait_for(lambda: self._answered >= asked or self._finished)
            if memory.problem is not None:
                raise Retry(memory.problem)

    def close(self, *, discard_empty: bool = False) -> None:
        """Commit, and stop; what is owed stays on the disk for the next run. May be called twice.

        Args:
            discard_empty: remove the files when nothing waits in them.
        """
        memory = self._memory
        with memory.lock:
            memory.closing = memory.urgent = True
            memory.changed.notify_all()
        memory.announce()
        self._writer.join()
        for lane in memory.lanes:
            lane.close()
        store = self._store
        if store is None or self._closed:
            self._books.close()
            return
        self._closed = True
        empty = discard_empty and not store.facts.rows and not store.facts.dead and memory.problem is None
        try:
            store.tidy()
        except (Corrupt, DeviceError) as error:
            _LOG.warning("%s: %s", self.path, one_line(error))
        store.close()
        if empty:
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(OSError):
                    self.path.with_name(self.path.name + suffix).unlink()
        self._books.close(remove=empty)

    def _clock(self) -> float:
        """The outbox's own clock: s of powered time since the file was begun, about."""
        return self._clock_base + boottime_s()

    def _has_room(self, size: int) -> bool:
        memory, settings = self._memory, self.settings
        if memory.closing or size * 2 > settings.max_bytes:
            return False
        quota = settings.when_full == "drop_oldest" or (
            memory.used_bytes + memory.fresh_bytes + size <= settings.max_bytes
        )
        return quota and memory.make_room()

    def _wait_for_room(self, size: int) -> str | None:
        """Room as `when_full` says; the reason where there is none."""
        memory, policy = self._memory, self.settings.when_full
        if not memory.closing and size * 2 <= self.settings.max_bytes:
            patience_s = None if policy == "block" else _PATIENCE_S if memory.problem is None else 0.0
            deadline = None if patience_s is None else time.monotonic() + patience_s
            full_of_bytes = policy == "drop_newest" and memory.make_room()
            while not full_of_bytes and not self._has_room(size) and not memory.closing:
                if memory.problem is not None and policy != "block":
                    break
                self._ring()
                if not memory.changed.wait(
                    None if deadline is None else max(0.0, deadline - time.monotonic())
                ):
                    break
            while policy == "drop_oldest" and not self._has_room(size) and memory.drop_oldest_fresh():
                pass
        if memory.closing:
            return "stopped"
        if self._has_room(size):
            return None
        return "overflow" if not memory.make_room() else "quota"

    def _ring(self) -> None:
        """Have the writer commit now; the lock is held."""
        self._memory.urgent = True
        if self._memory.bell.awaited():
            self._memory.bell.wake()

    def _is_due(self, held: bool) -> bool:
        """Whether the writer must be told of a new letter."""
        memory = self._memory
        if held:
            memory.urgent = True
            return True
        return memory.idle or len(memory.fresh) in {self._enough_rows(), self.settings.commit_rows}

    def _enough_rows(self) -> int:
        if self.settings.spill and not self._spilling:
            return max(1, self.settings.memory_rows // 2)
        return min(self.settings.commit_rows, self.settings.memory_rows)

    def _wait_for_commit(self, letter: Letter) -> None:
        memory = self._memory
        with memory.lock:
            memory.changed.wait_for(
                lambda: letter.id not in memory.fresh or memory.problem is not None or self._finished
            )

    def _read(self, lane: Lane, first: int, until: int, limit: int) -> Page:
        """Rows for a lane, from its own thread."""
        store, epoch = self._store, self._memory.epoch
        if store is None:
            raise Retry(f"{self.path}: cannot be read now")
        try:
            rows = store.read(lane.bit, first, until, limit)
        except Corrupt as error:
            with self._memory.lock:
                if epoch == self._memory.epoch:
                    self._broken = str(error)
                    self._memory.urgent = True
            self._memory.announce()
            raise Retry(f"{self.path}: is damaged", found=error) from error
        except Fatal as error:
            raise Retry(f"{self.path}: cannot be read now", found=error) from error
        letters, damaged = [], []
        for row in rows:
            try:
                if not row.intact:
                    raise ValueError("its checksum does not hold")
                prediction = decode(row.body)
            except ValueError as error:
                damaged.append(Dead(row.id, lane.name, row.put_s, "corrupt", str(error), row.body))
                continue
            letters.append(
                Letter(
                    row.id, prediction, None, current=row.id >= self._memory.first_id,
                    wanted=row.wanted, put_s=row.put_s, size=size_of(prediction),
                )
            )  # fmt: skip
        return letters, damaged, rows[-1].id + 1 if rows else until

    def _write(self) -> None:
        """The writer's thread."""
        memory = self._memory
        try:
            while True:
                with memory.lock:
                    wait_s = self._due_in_s()
                    if wait_s is None or wait_s > 0:
                        memory.idle = wait_s is None or wait_s > self.settings.commit_s
                        memory.bell.expect()
                    elif wait_s < 0:
                        return
                if wait_s is None or wait_s > 0:
                    memory.bell.sleep(wait_s)
                else:
                    self._commit()
        except Exception:
            _LOG.exception("%s: the writer failed", self.path)
            raise
        finally:
            with memory.lock:
                self._finished = True
                memory.problem = memory.problem or ("the writer ended" if not memory.closing else None)
                memory.changed.notify_all()

    def _due_in_s(self) -> float | None:
        """When to commit: 0 now, None never, less than 0 when everything is done."""
        memory, settings = self._memory, self.settings
        now = self._clock()
        if memory.closing:
            return -1.0 if self._done else 0.0
        if memory.problem is not None and now < self._retry_at_s:
            return self._retry_at_s - now
        if memory.urgent or self._broken is not None or self._store is None:
            return 0.0
        due = []
        if memory.fresh:
            if len(memory.fresh) >= self._enough_rows():
                return 0.0
            windows = SPILL_AFTER if settings.spill and not self._spilling else 1.0
            due.append(next(iter(memory.fresh.values())).put_s + windows * settings.commit_s)
        if memory.moved:
            due.append(self._committed_s + settings.commit_s)
        if self._store.facts.rows:
            due.append(self._committed_s + _CLOCK_S)
            if settings.max_age_s is not None and self._oldest_s is not None:
                due.append(max(self._oldest_s + settings.max_age_s, self._committed_s + settings.commit_s))
        return max(0.0, min(due) - now) if due else None

    def _commit(self) -> None:
        """One transaction with all that is to be written, or a problem."""
        memory = self._memory
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
                store.bury(dead, self.settings.max_bytes // _DEAD_SHARE)
                dropped = self._trim(store, sinks)
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
            self._written_bytes += written
            self._note_commit(store, batch, dropped, asked if not more else -1)
        memory.announce()

    def _note_commit(
        self, store: Store, batch: Sequence[Letter], dropped: Sequence[tuple[str, int, int]], asked: int
    ) -> None:
        memory = self._memory
        oldest = store.oldest(0, 1)
        with memory.lock:
            if memory.problem is not None:
                _LOG.warning("%s: written again", self.path)
            memory.problem = None
            woken = memory.stored(batch)
            for reason, rows in itertools.groupby(dropped, key=lambda row: row[0]):
                memory.drop([(letter_id, wanted) for _, letter_id, wanted in rows], reason)
            memory.used_bytes = store.used_bytes
            self._oldest_s = oldest[0][2] if oldest else None
            self._spilling = store.facts.rows > 0
            self._committed_s = self._clock()
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
        memory = self._memory
        delay_s = self._backoff.delay_s()
        with memory.lock:
            if memory.problem is None:
                _LOG.warning("%s; kept in memory, trying again", one_line(error))
            memory.problem = one_line(error)
            self._retry_at_s = self._clock() + delay_s
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
        if self._store is None:
            self._store, _, _ = open_store(self.path, self.settings.durability)
            with self._memory.lock:
                self._memory.begin(self._store.facts.key)
        if self._broken is not None:
            raise Corrupt(self._broken)
        if not self._store.in_place:
            raise Corrupt("it was moved or deleted")
        return self._store

    def _begin_anew(self, why: str) -> None:
        """The database broke: move it away; the next commit begins another."""
        store, self._store, self._broken = self._store, None, None
        if store is not None:
            store.close()
        with self._memory.lock:
            self._memory.lose_disk("corrupt")
            self._memory.problem = f"{self.path}: {why}"
            self._retry_at_s = self._clock() + (0.0 if self._memory.closing else self._backoff.delay_s())
        moved = move_away(self.path)
        where = f"moved to {moved.name}; mend it with: edgeml outbox repair" if moved else "it is gone"
        _LOG.error("%s: %s; %s; a new one is begun", self.path, why, where)

    def _trim(self, store: Store, sinks: Sequence[SinkRow]) -> list[tuple[str, int, int]]:
        """Delete what is too old or too much, oldest first; returns reason, id and wanted of each row."""
        settings, memory = self.settings, self._memory
        too_old_s = float("-inf") if settings.max_age_s is None else self._clock() - settings.max_age_s
        with memory.lock:
            busy = {letter.id for lane in self.lanes for letter in lane._taken}
            lows = [(lane.bit, lane.low) for lane in self.lanes]
        dropped: list[tuple[str, int, int]] = []
        after = 0
        oldest_first = settings.when_full == "drop_oldest"
        former = any(lane.on_disk for lane in memory.lanes if lane not in self.lanes)
        too_much = (oldest_first or former) and store.measure() > settings.max_bytes
        while rows := store.oldest(after, 64):
            if not too_much and rows[0][2] > too_old_s:
                break
            chunk = []
            for letter_id, wanted, put_s in rows:
                served = any(wanted & bit and letter_id >= low for bit, low in lows)
                if letter_id in busy:
                    continue
                if put_s <= too_old_s:
                    chunk.append(("max_age", letter_id, wanted))
                elif too_much and (oldest_first or not served):
                    chunk.append(("quota", letter_id, wanted))
            store.delete(letter_id for _, letter_id, _ in chunk)
            dropped += chunk
            after = rows[-1][0]
            too_much = too_much and store.measure() > settings.max_bytes
        for lane, sink in zip(memory.lanes, sinks, strict=True):
            sink.owed -= sum(bool(wanted & lane.bit) and i > sink.cursor for _, i, wanted in dropped)
        return dropped

    def _stamp(self, store: Store) -> None:
        facts = store.facts
        facts.clock_s, facts.boot, facts.boot_s = self._clock(), boot_id(), boottime_s()


def _first(letters: Iterable[Letter]) -> list[Letter]:
    """Those of one transaction."""
    batch, size = [], 0
    for letter in letters:
        batch.append(letter)
        size += letter.size
        if len(batch) == _BATCH_ROWS or size > _BATCH_BYTES:
            break
    return batch


def _open_books(path: Path) -> Books:
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
