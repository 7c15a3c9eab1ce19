"""What a model costs on a target: instructions or time, memory, and what the link had to repair."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_sdk.model import Model
from firmware_bridge.answers import Answers, Windows, ask

_MEMORY = ("flash_bytes", "arena_bytes", "stack_bytes")


@dataclass(frozen=True, slots=True)
class Measurement:
    """Of many inferences on one target. What a target cannot tell is None.

    Attributes:
        n: inferences.
        instructions: of the longest one, on an emulated core.
        latency_us: median of one, by the clock of the machine that runs it, µs; None on an emulated core,
            whose time means nothing, and on a machine behind ``ssh:``, whose target measures apart from this.
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
