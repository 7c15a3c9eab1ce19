"""Whether two targets compute the same: bit for bit, or within what other kernels may round differently."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters import compare, recipes
from edge_sdk.answer import Answer
from edge_sdk.errors import SpecError
from edge_sdk.interface import Interface
from edge_sdk.model import Model
from edge_sdk.runtimes import Port
from firmware_bridge.answers import Answers, Windows, ask

#: Engines whose kernels round as the machine's vector unit likes it; generated C has one answer everywhere.
_INTERPRETERS = frozenset({"litert", "tflite_runtime", "tensorflow"})


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The first difference that does not pass.

    Attributes:
        case: its number, from 0.
        output: name of the output.
        index: of the element in it, without the batch axis.
        expected: what the reference says there, as the tensor holds it.
        found: what the target says there.
    """

    case: int
    output: str
    index: tuple[int, ...]
    expected: float
    found: float

    def __str__(self) -> str:
        return (
            f"case {self.case}, {self.output}{list(self.index)}: expected {self.expected:g}, "
            f"found {self.found:g}"
        )


@dataclass(frozen=True, slots=True)
class Parity:
    """How a target's answers compare with a reference's.

    Attributes:
        cases: that were compared.
        mismatches: cases of which an output differs by more than the tolerance; by a bit where that is 0.
        elements: numbers that were compared.
        different: numbers that are not the same bits.
        off_by_one: of these, those that are one step of the quantization apart.
        max_difference: largest difference of an output, in its units.
        argmax_agreement: share of cases with the same winner; None where the model does not choose.
        tolerance: what passed, in the units of the outputs; 0.0 for equal bits.
        first: the first difference that did not pass; None where all did.
    """

    cases: int
    mismatches: int
    elements: int
    different: int
    off_by_one: int
    max_difference: float
    argmax_agreement: float | None
    tolerance: float
    first: Mismatch | None

    def as_dict(self) -> dict[str, Any]:
        """Plain Python values for JSON."""
        return {
            "cases": self.cases,
            "mismatches": self.mismatches,
            "elements": self.elements,
            "different": self.different,
            "off_by_one": self.off_by_one,
            "max_difference": self.max_difference,
            "argmax_agreement": self.argmax_agreement,
            "tolerance": self.tolerance,
            "first": None if self.first is None else str(self.first),
        }

    def __str__(self) -> str:
        promise = "the same bits" if not self.tolerance else f"within {self.tolerance:g}"
        if not self.mismatches:
            return f"{self.cases} of {self.cases} cases {promise}"
        return f"{self.mismatches} of {self.cases} cases not {promise}; {self.first}"


@dataclass(frozen=True, slots=True)
class Rule:
    """What of one output counts as the same.

    Attributes:
        port: of the output.
        step: of its quantization, in its units; 0.0 where unknown.
        tolerance: largest difference that passes, of what the tensor holds; 0.0 asks for equal bits.
    """

    port: Port
    step: float = 0.0
    tolerance: float = 0.0

    @property
    def unit(self) -> float:
        """What 1 of the tensor's numbers is in the units of the output."""
        return self.port.scale or 1.0

    @property
    def one(self) -> float:
        """One step of the quantization in the tensor's numbers; 0.0 where unknown."""
        return 1.0 if np.dtype(self.port.dtype).kind in "iu" else self.step


def parity(model: Model, reference: Model, inputs: Windows, *, tolerance: float | None = None) -> Parity:
    """Run the same windows on both, and compare every output.

    Args:
        model: on the target that is tested.
        reference: on a target that is trusted: ``host:?runtime=c`` for generated C.
        inputs: [n, …] of what `Model.run` takes.
        tolerance: largest difference that passes, in the units of the outputs. None asks for equal bits where
            both run generated C, and where one is an interpreter for what the model's recipe allows it.

    Raises:
        SpecError: the windows do not fit, or the two models do not.
        DeviceError: a target failed.
    """
    answers, expected = ask(model, inputs), ask(reference, inputs)
    return compare_answers(model, reference, answers, expected, tolerance)


def compare_answers(
    model: Model, reference: Model, answers: Answers, expected: Answers, tolerance: float | None = None
) -> Parity:
    """As `parity`, of what both have said already."""
    if tolerance is None:
        tolerance = 0.0 if exact(model) and exact(reference) else allowed(model)
    steps = steps_of(model) or steps_of(reference) or [0.0] * len(model.runtime.outputs)
    rules = []
    for port, step, array in zip(model.runtime.outputs, steps, expected.outputs, strict=True):
        largest = float(np.abs(port.dequantize(array)).max(initial=0.0)) if tolerance else 0.0
        rules.append(Rule(port, step, tolerance * max(1.0, largest) / (port.scale or 1.0)))
    return compare_outputs(expected.outputs, answers.outputs, rules, winner(model))


