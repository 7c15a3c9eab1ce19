"""What the page of a training is drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from converters.page.markup import Html
from edge_sdk.contract import Contract
from train_host.judging.calibration import Calibration
from train_host.judging.judged import Judged
from train_host.judging.thresholds import Operation
from train_host.judging.verdict import Verdict


@dataclass(frozen=True)
class Report:
    """A training that is over.

    Attributes:
        judged: the model on its test windows.
        contract: as it is in the model file.
        run: as run.json holds it.
        sections: what the task shows of how good the model is: titles and content.
        counts: windows of each side of the split, the training side first.
        calibrated: what was done to its confidence; None where its outputs are no chances.
        operation: the threshold that was chosen; None where none was asked for.
        verdict: how it did against the champion; None without one.
    """

    judged: Judged
    contract: Contract
    run: dict[str, Any]
    sections: Sequence[tuple[str, Html]]
    counts: dict[str, int]
    calibrated: Calibration | None = None
    operation: Operation | None = None
    verdict: Verdict | None = None
