"""What a model costs on a target: instructions or time, memory, and what the link had to repair."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edge_sdk.bench.plan import Plan, Round
from edge_sdk.bench.record import Record, Tally, fed
from edge_sdk.bench.session import Tell
from edge_sdk.bench.subject import Subject
from edge_sdk.errors import ModelError
from edge_sdk.model import Model
from edge_sdk.targets import Key
from firmware_bridge.answers import Answers, Windows, ask, ask_raw

_MEMORY = ("flash_bytes", "arena_bytes", "stack_bytes")


@dataclass(frozen=True, slots=True)
class Measurement:
    """Of many inferences on one target. What a target cannot tell is None.

    Attributes:
        n: inferences.
        instructions: of the longest one, on an emulated core.
        latency_us: median of one, by the clock of the machine that runs it, µs; None on an emulated core,
            whose time means nothing.
        latency_max_us: of the longest one, µs.
        flash_bytes: of the firmware: code and constants.
        arena_bytes: static memory of the model.
        stack_bytes: deepest that the stack has been.
        link: what the link counted, by name; empty where there is none.
    """

    n: int
    instructions: int | None = None
    latency_us: float | None = None
    latency_max_us: float | None = None
    flash_bytes: int | None = None
    arena_bytes: int | None = None
    stack_bytes: int | None = None
    link: Mapping[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain Python values for JSON."""
        return {
            "instructions": self.instructions,
            "latency_us": self.latency_us,
            "latency_max_us": self.latency_max_us,
            **{name: getattr(self, name) for name in _MEMORY},
            "link": dict(self.link),
        }


def measure(model: Model, inputs: Windows) -> Measurement:
    """Run windows and measure.

    Args:
        model: on any target.
        inputs: [n, …] of what `Model.run` takes.

    Raises:
        SpecError: the windows do not fit the model.
        DeviceError: the target failed.
    """
    return measured(model, ask(model, inputs))


def measured(model: Model, answers: Answers) -> Measurement:
    """As `measure`, of what a model has said already."""
    figures: dict[str, Any] = dict(model.runtime.figures()) if hasattr(model.runtime, "figures") else {}
    times = answers.latencies_us
    return Measurement(
        n=len(answers),
        instructions=max(answers.instructions, default=None),
        latency_us=statistics.median(times) if times else None,
        latency_max_us=max(times, default=None),
        **{name: figures.pop(name, None) for name in _MEMORY},
        link=figures,
    )


def on_boards(
    load: Callable[[Path], Model], subjects: Mapping[Key, Subject], plan: Plan, tell: Tell
) -> dict[Key, Record | ModelError]:
    """As `recorded`, of several models, one after the other: a board holds no more.

    Args:
        load: of the target.
        subjects: the models.
        plan: how long.
        tell: told of each step.

    Returns:
        What was found of each, or why the board refuses it.

    Raises:
        DeviceError: the board failed.
    """
    found: dict[Key, Record | ModelError] = {}
    for key, subject in subjects.items():
        tell(f"loading {subject.file.name}")
        try:
            model = load(subject.file)
        except ModelError as error:
            found[key] = error
            continue
        with model:
            found[key] = recorded(model, subject, plan, tell)
    return found


def recorded(model: Model, subject: Subject, plan: Plan, tell: Tell) -> Record:
    """What ``edgeml bench`` tells of a model on a board: by the board's own clock, or its instructions.

    An emulated core computes the same at every run: it is given each input once, unless the plan says how
    often. A board with a clock is measured in rounds, as every machine is.

    Args:
        model: on a board.
        subject: the same, as a file.
        plan: how long.
        tell: told of each step.

    Raises:
        DeviceError: the board failed.
    """
    rows = fed(subject.inputs, model.runtime.inputs)
    started = time.perf_counter()
    first = ask_raw(model, rows)
    once_s = (time.perf_counter() - started) / len(rows)
    tally = Tally(1)
    instructions = list(first.instructions)
    if first.latencies_us:
        rounds = plan.rounds(once_s)
        tally, began = Tally(len(rounds)), time.perf_counter()
        for number, each in enumerate(rounds):
            at = time.perf_counter()
            took = _round(model, rows, each).latencies_us
            tally.add(took, at - began, time.perf_counter() - at)
            median_us = tally.turns[-1].latency_us["p50"]
            tell(f"round {number + 1} of {len(rounds)}: {median_us:,.1f} µs")
    elif plan.runs is not None and plan.runs > len(rows):
        instructions += _round(model, rows, Round(runs=plan.runs - len(rows))).instructions
    cost = measured(model, first)
    return Record(
        runtime=model.runtime.name,
        version=model.runtime.version,
        threads=None,
        outputs=tuple(
            array.reshape(len(array), *port.window_shape)
            for array, port in zip(first.outputs, model.runtime.outputs, strict=True)
        ),
        n=tally.n or max(len(first), plan.runs or 0),
        latency_us=tally.latency_us if tally.n else None,
        curve_us=tuple(tally.curve_us) if tally.n else (),
        turns=tuple(tally.turns),
        instructions=max(instructions, default=None),
        link=cost.link,
        **{name: getattr(cost, name) for name in _MEMORY},
    )


def _round(model: Model, rows: list[list[NDArray[Any]]], each: Round) -> Answers:
    """So many inferences, or for so long by this machine's clock: a board's own does not count the line."""
    end_s = time.perf_counter() + each.seconds

    def given() -> Iterator[list[NDArray[Any]]]:
        for number in itertools.count(1):
            yield rows[(number - 1) % len(rows)]
            if number == each.runs or (each.runs is None and time.perf_counter() >= end_s):
                return

    return ask_raw(model, given())
