"""What came of a conversion, and the error that carries it where the gate failed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converters.recipes import Recipe
from converters.verify import Verdict
from edge_sdk.contract import Contract
from edge_sdk.errors import GateError


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of a conversion: everything that is printed and reported.

    Attributes:
        recipe: that was used.
        source: the .keras file.
        output: the .tflite; not written where the gate failed.
        report: the HTML report, or None.
        size_bytes: of the whole .tflite.
        source_bytes: of the .keras file.
        parameters: numbers that training found.
        digest: of the flatbuffer.
        contract: as written into the file; None for a foreign model without a dataset.
        verdict: comparison with the original.
        max_drop: that was allowed.
        flatbuffer: the model proper.
        notes: what the user should know, one line each.
        seconds: of each step.
    """

    recipe: Recipe
    source: Path
    output: Path
    report: Path | None
    size_bytes: int
    source_bytes: int
    parameters: int
    digest: str
    contract: Contract | None
    verdict: Verdict
    max_drop: float
    flatbuffer: bytes
    notes: tuple[str, ...]
    seconds: dict[str, float]

    @property
    def passed(self) -> bool:
        """Whether the gate let the model through."""
        return self.verdict.failure is None

    def as_dict(self) -> dict[str, Any]:
        """The object of ``edgeml convert --json``; `sqnr_db` is None where outputs are exactly equal."""
        before, after, apart = self.verdict.original, self.verdict.result, self.verdict.difference
        return {
            "recipe": self.recipe.name,
            "bytes": self.size_bytes,
            "accuracy_original": None if before is None else before.accuracy,
            "accuracy": None if after is None else after.accuracy,
            "agreement": apart.agreement,
            "sqnr_db": apart.sqnr_db if np.isfinite(apart.sqnr_db) else None,
            "passed": self.passed,
            "output": str(self.output) if self.passed else None,
            "report": None if self.report is None or not self.passed else str(self.report),
            "interval_original": None if before is None else list(before.interval),
            "interval": None if after is None else list(after.interval),
            "n": apart.n,
            "per_group": {} if after is None else after.per_group,
            "drop": self.verdict.drop,
            "max_drop": self.max_drop,
            "max_error": apart.max_error,
            "mean_error": apart.mean_error,
            "basis": self.verdict.basis,
            "digest": self.digest,
            "source_bytes": self.source_bytes,
            "parameters": self.parameters,
            "notes": list(self.notes),
            "seconds": self.seconds,
        }


class DropError(GateError):
    """The converted model is not good enough; carries the figures.

    Attributes:
        result: of the conversion that was thrown away.
    """

    def __init__(self, result: Result) -> None:
        self.result = result
        labelled = result.verdict.original is not None
        super().__init__(
            f"{result.source.name} as {result.recipe.name} is not good enough, nothing was written",
            expected=f"a drop of at most {100 * result.max_drop:g} points"
            if labelled
            else f"at least {result.recipe.least_sqnr_db:g} dB",
            found=result.verdict.failure,
            remedy="take another --recipe, more --calibration windows, or a larger --max-drop"
            if labelled
            else "take another --recipe, or judge it on real data with --data DIR",
        )