def exact(model: Model) -> bool:
    """Whether a model runs as generated C, which gives the same bits on every machine."""
    return model.runtime.name not in _INTERPRETERS


def allowed(model: Model) -> float:
    """How far another interpreter may be off, by the recipe that the model was made with."""
    lineage = model.contract.lineage if model.contract else None
    name = lineage.recipe if lineage else None
    return recipes.RECIPES[name if name in recipes.RECIPES else "int8"].tolerance


def steps_of(model: Model) -> Sequence[float] | None:
    """One step of each output's quantization in its units, where the runtime knows."""
    return getattr(model.runtime, "steps", None)


def winner(model: Model) -> int | None:
    """Index of the output that chooses a label; None where none does."""
    if not model.labels:
        return None
    return Answer(Interface(model.name, model.runtime, model.contract), model.contract, model.labels).output


def compare_outputs(
    expected: Sequence[NDArray[Any]],
    found: Sequence[NDArray[Any]],
    rules: Sequence[Rule],
    chooses: int | None = None,
) -> Parity:
    """Compare what two engines said to the same cases.

    Args:
        expected: [n, …] for each output, of the reference.
        found: likewise of the target.
        rules: for each output.
        chooses: index of the output whose largest score is the answer; None where there is none.

    Raises:
        SpecError: they are not of the same number, dtype or size.
    """
    _check_alike(expected, found)
    cases = len(expected[0])
    wrong = np.zeros(cases, bool)
    first: Mismatch | None = None
    different = off_by_one = 0
    largest = 0.0
    for rule, one, other in zip(rules, expected, found, strict=True):
        unlike = _unlike(one, other)
        apart = _distance(one, other)
        fails = ~(apart <= rule.tolerance) if rule.tolerance else unlike
        different += int(unlike.sum())
        if rule.one:
            off_by_one += int((unlike & (np.rint(apart / rule.one) == 1)).sum())
        largest = max(largest, float(apart.max(initial=0.0)) * rule.unit)
        wrong |= fails.any(axis=1)
        if fails.any():
            earliest = _first(rule.port, one, other, fails)
            first = earliest if first is None or earliest.case < first.case else first
    return Parity(
        cases=cases,
        mismatches=int(wrong.sum()),
        elements=sum(array.size for array in expected),
        different=different,
        off_by_one=off_by_one,
        max_difference=largest,
        argmax_agreement=None
        if chooses is None
        else _agreement(rules[chooses].port, expected[chooses], found[chooses]),
        tolerance=max((rule.tolerance * rule.unit for rule in rules), default=0.0),
        first=first,
    )


def _check_alike(expected: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> None:
    said = [
        [f"{array.dtype} [{len(array)}, {math.prod(array.shape[1:])}]" for array in arrays]
        for arrays in (expected, found)
    ]
    if said[0] != said[1]:
        raise SpecError(
            "the target and its reference do not say the same kind of thing",
            expected=", ".join(said[0]),
            found=", ".join(said[1]),
            remedy="compare a model with itself: the same file on both",
        )


def _rows(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(array).reshape(len(array), -1)


def _unlike(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    """Bool [n, elements]: other bits. A NaN is like itself, and minus zero is not like zero."""
    bits = np.dtype(f"u{one.dtype.itemsize}")
    return np.asarray(_rows(one).view(bits) != _rows(other).view(bits))


def _distance(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """float64 [n, elements]; infinite where only one is NaN or infinite."""
    a, b = _rows(one).astype(np.float64), _rows(other).astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.abs(a - b)
    alike = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.where(alike, 0.0, np.where(np.isnan(apart), np.inf, apart))


def _first(port: Port, one: NDArray[Any], other: NDArray[Any], fails: NDArray[np.bool_]) -> Mismatch:
    case, element = (int(n) for n in np.argwhere(fails)[0])
    shape = port.window_shape if math.prod(port.window_shape) == fails.shape[1] else (fails.shape[1],)
    index = tuple(int(n) for n in np.unravel_index(element, shape)) if shape else ()
    return Mismatch(
        case, port.name, index, float(_rows(one)[case, element]), float(_rows(other)[case, element])
    )


def _agreement(port: Port, one: NDArray[Any], other: NDArray[Any]) -> float:
    winners = [compare.decide(port.dequantize(_rows(array))) for array in (one, other)]
    return float(np.mean(winners[0] == winners[1]))
