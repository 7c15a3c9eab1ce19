"""What came of a conversion, and the error that carries it where the gate failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters import boards
from converters.evidence import Evidence
from converters.figures import Judged
from converters.layers import Layer
from converters.recipes import Recipe
from converters.verify import Labelled, Verdict
from edge_sdk.contract import Contract
from edge_sdk.errors import GateError


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One recipe, tried.

    Attributes:
        recipe: that was tried.
        flatbuffer: what it gave; None where the model cannot be converted so.
        failure: why it cannot be taken; None where it can.
        verdict: comparison with the original; None where there was nothing to compare.
        outputs: of the result for the evaluation inputs, float32 [n, …] each.
        kept: names of the layers that stay float32 besides the preprocessing.
        latency_us: median time of an inference on the target, µs; None where it was not measured.
        arena_bytes: planned memory for activations.
        fit: whether the board runs it; None without a board.
        float_ops: operators that compute in float32 although nobody asked for it.
    """

    recipe: Recipe
    flatbuffer: bytes | None = None
    failure: str | None = None
    verdict: Verdict | None = None
    outputs: tuple[NDArray[np.float32], ...] = ()
    kept: tuple[str, ...] = ()
    latency_us: float | None = None
    arena_bytes: int | None = None
    fit: boards.Fit | None = None
    float_ops: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int | None:
        """Of the flatbuffer."""
        return None if self.flatbuffer is None else len(self.flatbuffer)

    @property
    def error(self) -> float | None:
        """What is to be small besides size and latency: accuracy lost, or the noise without labels."""
        if self.verdict is None:
            return None
        if self.verdict.judged is not None:
            return self.verdict.judged.lost
        return self.verdict.drop if self.verdict.drop is not None else -self.verdict.difference.sqnr_db

    def as_dict(self) -> dict[str, Any]:
        """A row of the Pareto table."""
        verdict = self.verdict
        return {
            "recipe": self.recipe.name,
            "bytes": self.size_bytes,
            **_reached(verdict),
            "agreement": None if verdict is None else verdict.agreement,
            "sqnr_db": None if verdict is None else _finite(verdict.difference.sqnr_db),
            "latency_us": self.latency_us,
            "arena_bytes": self.arena_bytes,
            "runs_on_board": None if self.fit is None else self.fit.runs,
            "kept": list(self.kept),
            "failure": self.failure,
        }


@dataclass(frozen=True, kw_only=True)
class Report:
    """What came of a conversion: everything that is printed, drawn and returned.

    In a notebook it shows itself as the HTML page that `edgeml convert` writes.

    Attributes:
        chosen: the trial that became the file.
        trials: all that were made, `chosen` among them.
        source: what was converted, a path or ``module:function``.
        output: the .tflite, or the folder of a C array; not written where the gate failed.
        page: the HTML file, or None.
        kind: of source, as `converters.load` names it.
        size_bytes: of the whole .tflite.
        source_bytes: of the source; None for a function.
        parameters: numbers that training found; None where unknown.
        digest: of the flatbuffer.
        contract: as written into the file; None for a foreign model without a dataset.
        max_drop: that was allowed; of a regression, by which part its error might grow.
        flatbuffer: the model proper, with its metadata.
        evidence: what it was judged with.
        original: float32 [n, …] for each output of the original.
        layers: how far each layer is off; empty where nothing was quantized, or nothing measured.
        board: that recipes were chosen for, or None.
        target: where latencies were measured.
        notes: what the user should know, one line each.
        seconds: of each step.
    """

    chosen: Trial
    trials: tuple[Trial, ...]
    source: str
    output: Path
    page: Path | None
    kind: str
    size_bytes: int
    source_bytes: int | None
    parameters: int | None
    digest: str
    contract: Contract | None
    max_drop: float
    flatbuffer: bytes
    evidence: Evidence
    original: tuple[NDArray[np.float32], ...]
    layers: tuple[Layer, ...]
    board: str | None
    target: str
    notes: tuple[str, ...]
    seconds: dict[str, float]

    @property
    def recipe(self) -> Recipe:
        """That was taken."""
        return self.chosen.recipe

    @property
    def verdict(self) -> Verdict:
        """On what was taken."""
        assert self.chosen.verdict is not None
        return self.chosen.verdict

    @property
    def passed(self) -> bool:
        """Whether the gate let the model through."""
        return self.chosen.failure is None

    @property
    def name(self) -> str:
        """Of the model, for people."""
        return self.contract.name if self.contract else Path(self.source.replace(":", ".")).stem

    @property
    def labelled(self) -> Labelled | None:
        """The scores of original and result beside the true classes."""
        return _labelled(self)

    @property
    def front(self) -> tuple[Trial, ...]:
        """The trials that no other one beats in accuracy, size and latency at once."""
        return pareto(self.trials)

    def as_dict(self) -> dict[str, Any]:
        """The object of ``edgeml convert --json``; `sqnr_db` is None where outputs are exactly equal."""
        before, after, apart = self.verdict.original, self.verdict.result, self.verdict.difference
        best = {id(trial) for trial in self.front}
        return {
            "recipe": self.recipe.name,
            "bytes": self.size_bytes,
            "accuracy_original": None if before is None else before.accuracy,
            **_reached(self.verdict),
            "agreement": self.verdict.agreement,
            "sqnr_db": _finite(apart.sqnr_db),
            "passed": self.passed,
            "output": str(self.output) if self.passed else None,
            "report": None if self.page is None or not self.passed else str(self.page),
            "interval_original": None if before is None else list(before.interval),
            "interval": None if after is None else list(after.interval),
            "n": apart.n,
            "per_group": {} if after is None else after.per_group,
            **_both(self.verdict.judged),
            "max_drop": self.max_drop,
            "max_error": apart.max_error,
            "mean_error": apart.mean_error,
            "outputs": [
                {
                    "max_error": one.max_error,
                    "mean_error": one.mean_error,
                    "sqnr_db": _finite(one.sqnr_db),
                    "agreement": one.agreement,
                    "rank": one.rank,
                }
                for one in self.verdict.outputs
            ],
            "basis": self.verdict.basis,
            "calibration": dict(self.evidence.counts),
            "kept": list(self.chosen.kept),
            "latency_us": self.chosen.latency_us,
            "arena_bytes": self.chosen.arena_bytes,
            "board": self.board,
            "target": self.target,
            "trials": [
                {**trial.as_dict(), "pareto": id(trial) in best, "chosen": trial is self.chosen}
                for trial in self.trials
            ],
            "kind": self.kind,
            "digest": self.digest,
            "source_bytes": self.source_bytes,
            "parameters": self.parameters,
            "notes": list(self.notes),
            "seconds": self.seconds,
        }

    def html(self) -> str:
        """The page: one file without scripts and without anything from the network."""
        from converters import page  # drawn only when asked for

        return page.render(self)

    def _repr_html_(self) -> str:
        return self.html()


