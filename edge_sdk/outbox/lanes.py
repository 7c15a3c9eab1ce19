"""A lane: what one sink is owed, oldest first, wherever it is kept."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from edge_sdk.edges import Doorbell
from edge_sdk.errors import Retry
from edge_sdk.ledger import SinkAccount
from edge_sdk.outbox.letters import Letter

if TYPE_CHECKING:
    from edge_sdk.outbox.memory import Memory

#: Rows that are read back from the disk at a time.
_PAGE_ROWS = 256
#: How long to wait when the disk cannot be read, s.
_READ_AGAIN_S = 0.2


class Lane:
    """Hands letters to one sink, in the order they were put.

    What is owed is, oldest first: *taken* by the sink and not acknowledged; *front*, read back from the disk
    or taken back; rows *on disk* only; *back*, in memory; *held* until they are committed. One thread takes;
    any may acknowledge.

    Attributes:
        name: the sink's.
        account: carried + offered = delivered + queued + dropped, at every moment under the outbox's lock.
        bit: of the sink in `Letter.wanted`.
    """

    def __init__(self, name: str, slot: int, memory: Memory) -> None:
        self.name, self.slot, self.bit = name, slot, 1 << slot
        self.account = SinkAccount()
        self.bell = Doorbell()
        self.bell.lock = memory.lock
        self._memory = memory
        self._taken: deque[Letter] = deque()
        self._settled: set[int] = set()
        self._front: deque[Letter] = deque()
        self._disk_from = self._disk_until = self._on_disk = 0
        self._back: deque[Letter] = deque()
        self._held: deque[Letter] = deque()
        self._reading: set[int] | None = None
        self._closed = self._drained = False

    def __len__(self) -> int:
        return self.account.queued

    def take(self, limit: int = 64, timeout_s: float | None = None) -> list[Letter]:
        """What waits, oldest first, at most `limit`; waits for the first one.

        What was taken and is not acknowledged is not taken again before `rewind`.

        Returns:
            Nothing after `timeout_s`, or when the lane is closed and empty.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            with self._memory.lock:
                taken = self._poll(limit)
                if taken or self._drained:
                    return taken
                reading = self._must_read()
                if not reading:
                    if self._closed:
                        return []
                    self.bell.expect()
            wait_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            if reading:
                if self._read_page():
                    continue
                if self._closed or wait_s == 0:
                    return []
                time.sleep(_READ_AGAIN_S if wait_s is None else min(wait_s, _READ_AGAIN_S))
            elif not self.bell.sleep(wait_s):
                return []

    def acknowledge(self, letters: Sequence[Letter]) -> None:
        """The sink has them; what was not taken, or taken back, is ignored."""
        with self._memory.lock:
            settled = self._settle(letters)
            self.account.delivered += len(settled)
            self._memory.settled(self, settled, lost=False)
        self._memory.announce()

    def reject(self, letter: Letter, reason: str, detail: str) -> None:
        """The sink will never have it: to the dead letters."""
        with self._memory.lock:
            settled = self._settle([letter])
            if settled:
                self.account.dropped[reason] += 1
                self._memory.bury(self, letter, reason, detail)
                self._memory.settled(self, settled, lost=True)
        self._memory.announce()

    def rewind(self) -> None:
        """What was taken and not acknowledged will be taken again, in the same order."""
        with self._memory.lock:
            self._front.extendleft(
                letter for letter in reversed(self._taken) if letter.id not in self._settled
            )
            self._taken.clear()
            self._memory.note(self)
            wake = bool(self._front) and self.bell.awaited()
        if wake:
            self.bell.wake()

    def close(self, drain: bool = True) -> None:
        """Nothing more is waited for; with `drain` what is owed can still be taken, else it stays owed."""
        with self._memory.lock:
            self._closed = True
            self._drained = self._drained or not drain
            wake = self.bell.awaited()
        if wake:
            self.bell.wake()

    # What follows is for the memory and the writer, which hold the lock.

    @property
    def low(self) -> int:
        """The oldest id that may be owed: what is below is settled."""
        for queue in (self._taken, self._front):
            if queue:
                return queue[0].id
        if self._disk_from < self._disk_until:
            return self._disk_from
        for queue in (self._back, self._held):
            if queue:
                return queue[0].id
        return self._memory.last_id + 1

    @property
    def held(self) -> int:
        """Letters that the sink is working on."""
        return len(self._taken)

    def works_on(self) -> set[int]:
        """Ids of the letters that the sink is working on."""
        return {letter.id for letter in self._taken}

    @property
    def on_disk(self) -> int:
        """Rows owed that are not in memory."""
        return self._on_disk

    def passed(self, letter_id: int, low: int) -> bool:
        """Whether it is settled, given `low`."""
        return letter_id < low or letter_id in self._settled or self._is_nowhere(letter_id)

    def recover(self, cursor: int, last_id: int, owed: int) -> None:
        """Rows after a cursor wait on disk."""
        self._disk_from, self._disk_until, self._on_disk = cursor + 1, last_id + 1, owed
        self.account.carried = self.account.queued = owed

    def push(self, letter: Letter, held: bool) -> bool:
        """A new letter; returns whether the sink's thread is to be woken."""
        account = self.account
        account.offered += 1
        account.queued += 1
        if held:
            self._held.append(letter)
            return False
        self._back.append(letter)
        return self.bell.awaited()

    def release(self, last_id: int) -> bool:
        """Letters up to an id are committed; returns whether the sink's thread is to be woken."""
        released = False
        while self._held and self._held[0].id <= last_id:
            self._back.append(self._held.popleft())
            released = True
        return released and self.bell.awaited()

    def evict(self, letter: Letter) -> None:
        """A letter, older than all that are in memory and on disk too, leaves memory."""
        if self._back and self._back[0] is letter:
            self._back.popleft()
            if self._disk_from >= self._disk_until:
                self._disk_from = letter.id
            self._disk_until = letter.id + 1
            self._on_disk += 1

    def drop(self, ids: set[int], reason: str, spared: Iterable[int] = ()) -> set[int]:
        """Give up what is not taken of some letters, the oldest but those `spared`; returns which it owed."""
        low = self.low
        taken = self.works_on()
        mine = {i for i in ids if not self.passed(i, low) and i not in taken}
        if not mine:
            return mine
        last, found = max(mine), 0
        for queue in (self._front, self._back, self._held):
            found += _remove(queue, mine, last)
        self._on_disk = max(0, self._on_disk - (len(mine) - found))
        on_disk = [i for i in mine if self._disk_from <= i < self._disk_until]
        if on_disk:
            kept = [i for i in spared if self._disk_from <= i <= max(on_disk)]
            self._disk_from = min(kept, default=max(on_disk) + 1)
        if self._reading is not None:
            self._reading |= mine
        self._settled |= {i for i in mine if not self._is_nowhere(i)}  # holes among what is owed
        self._forget_passed()
        self.account.dropped[reason] += len(mine)
        self.account.queued -= len(mine)
        self._memory.note(self, passed=len(mine))
        return mine

    def lose_disk(self, reason: str) -> tuple[int, int]:
        """What was only on the disk is gone; returns from which id to before which."""
        lost = self._disk_from, self._disk_until
        gone, self._on_disk, self._disk_from = self._on_disk, 0, self._disk_until
        self._reading = None
        if gone:
            self.account.dropped[reason] += gone
            self.account.queued -= gone
            self._memory.note(self, passed=gone)
        return lost

    def in_memory(self) -> list[Letter]:
        """What is owed and in memory, oldest first."""
        taken = [letter for letter in self._taken if letter.id not in self._settled]
        return [*taken, *self._front, *self._back, *self._held]

    def _is_nowhere(self, letter_id: int) -> bool:
        """Whether it lies between what is owed: it was dropped, or never wanted."""
        for queue in (self._taken, self._front):
            if queue and queue[0].id <= letter_id <= queue[-1].id:
                return False
        if self._disk_from <= letter_id < self._disk_until:
            return False
        return letter_id < next((q[0].id for q in (self._back, self._held) if q), self._memory.last_id + 1)

    def _poll(self, limit: int) -> list[Letter]:
        taken: list[Letter] = []
        while self._front and len(taken) < limit:
            taken.append(self._front.popleft())
        if self._disk_from >= self._disk_until:
            while self._back and len(taken) < limit:
                taken.append(self._back.popleft())
        if taken:
            self._taken.extend(taken)
            self._memory.note(self)
        return taken

    def _must_read(self) -> bool:
        if self._disk_from >= self._disk_until:
            return False
        self._reading = set()
        return True

    def _read_page(self) -> bool:
        """Read rows into the front; False when they cannot be read now."""
        first, until, epoch = self._disk_from, self._disk_until, self._memory.epoch
        try:
            letters, damaged, after = self._memory.read(self, first, until, _PAGE_ROWS)
        except Retry:
            self._reading = None
            return False
        with self._memory.lock:
            dropped, self._reading = self._reading, None
            if dropped is None or epoch != self._memory.epoch:
                return True  # the file was replaced meanwhile: these rows are gone
            letters = [letter for letter in letters if letter.id not in dropped]
            damaged = [dead for dead in damaged if dead.letter_id not in dropped]
            self._disk_from = max(self._disk_from, min(after, until))
            self._front.extend(letters)
            self._on_disk -= len(letters) + len(damaged)
            if damaged:
                self.account.dropped["corrupt"] += len(damaged)
                self.account.queued -= len(damaged)
            if self._disk_from >= self._disk_until or self._on_disk < 0:
                self._reconcile()
            self._memory.damaged(self, damaged)
        self._memory.announce()
        return True

    def _reconcile(self) -> None:
        """The rows were more or fewer than the books said; they must add up all the same."""
        extra, self._on_disk = -self._on_disk, 0
        self.account.queued += extra
        if extra > 0:
            self.account.carried += extra
            self._memory.note(self, offered=extra)
        elif extra < 0:
            self.account.dropped["corrupt"] -= extra
            self._memory.note(self, passed=-extra)
            self._memory.recount()

    def _settle(self, letters: Sequence[Letter]) -> list[Letter]:
        """Mark taken letters as settled; returns those that were not."""
        settled, passed = [], 0
        taken = self._taken
        for letter in letters:
            if taken and taken[0] is letter:
                taken.popleft()
                passed += 1
                settled.append(letter)
            elif letter in taken and letter.id not in self._settled:
                self._settled.add(letter.id)
                settled.append(letter)
            while taken and taken[0].id in self._settled:
                self._settled.discard(taken.popleft().id)
                passed += 1
        self._forget_passed()
        self.account.queued -= len(settled)
        self._memory.note(self, passed=passed)
        return settled

    def _forget_passed(self) -> None:
        """Settled out of order, and meanwhile the older ones are settled, too."""
        if self._settled:
            low = self.low
            self._settled = {i for i in self._settled if i >= low}


def _remove(queue: deque[Letter], ids: set[int], last: int) -> int:
    """Remove letters up to an id from the head of a queue; returns how many of `ids` were there."""
    kept, found = [], 0
    while queue and queue[0].id <= last:
        letter = queue.popleft()
        if letter.id in ids:
            found += 1
        else:
            kept.append(letter)
    queue.extendleft(reversed(kept))
    return found
