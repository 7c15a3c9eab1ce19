"""The way from a source to one model, and what goes along it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_sdk.blocks import Block, Fault
from edge_sdk.edges import Edge, EdgeSettings, Junction
from edge_sdk.ledger import Samples
from edge_sdk.prediction import Prediction

if TYPE_CHECKING:
    from edge_sdk.feed import Feed


@dataclass(slots=True, eq=False)
class Arrival:
    """A block, a prediction or a fault on its way to a model.

    Attributes:
        item: what the source yielded.
        number: counts the blocks of a device, and its predictions; a missing number is a gap.
        at_s: monotonic time at which it came.
        feed: where it came from.
    """

    item: Block | Fault | Prediction
    number: int
    at_s: float
    feed: Feed

    @property
    def samples(self) -> int:
        """How many samples it stands for."""
        item = self.item
        if isinstance(item, Block):
            return len(item.samples)
        return item.samples if isinstance(item, Fault) else 0


class Outlet:
    """The way from a feed to one model, and the books of what fell off it.

    Args:
        feed: where it begins.
        junction: of the model.
        settings: what happens when the model is slower.
        wanted: whether the model takes the blocks of a device; None takes all.

    Attributes:
        name: of the model.
        digest: of its file.
        samples: those that never reached the model: read = dropped here.
        received: predictions likewise.
    """

    def __init__(
        self,
        feed: Feed,
        junction: Junction[Arrival],
        settings: EdgeSettings,
        wanted: Callable[[str], bool] | None = None,
    ) -> None:
        self.name = self.digest = ""
        self.samples, self.received = Samples(), Samples()
        key = (lambda arrival: arrival.item.device) if feed.many else None
        self.edge: Edge[Arrival] = junction.edge(settings, self.dropped, key=key)
        self._wanted = wanted

    def wants(self, device: str) -> bool:
        """Whether the model takes what this device sends."""
        return self._wanted is None or self._wanted(device)

    def put(self, arrival: Arrival) -> bool:
        """Hand it over; False when the model takes nothing any more."""
        if not self.wants(arrival.item.device):
            return not self.edge.closed
        if self.edge.put(arrival):
            return True
        with self.edge.lock:
            self.dropped(arrival, "stopped")
        return False

    def dropped(self, arrival: Arrival, reason: str) -> None:
        """Count what did not reach the model."""
        if isinstance(arrival.item, Prediction):
            self.received.drop(1, reason)
        else:
            self.samples.drop(arrival.samples, "fault" if isinstance(arrival.item, Fault) else reason)
