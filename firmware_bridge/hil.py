"""The same cases on a target and on a reference: parity, accuracy, cost, and the gates they must pass.

``edgeml hil`` and the pytest plugin are made of these; `parity` and `measure` take models from anywhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from converters import compare
from converters.compare import Evaluation
from edge_sdk.errors import ConfigError, GateError
from edge_sdk.model import Model
from edge_sdk.modelfile import Golden
from edge_sdk.registry import Url
from firmware_bridge import cases
from firmware_bridge.answers import Answers, ask, ask_raw
from firmware_bridge.cases import Cases
from firmware_bridge.gates import Gate, Limits, judge
from firmware_bridge.measurement import Measurement, measure, measured
from firmware_bridge.parity import (
    Mismatch,
    Parity,
    Rule,
    compare_answers,
    compare_outputs,
    exact,
    parity,
    steps_of,
    winner,
)
from firmware_bridge.subject import Subject, golden_rows

__all__ = ["Limits", "Measurement", "Mismatch", "Parity", "Report", "Request", "measure", "parity", "run"]

#: Windows of a test set that are run unless more are asked for.
MOST_CASES = 100


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be tried.

    Attributes:
        model: a .tflite.
        target: URL of where it is tried.
        data: a dataset folder or an .npz; None for what is in the file.
        reference: URL of what it is held against; None chooses by what the target runs.
        limits: for the gates.
        most: windows of the data that are run, spread over all.
        tell: told of each step.
    """

    model: Path
    target: str
    data: Path | None = None
    reference: str | None = None
    limits: Limits = field(default_factory=Limits)
    most: int = MOST_CASES
    tell: Callable[[str], None] = lambda step: None


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it.

    Attributes:
        subject: the model file.
        target: URL.
        reference: URL.
        basis: what the cases were.
        parity: with the reference, over all cases.
        golden: with the golden vectors, which LiteRT made; None where the file has none.
        evaluation: accuracy on the target; None without labels.
        measurement: of all inferences.
        gates: all that there were.
        note: what the user should know; None where there is nothing.
        seconds: that it took.
    """

    subject: Subject
    target: str
    reference: str
    basis: str
    parity: Parity
    golden: Parity | None
    evaluation: Evaluation | None
    measurement: Measurement
    gates: tuple[Gate, ...]
    note: str | None
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every gate does."""
        return all(gate.passed for gate in self.gates)

    def as_dict(self) -> dict[str, Any]:
        """The object of ``edgeml hil --json``."""
        reached = self.evaluation
        return {
            "model": str(self.subject.file),
            "digest": self.subject.digest,
            "target": self.target,
            "reference": self.reference,
            "basis": self.basis,
            **self.parity.as_dict(),
            "golden": None if self.golden is None else self.golden.as_dict(),
            **self.measurement.as_dict(),
            "accuracy": None if reached is None else reached.accuracy,
            "interval": None if reached is None else list(reached.interval),
            "n": None if reached is None else reached.n,
            "gates": [gate.as_dict() for gate in self.gates],
            "note": self.note,
            "seconds": round(self.seconds, 3),
            "passed": self.passed,
        }

    def check(self) -> None:
        """Raise where a gate failed.

        Raises:
            GateError: which, and by how much.
        """
        failed = [gate for gate in self.gates if not gate.passed]
        if failed:
            raise GateError(
                f"{self.subject.file} on {self.target}: {len(failed)} of {len(self.gates)} gates failed",
                expected="; ".join(f"{gate.name}: {gate.expected}" for gate in failed),
                found="; ".join(f"{gate.name}: {gate.found}" for gate in failed),
            )


def with_faults(target: str, faults: str) -> str:
    """The URL of a target whose line is worse than it needs to be.

    Args:
        target: URL of a board.
        faults: ``drop=0.0001,corrupt=0.0001``: options of its URL.

    Raises:
        ConfigError: not such a list.
    """
    parsed = Url.parse(target)
    pairs = [item.partition("=") for item in faults.split(",")]
    if not all(name.strip() and value.strip() for name, _, value in pairs):
        raise ConfigError("--faults", expected="drop=0.0001,corrupt=0.0001 and the like", found=repr(faults))
    more = {name.strip(): value.strip() for name, _, value in pairs}
    return str(Url(parsed.scheme, parsed.location, {**parsed.options, **more}))


