"""The outbox's memory: which letters there are, which lanes owe them, what the writer is to do about them.

Nothing here touches the disk. Everything is guarded by one lock; what others are told (a lane's thread that
sleeps, the writer, the ledger) they are told after it is free again.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence

from edge_sdk.edges import Doorbell
from edge_sdk.outbox.books import Books, LaneFigures
from edge_sdk.outbox.lanes import Lane
from edge_sdk.outbox.letters import Dead, Letter, OutboxSettings, encode

#: Letters, those that do not hold, and the id after the last one that was looked at.
Page = tuple[list[Letter], list[Dead], int]
_FIGURES_A_LANE = 5


class Memory:
    """Letters in memory and the lanes that owe them.

    *Fresh* letters are not on the disk, *kept* ones are there too. Letters that every lane has passed leave.

    Args:
        settings: bounds.
        books: told of every put and settlement.
        on_lost: told how many predictions of this session were newly lost; without the lock.

    Attributes:
        last_id: given out.
        epoch: counts the databases that were begun because one broke.
        deletions: rows that every lane has passed.
        dead: letters that are to be buried.
        moved: a lane has passed a row that is on the disk.
        writing: the newest id that the writer is writing or has written.
        urgent: the writer is to commit now.
        idle: the writer sleeps for longer than a commit window.
        closing: nothing is let in any more.
        waiting: callers of `put` that wait for room.
        stalled: one of them waited in vain since the last commit.
        bytes: of the letters in memory; `fresh_bytes` of those that are not on the disk.
        used_bytes: of the database.
        problem: why the disk cannot be written now.
    """

    def __init__(self, settings: OutboxSettings, books: Books, on_lost: Callable[[int], None]) -> None:
        self.settings, self._books, self._on_lost = settings, books, on_lost
        self.lock = threading.RLock()
        self.bell = Doorbell()  # the writer's
        self.bell.lock = self.lock
        self.changed = threading.Condition(self.lock)
        self.lanes: list[Lane] = []
        self.read: Callable[[Lane, int, int, int], Page]
        self.first_id = 0
        self.last_id = 0
        self.epoch = 0
        self.fresh: OrderedDict[int, Letter] = OrderedDict()
        self.kept: OrderedDict[int, Letter] = OrderedDict()
        self.bytes = 0
        self.fresh_bytes = 0
        self.used_bytes = 0
        self.deletions: list[int] = []
        self.dead: list[Dead] = []
        self.moved = False
        self.writing = 0
        self.urgent = False
        self.idle = False
        self.closing = self.stalled = False
        self.waiting = 0
        self.problem: str | None = None
        self.owed = 0
        self.lost = 0
        self._lost_ids: set[int] = set()
        self._announced = 0
        self._elsewhere: weakref.WeakValueDictionary[int, Letter] = weakref.WeakValueDictionary()
        self._at: dict[Lane, int] = {}

    def begin(self, key: bytes) -> None:
        """Open the books of a database with what the lanes owe now."""
        figures = [
            (lane.name, LaneFigures(len(lane), 0, max(0, lane.low - 1), lane.held, lane.slot))
            for lane in self.lanes
        ]
        self._at = {lane: 2 + _FIGURES_A_LANE * n for n, lane in enumerate(self.lanes)}
        self._books.begin(key, self.last_id, figures)

    def add(self, letter: Letter, lanes: Sequence[Lane], held: bool) -> list[Lane]:
        """A new letter with a new id; returns the lanes to wake."""
        self.last_id = letter.id
        self.fresh[letter.id] = letter
        self.bytes += letter.size
        self.fresh_bytes += letter.size
        self.owed += 1
        figures, woken = self._books.figures, []
        figures[0] = letter.id
        for lane in lanes:
            letter.wanted |= lane.bit
            figures[self._at[lane]] += 1
            if lane.push(letter, held):
                woken.append(lane)
        self._books.save()
        return woken

    def refuse(self, lanes: Sequence[Lane], reason: str) -> None:
        """A prediction was not let in."""
        for lane in lanes:
            lane.account.offered += 1
            lane.account.dropped[reason] += 1
        self.lost += bool(lanes)

    def make_room(self) -> bool:
        """Let letters that are on the disk leave memory; whether there is room for one more then."""
        while self._full() and self.kept:
            letter_id, letter = self.kept.popitem(last=False)
            self.bytes -= letter.size
            self._elsewhere[letter_id] = letter
            for lane in self.lanes:
                if letter.wanted & lane.bit:
                    lane.evict(letter)
        return not self._full()

    def drop_oldest_fresh(self) -> bool:
        """Give up the oldest letter that is only here and that no sink is working on; False without one."""
        busy = set().union(*(lane.works_on() for lane in self.lanes))
        for letter in self.fresh.values():
            if letter.id not in busy:
                self.drop([(letter.id, letter.wanted)], "overflow")
                return True
        return False

    def settled(self, lane: Lane, letters: Iterable[Letter], *, lost: bool) -> None:
        """A lane has passed letters."""
        others = [(other, other.low) for other in self.lanes if other is not lane]
        for letter in letters:
            self.moved = self.moved or letter.id not in self.fresh or letter.id <= self.writing
            if lost:
                self.lose(letter.id)
            if all(other.passed(letter.id, low) for other, low in others if letter.wanted & other.bit):
                self._complete(letter.id)
        if self.waiting:
            self.changed.notify_all()

    def drop(self, rows: Sequence[tuple[int, int]], reason: str, spared: Iterable[int] = ()) -> None:
        """Give up letters, the oldest but those `spared`, for every lane that is not working on them."""
        dropped: set[int] = set()
        for lane in self.lanes:
            mine = {i for i, wanted in rows if wanted & lane.bit}
            dropped |= lane.drop(mine, reason, spared) if mine else set()
        for letter_id in dropped:
            self.lose(letter_id)
        for letter_id, wanted in rows:
            if letter_id in dropped and all(
                lane.passed(letter_id, lane.low) for lane in self.lanes if wanted & lane.bit
            ):
                self._complete(letter_id)

    def bury(self, lane: Lane, letter: Letter, reason: str, detail: str) -> None:
        """A lane rejected a letter: to the dead letters with the next commit, which is soon."""
        self.dead.append(Dead(letter.id, lane.name, letter.put_s, reason, detail, encode(letter.prediction)))
        if len(self.dead) > self.settings.memory_rows:  # the disk fails: it is counted all the same
            del self.dead[0]
        self.urgent = True

    def damaged(self, lane: Lane, dead: Sequence[Dead]) -> None:
        """Rows that a lane owed do not hold; whoever else owes them will miss them."""
        for letter in dead:
            self.note(lane, passed=1)
            self.lose(letter.letter_id)
            self.dead.append(letter)
            self.deletions.append(letter.letter_id)
            self.urgent = True

    def lose(self, letter_id: int) -> None:
        """A prediction is lost, if it is of this session and owed and was not lost before."""
        if letter_id < self.first_id or letter_id in self._lost_ids:
            return
        original = self.fresh.get(letter_id) or self.kept.get(letter_id) or self._elsewhere.get(letter_id)
        if original is not None:
            original.lost = True
        self._lost_ids.add(letter_id)
        self.owed -= 1
        self.lost += 1

    def note_lost(self, letter: Letter) -> bool:
        """Somebody else gave it up and counts it; False when it was lost already."""
        if letter.lost:
            return False
        letter.lost = True
        if self.owes(letter):
            self._lost_ids.add(letter.id)
            self.owed -= 1
        return True

    def owes(self, letter: Letter) -> bool:
        """Whether a lane owes it still."""
        return any(not lane.passed(letter.id, lane.low) for lane in self.lanes if letter.wanted & lane.bit)

    def stored(self, letters: Sequence[Letter]) -> list[Lane]:
        """Letters are committed; returns the lanes to wake."""
        for letter in letters:
            if self.fresh.pop(letter.id, None) is None:
                self.deletions.append(letter.id)  # every lane passed it meanwhile
                self.moved = True
            else:
                self.kept[letter.id] = letter
                self.fresh_bytes -= letter.size
        last_id = letters[-1].id if letters else 0
        self.changed.notify_all()
        return [lane for lane in self.lanes if lane.release(last_id)]

    def release_held(self) -> list[Lane]:
        """The disk fails: nothing waits for it any longer; returns the lanes to wake."""
        self.changed.notify_all()
        return [lane for lane in self.lanes if lane.release(self.last_id)]

    def lose_disk(self, reason: str) -> dict[Lane, tuple[int, int]]:
        """The database is gone: what was only there is lost, everything else is to be written again.

        Returns:
            From which id to before which was lost, by lane.
        """
        self.epoch += 1
        self.deletions.clear()
        ranges = {lane: lane.lose_disk(reason) for lane in self.lanes}
        letters: dict[int, Letter] = {}
        for lane in self.lanes:
            for letter in lane.in_memory():
                letters.setdefault(letter.id, letter)
        for letter_id in sorted(letters):
            self.fresh[letter_id] = (
                self.fresh.get(letter_id) or self.kept.get(letter_id) or letters[letter_id]
            )
            self.fresh.move_to_end(letter_id)
        self.kept.clear()
        self.bytes = self.fresh_bytes = sum(letter.size for letter in self.fresh.values())
        owed = sum(
            letter.current and letter_id not in self._lost_ids for letter_id, letter in self.fresh.items()
        )
        self.lost += self.owed - owed
        self.owed = owed
        return ranges

    def recount(self) -> None:
        """Rows were missing: what no lane owes any more is lost, if it was not delivered."""
        if not any(len(lane) for lane in self.lanes):
            self.lost += self.owed
            self.owed = 0
            self._lost_ids.clear()

    def note(self, lane: Lane, *, offered: int = 0, passed: int = 0) -> None:
        """Write a lane's figures into the crash books."""
        at = self._at.get(lane)
        if at is not None:
            figures = self._books.figures
            figures[at] += offered
            figures[at + 1] += passed
            figures[at + 2] = max(0, lane.low - 1)
            figures[at + 3] = lane.held
            self._books.save()

    def announce(self) -> None:
        """Tell the writer and the ledger what they ought to know; without the lock."""
        with self.lock:
            news = self.lost - self._announced
            self._announced = self.lost
            wake = (self.urgent or (self.moved and self.idle)) and self.bell.awaited()
        if wake:
            self.bell.wake()
        if news > 0:
            self._on_lost(news)

    def figures(self) -> Mapping[str, int]:
        """Predictions of this session that are owed, and those that were lost here; both of one moment."""
        with self.lock:
            return {"owed": self.owed, "lost": self.lost}

    def _complete(self, letter_id: int) -> None:
        """Every lane has passed it."""
        letter = self.fresh.pop(letter_id, None)
        if letter is not None:
            self.fresh_bytes -= letter.size
        else:
            letter = self.kept.pop(letter_id, None)
            self.deletions.append(letter_id)
        if letter is not None:
            self.bytes -= letter.size
        if letter_id >= self.first_id:
            if letter_id in self._lost_ids:
                self._lost_ids.discard(letter_id)
            else:
                self.owed -= 1

    def _full(self) -> bool:
        settings = self.settings
        return len(self.fresh) + len(self.kept) >= settings.memory_rows or self.bytes > settings.memory_bytes
