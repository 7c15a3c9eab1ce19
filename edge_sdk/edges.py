"""The hand-off between two threads: bounded, with a policy, and with a count of everything it let fall.

No item is ever out of the books: it waits, is held by the thread that took it, was dropped for a reason, or
was released. There is one reader; it is woken after the lock is free again, or it would wake only to wait.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from edge_sdk.fairness import Fair, Plain, Waiting

T = TypeVar("T")

Policy = Literal["block", "drop_oldest", "drop_newest", "latest"]


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """How an edge behaves when its reader is slower than its writer.

    Attributes:
        policy: ``block`` lets the writer wait, ``drop_oldest`` and ``drop_newest`` drop one item, ``latest``
            keeps the newest only.
        capacity: items that may wait.
        max_age_s: what waited longer than this is dropped instead of read; None keeps everything.
        patience_s: how long ``block`` waits for a reader that takes nothing at all, before the oldest item
            is dropped so that others are not held back; None waits for ever.
    """

    policy: Policy = "block"
    capacity: int = 1024
    max_age_s: float | None = None
    patience_s: float | None = None

    def __post_init__(self) -> None:
        if self.capacity < 1:
            raise ValueError(f"capacity: expected at least 1, found {self.capacity}")


class Doorbell:
    """Wakes one reader, who says under `lock` that it is going to sleep."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._asleep = False
        self._signal = threading.Lock()
        self._signal.acquire()

    def expect(self) -> None:
        """The reader will sleep; call it while `lock` is held."""
        self._asleep = True

    def sleep(self, timeout_s: float | None) -> bool:
        """Sleep until the bell rings, after `expect`; False when it did not in time."""
        if self._signal.acquire(timeout=-1 if timeout_s is None else timeout_s):
            return True
        with self.lock:
            rang = not self._asleep
            self._asleep = False
        return rang and self._signal.acquire()

    def awaited(self) -> bool:
        """Whether the reader sleeps and is yours to `wake`; call it while `lock` is held."""
        asleep, self._asleep = self._asleep, False
        return asleep

    def wake(self) -> None:
        """Wake the reader, after `awaited`; call it while `lock` is free."""
        self._signal.release()


