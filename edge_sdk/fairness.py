"""Queues that share one capacity among many devices, so that a noisy one takes nothing from the others."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class Waiting(Protocol[T]):
    """What waits in an edge, each item with the time since when."""

    def append(self, entry: tuple[float, T]) -> None:
        """At the end."""

    def popleft(self) -> tuple[float, T]:
        """The next one to read."""

    def pop_surplus(self) -> tuple[float, T]:
        """The one to drop when there is no room."""

    def clear(self) -> None:
        """Nothing waits any more."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[tuple[float, T]]: ...


class Plain(deque[tuple[float, T]]):
    """First come, first served; the oldest is the surplus."""

    def pop_surplus(self) -> tuple[float, T]:
        """The oldest."""
        return self.popleft()


class Fair(Generic[T]):
    """A queue for each device, read in turn; the surplus is the oldest item of the longest queue.

    A queue lives only as long as something is in it, so that devices cost nothing while they are quiet.

    Args:
        key: the device of an item.

    >>> fair = Fair(lambda item: item[0])
    >>> for item in ("a1", "a2", "a3", "b1"):
    ...     fair.append((0.0, item))
    >>> fair.pop_surplus()[1], [fair.popleft()[1] for _ in range(3)]
    ('a1', ['a2', 'b1', 'a3'])
    """

    def __init__(self, key: Callable[[T], str]) -> None:
        self._key = key
        self._queues: OrderedDict[str, deque[tuple[float, T]]] = OrderedDict()
        self._count = 0
        # Devices by the length of their queue: the longest is found without looking at all of them.
        self._by_length: dict[int, dict[str, None]] = {}
        self._longest = 0

    def append(self, entry: tuple[float, T]) -> None:
        """To the end of its device's queue."""
        device = self._key(entry[1])
        queue = self._queues.get(device)
        if queue is None:
            queue = self._queues[device] = deque()
        queue.append(entry)
        self._count += 1
        self._moved(device, len(queue) - 1, len(queue))

    def popleft(self) -> tuple[float, T]:
        """The oldest item of the device whose turn it is."""
        device, queue = next(iter(self._queues.items()))
        entry = self._take(device, queue)
        if queue:
            self._queues.move_to_end(device)
        return entry

    def pop_surplus(self) -> tuple[float, T]:
        """The oldest item of the device that has most."""
        device = next(iter(self._by_length[self._longest]))
        return self._take(device, self._queues[device])

    def clear(self) -> None:
        """Nothing waits any more."""
        self._queues.clear()
        self._by_length.clear()
        self._count = self._longest = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[float, T]]:
        for queue in self._queues.values():
            yield from queue

    def _take(self, device: str, queue: deque[tuple[float, T]]) -> tuple[float, T]:
        entry = queue.popleft()
        self._count -= 1
        if not queue:
            del self._queues[device]
        self._moved(device, len(queue) + 1, len(queue))
        return entry

    def _moved(self, device: str, before: int, after: int) -> None:
        if before:
            group = self._by_length[before]
            del group[device]
            if not group:
                del self._by_length[before]
        if after:
            self._by_length.setdefault(after, {})[device] = None
        if after > self._longest:
            self._longest = after
        elif self._longest not in self._by_length:
            self._longest = after  # it was the only one so long, and is one shorter now
