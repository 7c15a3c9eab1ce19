"""What became of each prediction, over all the sinks that wanted it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_sdk.prediction import Prediction

if TYPE_CHECKING:
    from edge_sdk.outbox import Letter, Outbox


@dataclass(slots=True, eq=False)
class Parcel:
    """A prediction on its way to those sinks that keep what waits in memory.

    Attributes:
        prediction: the content.
        arrived_s: monotonic time at which the block came that completed its window.
        letter: the same prediction in the outbox, where a sink wants it from there.
        lost: a sink gave it up.
    """

    prediction: Prediction
    arrived_s: float
    letter: Letter | None = None
    lost: bool = False


class Books:
    """Counts predictions: how many there were, and how many a sink gave up.

    What is neither lost nor owed by a sink was delivered to every sink that wanted it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.predictions = self.lost = 0
        self.outbox: Outbox | None = None

    def sent(self) -> None:
        """A prediction leaves a model."""
        with self._lock:
            self.predictions += 1

    def given_up(self, parcel: Parcel) -> None:
        """A sink will never have it."""
        with self._lock:
            if parcel.lost:
                return
            parcel.lost = True
        if parcel.letter is None or self.outbox is None or self.outbox.note_lost(parcel.letter):
            self.lose(1)

    def lose(self, count: int) -> None:
        """Predictions were given up that no sink had lost before."""
        with self._lock:
            self.lost += count