def pareto(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """The trials that can be taken and that no other such one beats: not worse in any, better in something.

    What counts is the accuracy lost (the noise without labels), size, arena, and latency where measured.
    """
    able = [trial for trial in trials if trial.failure is None]

    def beaten(trial: Trial, other: Trial) -> bool:
        mine, theirs = _measures(trial), _measures(other)
        pairs = [(a, b) for a, b in zip(mine, theirs, strict=True) if a is not None and b is not None]
        return all(b <= a for a, b in pairs) and any(b < a for a, b in pairs)

    return tuple(trial for trial in able if not any(beaten(trial, other) for other in able))


class DropError(GateError):
    """The converted model is not good enough; carries the figures.

    Attributes:
        report: of the conversion that was thrown away.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        judged = report.verdict.judged
        labelled = report.verdict.original is not None or judged is not None
        several = len(report.trials) > 1
        recipe = "any recipe" if several else report.recipe.name
        super().__init__(
            f"{Path(report.source).name} as {recipe} is not good enough, nothing was written",
            expected=allowed(report) if labelled else f"at least {report.recipe.least_sqnr_db:g} dB",
            found=report.chosen.failure,
            remedy=_remedy(report, labelled=labelled),
        )


def allowed(report: Report) -> str:
    """What the gate lets pass, in words."""
    judged = report.verdict.judged
    if judged is not None and judged.after.figure == "error":
        return f"an error that grows by at most {100 * report.max_drop:g} %"
    what = " of the AUC" if judged is not None and judged.after.figure == "auc" else ""
    return f"a drop of at most {100 * report.max_drop:g} points{what}"


def _remedy(report: Report, *, labelled: bool) -> str:
    if not labelled:
        return "take another --recipe, or judge it on real data with --data"
    option = (
        "--max-growth"
        if report.verdict.judged and report.verdict.judged.after.figure == "error"
        else "--max-drop"
    )
    if len(report.trials) > 1:
        return f"allow a larger {option}, or train the model again with quantization in mind"
    if report.recipe.name in ("int8", "int8_io"):
        return f"take --recipe mixed or auto, more --calibration windows, or a larger {option}"
    return f"take another --recipe, or a larger {option}"


def _measures(trial: Trial) -> tuple[float | None, ...]:
    return trial.error, trial.size_bytes, trial.arena_bytes, trial.latency_us


def _labelled(report: Report) -> Labelled | None:
    from converters.verify import labelled

    return (
        labelled(report.original, report.chosen.outputs, report.evidence) if report.chosen.outputs else None
    )


def _reached(verdict: Verdict | None) -> dict[str, Any]:
    """What a result reached and lost, under the name of what counts; ``accuracy`` is always there."""
    if verdict is None or verdict.judged is None:
        result = None if verdict is None else verdict.result
        return {
            "accuracy": None if result is None else result.accuracy,
            "drop": None if verdict is None else verdict.drop,
            "drop_interval": _listed(None if verdict is None else verdict.drop_interval),
        }
    judged = verdict.judged
    lost = "growth" if judged.after.figure == "error" else "drop"
    said = {judged.after.figure: judged.after.value, lost: judged.lost}
    return {"accuracy": None, "drop": None, **said, f"{lost}_interval": _listed(judged.interval)}


def _both(judged: Judged | None) -> dict[str, Any]:
    """Of a task other than classification, all figures of both models."""
    if judged is None:
        return {}
    before, after = judged.before, judged.after
    return {
        f"{after.figure}_original": before.value,
        "interval_original": list(before.interval),
        "interval": list(after.interval),
        "per_group": after.per_group,
        "figures_original": before.as_dict(),
        "figures": after.as_dict(),
    }


def _listed(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