def reference_for(model: Model) -> str:
    """What a target is held against: the same generated C, or else the same interpreter, on this machine."""
    return "host:?runtime=c" if exact(model) else "host:"


def run(request: Request) -> Report:
    """Run golden vectors and test set on the target and on the reference, and judge.

    Raises:
        ModelError: the file cannot be used, or not on this target.
        DatasetError: the data do not fit it.
        ConfigError: a limit on what the target cannot tell.
        DeviceError: the target failed.
    """
    started = time.monotonic()
    subject = Subject.read(request.model)
    request.tell(f"loading {subject.file.name} on {request.target}")
    with Model.load(subject.file, target=request.target) as model:
        url = request.reference or reference_for(model)
        if url == request.target:
            request.tell("target and reference are the same: only golden vectors tell anything")
        request.tell(f"loading the reference on {url}")
        with Model.load(subject.file, target=url) as reference:
            trial = _Trial(request, subject, model, reference)
            trial.run()
            return trial.report(url, started)


class _Trial:
    """One model on both sides, and what both have said so far."""

    def __init__(self, request: Request, subject: Subject, model: Model, reference: Model) -> None:
        self._request, self._subject = request, subject
        self._model, self._reference = model, reference
        self._said: list[Answers] = []
        self._expected: list[Answers] = []
        self._basis: list[str] = []
        self._golden: Parity | None = None
        self._evaluation: Evaluation | None = None
        self._note: str | None = None

    def run(self) -> None:
        given = None
        if self._request.data is not None or self._subject.golden is None:
            # Wrong data are found before anything is run.
            given = cases.load(self._request.data, self._subject, self._model).at_most(self._request.most)
        if self._subject.golden is not None:
            self._vectors(self._subject.golden)
        if given is not None:
            self._windows(given)

    def report(self, reference: str, started: float) -> Report:
        said, expected = _joined(self._said), _joined(self._expected)
        same = compare_answers(self._model, self._reference, said, expected)
        cost = measured(self._model, said)
        return Report(
            self._subject,
            self._request.target,
            reference,
            " and ".join(self._basis),
            same,
            self._golden,
            self._evaluation,
            cost,
            judge(self._request.limits, same, self._golden, self._evaluation, cost),
            self._note,
            time.monotonic() - started,
        )

    def _vectors(self, golden: Golden) -> None:
        self._tell(f"{len(golden)} golden vectors")
        rows = golden_rows(golden, self._model)
        self._said.append(ask_raw(self._model, rows))
        self._expected.append(ask_raw(self._reference, rows))
        ports = self._model.runtime.outputs
        steps = steps_of(self._model) or steps_of(self._reference) or [0.0] * len(ports)
        rules = [Rule(*facts) for facts in zip(ports, steps, golden.tolerances, strict=True)]
        self._golden = compare_outputs(golden.outputs, self._said[-1].outputs, rules, winner(self._model))

    def _windows(self, given: Cases) -> None:
        self._tell(given.basis)
        self._note = given.note
        said = ask(self._model, given.windows)
        self._said.append(said)
        self._expected.append(ask(self._reference, given.windows))
        chooses = winner(self._model)
        if given.labels is not None and chooses is not None:
            scores = self._model.runtime.outputs[chooses].dequantize(said.outputs[chooses])
            rows = scores.reshape(len(scores), -1)
            self._evaluation = compare.evaluate(rows, given.labels, given.groups)

    def _tell(self, basis: str) -> None:
        self._basis.append(basis)
        self._request.tell(f"running {basis}")


def _joined(answers: list[Answers]) -> Answers:
    first, *rest = answers
    for more in rest:
        first = first + more
    return first
