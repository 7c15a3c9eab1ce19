"""What a run is called, for the destinations that keep more than predictions."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from edge_sdk.contract import Contract


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a pipeline; a sink that has a method ``begin(run)`` is told after it was opened.

    Attributes:
        run_id: random; the same as in its predictions.
        device: the pipeline's device name.
        model: the model's name.
        digest: of the model file, ``sha256:…``.
        contract: of the model; None for a foreign one.
        started_s: wall-clock time, s since the epoch.
    """

    run_id: str
    device: str
    model: str
    digest: str
    started_s: float = field(default_factory=time.time)
    contract: Contract | None = None
