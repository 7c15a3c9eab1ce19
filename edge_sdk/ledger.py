"""The books of a run: every sample and every prediction is accounted for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Samples:
    """What became of the samples that were read.

    A sample is *used* once it has been in at least one window, *pending* while it waits in a window that is
    not full yet, and *dropped* for a reason otherwise: ``tail`` (the stream ended before a window was full),
    ``gap``, ``fault``, ``overflow``, ``max_age``, ``hop`` (skipped: the hop is longer than the window),
    ``stopped`` (the run ended first).
    """

    read: int = 0
    used: int = 0
    pending: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def drop(self, count: int, reason: str) -> None:
        """Read, and dropped at once."""
        if count:
            self.read += count
            self.dropped[reason] += count

    def write_off(self, read_before: int, count: int) -> None:
        """What was to be read when something failed, and is in no other place now, is a fault."""
        if self.read == read_before:
            self.read += count
        self.dropped["fault"] += self.read - self.used - self.pending - sum(self.dropped.values())

    def add(self, other: Samples) -> None:
        """Count another account's samples here, too."""
        for reason, count in tuple(other.dropped.items()):
            if count:
                self.dropped[reason] += count
        self.used += other.used
        self.pending += other.pending
        self.read += other.read

    def settle(self) -> None:
        """Count what is on its way through a model as pending: a look in the middle of a run is not exact."""
        self.pending = self.read - self.used - sum(self.dropped.values())

    @property
    def balanced(self) -> bool:
        """Read = used + pending + dropped."""
        return self.read == self.used + self.pending + sum(self.dropped.values())

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "read": self.read,
            "used": self.used,
            "pending": self.pending,
            "dropped": dict(self.dropped),
        }


@dataclass(slots=True)
class SinkAccount:
    """What became of the predictions of one sink: carried + offered = delivered + queued + dropped.

    *Carried* are those that an earlier run owed it. Dropped for a reason: ``overflow``, ``max_age``,
    ``stalled`` (the sink took nothing for so long that it would have held back the others), ``rejected``,
    ``failed``, ``stopped``; from an outbox also ``quota`` and ``corrupt``.
    """

    carried: int = 0
    offered: int = 0
    delivered: int = 0
    queued: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    @property
    def balanced(self) -> bool:
        """Carried + offered = delivered + queued + dropped."""
        return self.carried + self.offered == self.delivered + self.queued + sum(self.dropped.values())


@dataclass(slots=True)
class Ledger:
    """Samples, predictions and sinks of one run.

    predictions = delivered (every sink that wanted it has it) + queued (one owes it) + lost (one gave up).

    Attributes:
        samples: those of all models together.
        models: the same for each model, where there are several.
        fusion: what became of the samples of several sensors that were joined; None where none were.
        received: what became of the predictions that sources brought: *used* are those that went on to the
            decision and count among the predictions; None where none came.
        sinks: by name.
        faults: counted by reason.
        lost_in_crash: what the run before, which crashed, had made and neither kept nor delivered, by sink.
    """

    samples: Samples = field(default_factory=Samples)
    predictions: int = 0
    delivered: int = 0
    queued: int = 0
    lost: int = 0
    sinks: dict[str, SinkAccount] = field(default_factory=dict)
    models: dict[str, Samples] = field(default_factory=dict)
    fusion: Samples | None = None
    received: Samples | None = None
    lost_in_crash: dict[str, int] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def balanced(self) -> bool:
        """Whether samples, predictions and every sink add up."""
        return (
            self.samples.balanced
            and all(samples.balanced for samples in self.models.values())
            and (self.fusion is None or self.fusion.balanced)
            and (self.received is None or self.received.balanced)
            and self.predictions == self.delivered + self.queued + self.lost
            and min(self.delivered, self.queued, self.lost) >= 0
            and all(account.balanced for account in self.sinks.values())
        )

    def as_dict(self) -> dict[str, Any]:
        """The ``ledger`` object of ``edgeml run --json``."""
        return {
            **self.samples.as_dict(),
            **({"models": {n: s.as_dict() for n, s in self.models.items()}} if self.models else {}),
            **({"fusion": self.fusion.as_dict()} if self.fusion else {}),
            **({"received": self.received.as_dict()} if self.received else {}),
            "predictions": self.predictions,
            "delivered": self.delivered,
            "queued": self.queued,
            "lost": self.lost,
            "sinks": {
                name: {
                    "carried": account.carried,
                    "offered": account.offered,
                    "delivered": account.delivered,
                    "queued": account.queued,
                    "dropped": dict(account.dropped),
                }
                for name, account in self.sinks.items()
            },
            "faults": dict(self.faults),
            "lost_in_crash": self.lost_in_crash,
            "balanced": self.balanced,
        }