class Edge(Generic[T]):
    """A bounded queue from any thread to one reader.

    Args:
        settings: the policy.
        on_drop: told about each item that is dropped, and why, while the edge is locked: be quick.
        bell: shared with other edges, for a reader of several.
        key: the device of an item; where it is given, devices are read in turn, and an item is dropped from
            the one that has most.

    Attributes:
        offered: items that were put, also those that were dropped at once.
        dropped: items that were, by reason.
        closed: nothing more can be put.
    """

    def __init__(
        self,
        settings: EdgeSettings,
        on_drop: Callable[[T, str], None] | None = None,
        bell: Doorbell | None = None,
        *,
        key: Callable[[T], str] | None = None,
    ) -> None:
        self.settings = settings
        self.offered = 0
        self.dropped: Counter[str] = Counter()
        self.closed = False
        self._bell = bell or Doorbell()
        self.lock = self._bell.lock
        self._room = threading.Condition(self.lock)
        self._waiting: Waiting[T] = Fair(key) if key else Plain()
        self._held: list[T] = []
        self._on_drop = on_drop
        self._stalled = False

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, item: T) -> bool:
        """Hand an item over; False when the edge is closed (the item stays the caller's).

        With ``drop_newest`` on a full edge the item is dropped, counted, and True is returned.
        """
        with self.lock:
            if not self.closed and self._make_room():
                self._waiting.append((time.monotonic(), item))
            elif self.closed:
                return False
            else:
                self._drop(item, "overflow")
            self.offered += 1
            wake = self._bell.awaited()
        if wake:
            self._bell.wake()
        return True

    def take(self, limit: int = 1, timeout_s: float | None = None) -> list[T]:
        """What waits, oldest first, at most `limit`; waits for the first item.

        The items count as held until `release` says that they are dealt with.

        Returns:
            Nothing when the edge is closed and empty, or after `timeout_s`.
        """
        while True:
            with self.lock:
                taken = self.poll(limit)
                if taken or self.closed:
                    return taken
                self._bell.expect()
            if not self._bell.sleep(timeout_s):
                return []

    def poll(self, limit: int = 1) -> list[T]:
        """`take` without waiting."""
        with self.lock:
            taken: list[T] = []
            while len(taken) < limit and self.pop(taken):
                pass
            self._held.extend(taken)
            return taken

    def pop(self, into: list[T]) -> bool:
        """Append the oldest item that is not too old to a list, without holding it; False without one.

        Call it while `lock` is held.
        """
        waiting, age = self._waiting, self.settings.max_age_s
        while waiting:
            since, item = waiting.popleft()
            if age is not None and time.monotonic() - since > age:
                self._drop(item, "max_age")
                continue
            into.append(item)
            self._stalled = False
            if self.settings.policy == "block":
                self._room.notify_all()
            return True
        return False

    def release(self, count: int = 1) -> None:
        """The oldest `count` items that were taken are dealt with."""
        with self.lock:
            del self._held[:count]

    def owed(self) -> list[T]:
        """What is held or waits."""
        with self.lock:
            return [*self._held, *(item for _, item in self._waiting)]

    def forget(self) -> list[T]:
        """Empty the edge without counting anything as dropped; returns what was owed."""
        with self.lock:
            owed = self.owed()
            self._held.clear()
            self._waiting.clear()
            self._room.notify_all()
            return owed

    def discard(self, reason: str) -> None:
        """Drop what waits."""
        with self.lock:
            while self._waiting:
                self._drop(self._waiting.popleft()[1], reason)
            self._room.notify_all()

    def close(self) -> None:
        """Refuse further items; what waits can still be taken. May be called twice, from any thread."""
        with self.lock:
            self.closed = True
            self._room.notify_all()
            wake = self._bell.awaited()
        if wake:
            self._bell.wake()

    def _make_room(self) -> bool:
        """Whether an item can be appended now; False also when the edge was closed meanwhile."""
        policy, capacity = self.settings.policy, self.settings.capacity
        if policy == "latest":
            capacity = 1
        if len(self._waiting) < capacity:
            return True
        if policy == "drop_newest":
            return False
        if policy == "block" and not self._stalled:
            if self._wait_for_room():
                return not self.closed
            self._stalled = True
        reason = "stalled" if policy == "block" else "overflow"
        while len(self._waiting) >= capacity:
            self._drop(self._waiting.pop_surplus()[1], reason)
        return True

    def _wait_for_room(self) -> bool:
        """False when the reader took nothing for `patience_s`."""
        return self._room.wait_for(
            lambda: self.closed or len(self._waiting) < self.settings.capacity, self.settings.patience_s
        )

    def _drop(self, item: T, reason: str) -> None:
        self.dropped[reason] += 1
        if self._on_drop:
            self._on_drop(item, reason)


class Junction(Generic[T]):
    """Several edges into one thread, read in turn so that a fast writer cannot starve a slow one."""

    def __init__(self) -> None:
        self._bell = Doorbell()
        self._edges: list[Edge[T]] = []

    def edge(
        self,
        settings: EdgeSettings,
        on_drop: Callable[[T, str], None] | None = None,
        *,
        key: Callable[[T], str] | None = None,
    ) -> Edge[T]:
        """A further edge into the junction."""
        edge = Edge[T](settings, on_drop, self._bell, key=key)
        self._edges.append(edge)
        return edge

    def take(
        self,
        limit: int = 1,
        timeout_s: float | None = None,
        *,
        weight: Callable[[T], int] = lambda item: 1,
    ) -> list[T] | None:
        """What waits, an item of each edge in turn, until they weigh `limit`; waits for the first.

        The items are the caller's at once: nothing is held.

        Returns:
            Nothing after `timeout_s`; None when all edges are closed and empty.
        """
        taken: list[T] = []
        while True:
            with self._bell.lock:
                while limit > 0 and self._pop(taken):
                    limit -= weight(taken[-1])
                if taken:
                    return taken
                if all(edge.closed for edge in self._edges):
                    return None
                self._bell.expect()
            if not self._bell.sleep(timeout_s):
                return taken

    def _pop(self, into: list[T]) -> bool:
        for turn, edge in enumerate(self._edges):
            if edge.pop(into):
                if turn < len(self._edges) - 1:
                    self._edges.append(self._edges.pop(turn))
                return True
        return False

    def __len__(self) -> int:
        return sum(len(edge) for edge in tuple(self._edges))

    def close(self) -> None:
        """Close every edge."""
        for edge in tuple(self._edges):
            edge.close()

    def discard(self, reason: str) -> None:
        """Drop what waits in every edge."""
        for edge in tuple(self._edges):
            edge.discard(reason)
