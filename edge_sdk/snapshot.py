"""The state of a running pipeline at one moment: what /metrics, /health and the live view are drawn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from edge_sdk.ledger import Ledger, SinkAccount
from edge_sdk.metrics import Histogram
from edge_sdk.prediction import Prediction

Health = Literal["ok", "degraded", "failing"]
#: Devices that are named when something is wrong with many.
_SHOWN = 10


@dataclass(slots=True)
class SourceState:
    """One source.

    Attributes:
        name: as in the books.
        connected: it is open and was not lost since.
        waiting: blocks on their way to the model.
        silent_s: since its last block, s; None before the first.
        devices: device ids that it serves now.
        faults: counted by reason.
        reopened: how often it was lost.
        problem: why it is not connected, or what is wrong with its data now; one line.
        samples: that came so far.
    """

    name: str
    connected: bool = False
    waiting: int = 0
    silent_s: float | None = None
    devices: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    reopened: int = 0
    problem: str | None = None
    samples: int = 0


@dataclass(slots=True)
class SinkState:
    """One sink.

    Attributes:
        name: as in the books.
        delivery: ``direct``, ``outbox`` or ``actuator``.
        connected: the last attempt to open it or to write went well.
        account: what became of its predictions so far.
        retries: how often it had to be tried again.
        latency: from a block's arrival to the acknowledgement, µs.
        problem: why it is not connected; one line.
    """

    name: str
    delivery: str
    connected: bool = False
    account: SinkAccount = field(default_factory=SinkAccount)
    retries: int = 0
    latency: Histogram = field(default_factory=Histogram)
    problem: str | None = None


@dataclass(slots=True)
class ModelState:
    """One model.

    Attributes:
        name: the model's.
        run_id: of its predictions.
        digest: of its file.
        invoke: the runtime's time for one window, µs.
        batches: how many invokes there were; fewer than windows where several went in together.
        windows: how many windows went through, here or in firmware.
        devices: device ids that it keeps a window for.
        device_bytes: memory that one of them takes, bytes.
        labels: how often each label came.
        troubled: what is wrong with a sensor now, by device.
        received: predictions that firmware made with it; they count among the windows.
    """

    name: str
    run_id: str
    digest: str
    invoke: Histogram
    batches: int = 0
    windows: int = 0
    devices: int = 0
    device_bytes: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    troubled: Mapping[str, str] = field(default_factory=dict)
    received: int = 0


@dataclass(slots=True)
class OutboxState:
    """What waits on disk.

    Attributes:
        file: the database.
        rows: predictions in it.
        bytes: what they take, of `max_bytes`.
        written_bytes: payload written to it in this run.
        oldest_s: age of the oldest row, s of powered time; None where it is empty.
        dead: predictions that a destination refused for good and that are kept for a person to look at.
        problem: why it cannot be written now; one line.
    """

    file: str
    rows: int = 0
    bytes: int = 0
    max_bytes: int = 0
    written_bytes: int = 0
    oldest_s: float | None = None
    dead: int = 0
    problem: str | None = None


@dataclass(slots=True)
class Snapshot:
    """A whole pipeline; `Running.snapshot` makes one, from any thread.

    Attributes:
        device: the pipeline's name.
        uptime_s: since the run began, s.
        ready: the model is loaded, every source and sink was opened once.
        progress: changes whenever the loop did something or rightly waits; the watchdog looks at it.
        clock_synced: the wall clock can be believed.
        ledger: the books so far.
        sources: each source.
        models: each model.
        sinks: each sink.
        outbox: None where no sink needs one.
        recent: the newest predictions, oldest first.
    """

    device: str
    uptime_s: float
    ready: bool
    progress: int
    clock_synced: bool
    ledger: Ledger
    sources: Sequence[SourceState] = ()
    models: Sequence[ModelState] = ()
    sinks: Sequence[SinkState] = ()
    outbox: OutboxState | None = None
    recent: Sequence[Prediction] = ()

    @property
    def problems(self) -> list[str]:
        """What a person should look at, a line each."""
        parts: list[SourceState | SinkState] = [*self.sources, *self.sinks]
        named = [
            f"{part.name}: {part.problem.removeprefix(f'{part.name}: ')}"
            for part in parts
            if part.problem is not None
        ]
        troubled = {device: what for model in self.models for device, what in model.troubled.items()}
        named += [f"{device}: {what}" for device, what in list(troubled.items())[:_SHOWN]]
        if len(troubled) > _SHOWN:
            named.append(f"{len(troubled) - _SHOWN} further devices with faults")
        if self.outbox is not None and self.outbox.problem:
            named.append(f"{self.outbox.file}: {self.outbox.problem}")
        return named

    @property
    def health(self) -> Health:
        """``failing`` when no source or no sink works, ``degraded`` when one of several parts does not."""
        if self.ready:
            if self.sources and not any(source.connected for source in self.sources):
                return "failing"
            if self.sinks and not any(sink.connected for sink in self.sinks):
                return "failing"
        return "degraded" if self.problems else "ok"
