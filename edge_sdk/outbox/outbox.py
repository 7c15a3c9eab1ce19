"""The outbox: memory in front, a database behind, one thread that writes in group commits."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence

from edge_sdk.closing import Closing
from edge_sdk.errors import DeviceError, Fatal, Retry, one_line
from edge_sdk.outbox.lanes import Lane
from edge_sdk.outbox.letters import Dead, Letter, OutboxSettings, decode, size_of
from edge_sdk.outbox.memory import Page
from edge_sdk.outbox.recovery import open_books, open_outbox
from edge_sdk.outbox.verdicts import Corrupt
from edge_sdk.outbox.writer import Writer
from edge_sdk.prediction import Prediction
from edge_sdk.snapshot import OutboxState

_LOG = logging.getLogger("edgeml")
#: How long `put` waits for a disk that works when memory is full, s.
_PATIENCE_S = 1.0


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
        books = open_books(self.path)
        try:
            opened = open_outbox(settings, sinks, books, on_lost)
        except BaseException:
            books.close(remove=not books.found)
            raise
        self._books, self._memory, self.recovered = books, opened.memory, opened.recovered
        self._memory.read = self._read
        by_name = {lane.name: lane for lane in self._memory.lanes}
        self.lanes: tuple[Lane, ...] = tuple(by_name[name] for name in sinks)
        self._writer = Writer(opened, self.lanes)
        self._closed = False
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
                letter = Letter(
                    memory.last_id + 1, prediction, arrived_s, put_s=self._writer.clock_s(), size=size
                )
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

    def age_s(self, letter: Letter) -> float:
        """How long ago it was put, s of powered time."""
        return self._writer.clock_s() - letter.put_s

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
        memory, writer, store = self._memory, self._writer, self._writer.store
        with memory.lock:
            oldest_s = writer.oldest_s
            if oldest_s is None and memory.fresh:
                oldest_s = next(iter(memory.fresh.values())).put_s
            return OutboxState(
                file=str(self.path),
                rows=store.facts.rows if store else 0,
                bytes=memory.used_bytes,
                max_bytes=self.settings.max_bytes,
                written_bytes=writer.written_bytes,
                oldest_s=None if oldest_s is None else max(0.0, writer.clock_s() - oldest_s),
                dead=store.facts.dead if store else 0,
                problem=memory.problem,
            )

    def sync(self) -> None:
        """Commit everything that was put so far, and the cursors.

        Raises:
            Retry: the disk cannot be written now.
        """
        if not self._writer.finished:
            self._writer.sync()

    def close(self, *, discard_empty: bool = False) -> None:
        """Commit, and stop; what is owed stays on the disk for the next run. May be called twice.

        Args:
            discard_empty: remove the files when nothing waits in them.
        """
        memory = self._memory
        self._writer.finish()
        for lane in memory.lanes:
            lane.close()
        store = self._writer.store
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

    def _has_room(self, size: int) -> bool:
        memory, settings = self._memory, self.settings
        if memory.closing or size * 2 > settings.max_bytes:
            return False
        quota = settings.when_full == "drop_oldest" or (
            memory.used_bytes + memory.fresh_bytes + size <= settings.max_bytes
        )
        return quota and memory.make_room()

    def _wait_for_room(self, size: int) -> str | None:
        """Room as `when_full` says; the reason where there is none. The lock is held."""
        memory, policy = self._memory, self.settings.when_full
        if size * 2 <= self.settings.max_bytes and (policy == "block" or not memory.stalled):
            self._wait_while_full(size, None if policy == "block" else _PATIENCE_S)
        if memory.closing:
            return "stopped"
        while policy == "drop_oldest" and not memory.make_room() and memory.drop_oldest_fresh():
            pass
        if self._has_room(size):
            return None
        return "quota" if memory.make_room() else "overflow"

    def _wait_while_full(self, size: int, patience_s: float | None) -> None:
        """Wait for the writer, and with ``block`` for the sinks."""
        memory = self._memory
        deadline = None if patience_s is None else time.monotonic() + patience_s
        memory.waiting += 1
        while not self._has_room(size) and not memory.closing and not self._writer.finished:
            # A disk that fails makes no room, nor does one that works where bytes are what is short.
            if patience_s is not None and (memory.problem is not None or memory.make_room()):
                break
            if memory.fresh or memory.moved:
                self._writer.ring()
            if not memory.changed.wait(None if deadline is None else max(0.0, deadline - time.monotonic())):
                memory.stalled = True
                break
        memory.waiting -= 1

    def _is_due(self, held: bool) -> bool:
        """Whether the writer must be told of a new letter."""
        memory = self._memory
        if held:
            memory.urgent = True
            return True
        return memory.idle or len(memory.fresh) in {self._writer.enough_rows(), self.settings.commit_rows}

    def _wait_for_commit(self, letter: Letter) -> None:
        memory = self._memory
        with memory.lock:
            memory.changed.wait_for(
                lambda: letter.id not in memory.fresh or memory.problem is not None or self._writer.finished
            )

    def _read(self, lane: Lane, first: int, until: int, limit: int) -> Page:
        """Rows for a lane, from its own thread."""
        store, epoch = self._writer.store, self._memory.epoch
        if store is None:
            raise Retry(f"{self.path}: cannot be read now")
        try:
            rows = store.read(lane.bit, first, until, limit)
        except Corrupt as error:
            with self._memory.lock:
                if epoch == self._memory.epoch:
                    self._writer.broken = str(error)
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
