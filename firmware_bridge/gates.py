"""What a model may cost on a target and must reach there, and whether it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from converters.compare import Evaluation
from edge_sdk.errors import ConfigError
from firmware_bridge.measurement import Measurement
from firmware_bridge.parity import Parity


@dataclass(frozen=True, slots=True)
class Limits:
    """What passes; None asks for nothing.

    Attributes:
        mismatch: cases that may differ, from the reference and from the golden vectors each.
        latency_us: median of an inference, µs.
        instructions: of the longest inference.
        flash: code and constants, bytes.
        arena: the model's static memory, bytes.
        stack: deepest use of the stack, bytes.
        accuracy: least share of right answers.
    """

    mismatch: int = 0
    latency_us: float | None = None
    instructions: int | None = None
    flash: int | None = None
    arena: int | None = None
    stack: int | None = None
    accuracy: float | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition, and how it came out.

    Attributes:
        name: of the condition.
        expected: what passes, for people.
        found: what was found.
        passed: whether it holds.
        detail: the first difference; None where there is nothing to add.
    """

    name: str
    expected: str
    found: str
    passed: bool
    detail: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain Python values for JSON."""
        return asdict(self)


#: Limit, attribute of a measurement, and what a target that cannot tell it lacks.
_FIGURES = (
    ("latency_us", "latency_us", "µs", "the time on an emulated core means nothing: use --max-instructions"),
    ("instructions", "instructions", "instructions", "only emulated cores count them: use --max-latency-us"),
    ("flash", "flash_bytes", "bytes", "it runs no firmware"),
    ("arena", "arena_bytes", "bytes", "it runs no generated C"),
    ("stack", "stack_bytes", "bytes", "it runs no firmware, or one that does not measure it"),
)


def judge(
    limits: Limits,
    same: Parity,
    golden: Parity | None,
    evaluation: Evaluation | None,
    found: Measurement,
) -> tuple[Gate, ...]:
    """Every gate that there is.

    Args:
        limits: what passes.
        same: how the target compares with the reference.
        golden: how it compares with the golden vectors; None without.
        evaluation: what it reached; None without labels.
        found: what it cost.

    Raises:
        ConfigError: a limit on what this target cannot tell.
    """
    gates = [_parity("parity", same, limits.mismatch)]
    if golden is not None:
        gates.append(_parity("golden", golden, limits.mismatch))
    if limits.accuracy is not None:
        if evaluation is None:
            raise ConfigError(
                "--min-accuracy", expected="cases with labels", found="none", remedy="give them with --data"
            )
        reached = evaluation.accuracy
        gates.append(
            Gate("accuracy", f"at least {limits.accuracy:g}", f"{reached:.4f}", reached >= limits.accuracy)
        )
    return (*gates, *_figures(limits, found))


def _parity(name: str, found: Parity, most: int) -> Gate:
    detail = None if found.first is None else str(found.first)
    passed = found.mismatches <= most
    return Gate(name, f"at most {most}", f"{found.mismatches} of {found.cases} cases differ", passed, detail)


def _figures(limits: Limits, found: Measurement) -> Iterator[Gate]:
    for option, name, unit, lacking in _FIGURES:
        limit = getattr(limits, option)
        if limit is None:
            continue
        value = getattr(found, name)
        if value is None:
            flag = option.replace("_", "-")
            raise ConfigError(f"--max-{flag}", expected="a target that tells it", remedy=lacking)
        yield Gate(name, f"at most {limit:,.10g} {unit}", f"{value:,.10g}", value <= limit)
