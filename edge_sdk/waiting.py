"""Where predictions wait for one sink: in memory, or in the outbox. The same to the thread that delivers."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from edge_sdk.books import Books, Parcel
from edge_sdk.edges import Edge, EdgeSettings
from edge_sdk.errors import Rejected, one_line
from edge_sdk.ledger import SinkAccount

if TYPE_CHECKING:
    from edge_sdk.outbox import Lane, Letter, Outbox
    from edge_sdk.prediction import Prediction


class Item(Protocol):
    """A prediction that waits, and since when: monotonic time, None where it comes from an earlier run."""

    @property
    def prediction(self) -> Prediction:
        """The content."""

    @property
    def arrived_s(self) -> float | None:
        """Monotonic time."""


class Shelf(Protocol):
    """What waits for one sink."""

    @property
    def account(self) -> SinkAccount:
        """What became of it so far, balanced at every moment."""

    @property
    def closed(self) -> bool:
        """Whether nothing more comes."""

    def __len__(self) -> int: ...

    def take(self, limit: int, timeout_s: float | None) -> Sequence[Item]:
        """The oldest, waited for; nothing when it is closed and empty, or after `timeout_s`."""

    def settle(self, items: Sequence[Any]) -> bool:
        """The sink has them; False when the books were closed before."""

    def refuse(self, item: Any, error: Rejected) -> None:
        """The sink will never take it."""

    def expire(self, item: Any) -> None:
        """It became too old to be acted on."""

    def fail(self) -> None:
        """The sink can never work."""

    def close(self) -> None:
        """Nothing more comes; what waits can still be taken."""

    def abandon(self) -> None:
        """Close the books, whatever the sink may still do."""


class MemoryShelf:
    """Parcels in a bounded queue with a policy.

    Args:
        settings: the policy.
        books: of all predictions.
        fair: devices share the queue, and none takes another's room; order then holds for each of them.
    """

    def __init__(self, settings: EdgeSettings, books: Books, *, fair: bool = False) -> None:
        self._books = books
        self._account = SinkAccount()
        key = (lambda parcel: parcel.prediction.device) if fair else None
        self._edge = Edge[Parcel](settings, self._dropped, key=key)
        self._because = "stopped"
        self._refused = 0
        self._abandoned = False

    @property
    def account(self) -> SinkAccount:
        """A copy, balanced."""
        with self._edge.lock:
            account = copy.copy(self._account)
            account.dropped = self._account.dropped.copy()
            account.offered = self._edge.offered + self._refused
            account.queued = account.offered - account.delivered - sum(account.dropped.values())
            return account

    def owed(self) -> list[Parcel]:
        """What the sink has neither taken nor given up."""
        return self._edge.owed()

    @property
    def closed(self) -> bool:
        """Whether nothing more comes."""
        return self._edge.closed

    def __len__(self) -> int:
        return len(self._edge)

    def put(self, parcel: Parcel) -> None:
        """Queue a parcel; waits or drops as the policy says."""
        if not self._edge.put(parcel):
            with self._edge.lock:
                self._refused += 1
                self._dropped(parcel, self._because)

    def take(self, limit: int, timeout_s: float | None) -> Sequence[Item]:
        """The oldest parcels."""
        return self._edge.take(limit, timeout_s)

    def settle(self, items: Sequence[Parcel]) -> bool:
        """The sink has them."""
        with self._edge.lock:
            if self._abandoned:
                return False
            self._edge.release(len(items))
            self._account.delivered += len(items)
        return True

    def refuse(self, item: Parcel, error: Rejected) -> None:
        """Lost: ``rejected``."""
        self._give_up(item, "rejected")

    def expire(self, item: Parcel) -> None:
        """Lost: ``max_age``."""
        self._give_up(item, "max_age")

    def fail(self) -> None:
        """Everything is lost: ``failed``."""
        with self._edge.lock:
            self._because = "failed"
            self._edge.close()
            if not self._abandoned:
                for parcel in self._edge.forget():
                    self._dropped(parcel, "failed")

    def close(self) -> None:
        """Refuse further parcels."""
        self._edge.close()

    def abandon(self) -> None:
        """What the sink still does counts no more."""
        with self._edge.lock:
            self._abandoned = True
            self._edge.close()

    def _give_up(self, parcel: Parcel, reason: str) -> None:
        with self._edge.lock:
            if not self._abandoned:
                self._edge.release()
                self._dropped(parcel, reason)

    def _dropped(self, parcel: Parcel, reason: str) -> None:
        self._account.dropped[reason] += 1
        self._books.given_up(parcel)


class OutboxShelf:
    """A lane of the outbox: what waits survives the run.

    Args:
        outbox: which.
        lane: the sink's.
        max_age_s: what is older is given up instead of taken; None leaves that to the outbox.
    """

    def __init__(self, outbox: Outbox, lane: Lane, max_age_s: float | None = None) -> None:
        self._outbox, self.lane, self._max_age_s = outbox, lane, max_age_s
        self._closed = self._abandoned = False

    @property
    def account(self) -> SinkAccount:
        """The lane's."""
        return self.lane.account

    @property
    def closed(self) -> bool:
        """Whether nothing more comes."""
        return self._closed

    def __len__(self) -> int:
        return len(self.lane)

    def take(self, limit: int, timeout_s: float | None) -> Sequence[Item]:
        """The oldest letters that are not too old."""
        while letters := self.lane.take(limit, timeout_s):
            fresh = [letter for letter in letters if not self._is_old(letter)]
            if len(fresh) == len(letters):
                return letters
            for letter in letters[: len(letters) - len(fresh)]:  # those that were put first are the oldest
                self.lane.reject(letter, "max_age", "too old for its sink")
            if fresh:
                return fresh
        return letters

    def settle(self, items: Sequence[Letter]) -> bool:
        """The sink has them."""
        if not self._abandoned:
            self.lane.acknowledge(items)
        return not self._abandoned

    def refuse(self, item: Letter, error: Rejected) -> None:
        """To the dead letters."""
        if not self._abandoned:
            self.lane.reject(item, "rejected", one_line(error))

    def expire(self, item: Letter) -> None:
        """To the dead letters."""
        if not self._abandoned:
            self.lane.reject(item, "max_age", "too old for its sink")

    def fail(self) -> None:
        """It stays where it is: a person can mend the sink."""
        self.close()

    def close(self) -> None:
        """What waits can still be taken; the rest stays on disk."""
        self._closed = True
        self.lane.close()

    def _is_old(self, letter: Letter) -> bool:
        return self._max_age_s is not None and self._outbox.age_s(letter) > self._max_age_s

    def abandon(self) -> None:
        """What the sink still does counts no more: it will be delivered again."""
        self._abandoned = True
        self.close()
