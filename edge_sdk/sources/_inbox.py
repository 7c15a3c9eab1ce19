"""Messages of many senders that wait to be read: bounded, and shared so that none takes another's room."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from edge_sdk.fairness import Fair

#: Senders whose losses are kept apart, and devices of one.
_MOST = 4096


@dataclass(slots=True, frozen=True)
class Letter:
    """A message that waits to be read.

    Attributes:
        sender: who shares one queue, read in order.
        topic: it came on.
        data: its content.
        mid: what the broker calls it.
        qos: 0 may be lost; what is more is acknowledged.
        retained: it is older than the subscription.
    """

    sender: str
    topic: str
    data: bytes
    mid: int
    qos: int
    retained: bool


class Inbox:
    """Senders are read in turn; where there is no room, the oldest message of who has most is lost.

    Args:
        letters: of those that nobody acknowledges, so many may wait. Of the others the broker was told how
            much it may send ahead; one that sends more is stopped by the bytes alone.
        size: bytes that may wait.
    """

    def __init__(self, letters: int, size: int) -> None:
        self._letters, self._size = letters, size
        self._lock = threading.Lock()
        self._waiting = Fair[Letter](lambda letter: letter.sender)
        self._bytes = 0
        #: What was lost before the next letter of each sender.
        self._lost: dict[str, Counter[str]] = {}

    def put(self, letter: Letter, samples: Callable[[Letter], Counter[str]]) -> list[Letter]:
        """Take a letter in.

        Args:
            letter: it.
            samples: how many samples of which device are in a letter that is lost; not kept, because two that
                hold each other keep their descriptors, too.

        Returns:
            Those that were lost for it, which may be itself.
        """
        gone = []
        with self._lock:
            self._waiting.append((0.0, letter))
            self._bytes += len(letter.data)
            while self._bytes > self._size or (not letter.qos and len(self._waiting) > self._letters):
                gone.append(self._waiting.pop_surplus()[1])
                self._bytes -= len(gone[-1].data)
                self._note(gone[-1], samples)
        return gone

    def take(self) -> tuple[Counter[str], Letter | None]:
        """The letter whose turn it is, and what was lost just before it: samples by device."""
        with self._lock:
            if not self._waiting:
                return self._lost.pop(next(iter(self._lost), ""), Counter()), None
            letter = self._waiting.popleft()[1]
            self._bytes -= len(letter.data)
            return self._lost.pop(letter.sender, Counter()), letter

    def __len__(self) -> int:
        return len(self._waiting) + len(self._lost)

    def _note(self, letter: Letter, samples: Callable[[Letter], Counter[str]]) -> None:
        """Count what is in it; whoever reads the sender's next one must know of it first."""
        sender = letter.sender if letter.sender in self._lost or len(self._lost) < _MOST else ""
        lost = self._lost.setdefault(sender, Counter())
        for device, count in samples(letter).items():
            lost[device if device in lost or len(lost) < _MOST else ""] += count
