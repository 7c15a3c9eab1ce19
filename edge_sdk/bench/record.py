"""What was found of one model on one target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from edge_sdk.bench.machine import Conditions

if TYPE_CHECKING:
    from edge_sdk.runtimes import Port

#: What is said of a distribution, by name.
PERCENTILES: Mapping[str, float] = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
#: Shares at which a distribution is kept, dense where it is steep.
GRID = np.unique(np.concatenate([np.linspace(0, 1, 101), np.linspace(0.9, 1, 51), [0.995, 0.999]]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One round of one model.

    Attributes:
        at_s: when it began, since the first one did.
        seconds: that it took.
        n: inferences in it.
        latency_us: ``p50``, ``p90``, ``p99``, ``max``.
        conditions: of the machine at its end; None where it does not tell.
    """

    at_s: float
    seconds: float
    n: int
    latency_us: Mapping[str, float]
    conditions: Conditions | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain Python values for JSON: the arguments of `Turn`."""
        found = {name: getattr(self, name) for name in ("at_s", "seconds", "n")}
        told = None if self.conditions is None else self.conditions.as_dict()
        return {**found, "latency_us": dict(self.latency_us), "conditions": told}

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """From `as_dict`."""
        told = facts["conditions"]
        return cls(**{**facts, "conditions": None if told is None else Conditions.of(told)})


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What was found of one model on one target. What a target cannot tell is None or empty.

    Attributes:
        runtime: name of the engine.
        version: of it; of a board, its core.
        threads: that the engine may use.
        outputs: [n, …] for each output, as the runtime holds them: the answers to the subject's inputs.
        n: inferences that were measured.
        latency_us: ``p50``, ``p90``, ``p99``, ``max`` of all; by the clock of the machine that ran them.
        curve_us: latency at the shares `GRID`.
        turns: the rounds.
        rss_bytes: memory of a process that has the runtime and this model alone, and has run it.
        model_bytes: how much of it came with the model.
        cpu_share: processor time for each second of the measurement: 1.0 is one core, busy.
        before: conditions before the first round.
        machine: facts about it, as `edge_sdk.bench.machine.facts`.
        instructions: of the longest inference, on an emulated core.
        flash_bytes: of a board's firmware.
        arena_bytes: static memory of the model, of generated C.
        stack_bytes: deepest that a board's stack has been.
        link: what the link to a board counted, by name.
    """

    runtime: str
    version: str
    threads: int | None
    outputs: tuple[NDArray[Any], ...]
    n: int
    latency_us: Mapping[str, float] | None = None
    curve_us: tuple[float, ...] = ()
    turns: tuple[Turn, ...] = ()
    rss_bytes: int | None = None
    model_bytes: int | None = None
    cpu_share: float | None = None
    before: Conditions | None = None
    machine: Mapping[str, Any] = field(default_factory=dict)
    instructions: int | None = None
    flash_bytes: int | None = None
    arena_bytes: int | None = None
    stack_bytes: int | None = None
    link: Mapping[str, int] = field(default_factory=dict)


class Tally:
    """The latencies of one model, round by round, in bounded memory.

    Args:
        rounds: that there will be.
        most: inferences whose latency is kept for the distribution; the longest is known in any case.
    """

    def __init__(self, rounds: int, most: int = 1 << 21) -> None:
        self._keep = max(1, most // max(rounds, 1))
        self._kept: list[NDArray[np.float32]] = []
        self._longest_us = 0.0
        self.n = 0
        self.turns: list[Turn] = []

    def add(
        self, latencies_us: Sequence[float] | NDArray[Any], at_s: float, seconds: float, **facts: Any
    ) -> None:
        """A round: its latencies, when it began, how long it took, and the conditions at its end."""
        found = np.asarray(latencies_us, np.float64)
        self.turns.append(Turn(at_s=at_s, seconds=seconds, n=len(found), latency_us=summary(found), **facts))
        self.n += len(found)
        self._longest_us = max(self._longest_us, float(found.max()))
        # Every so many, the same number for all rounds: then each stands for as many inferences.
        self._kept.append(found[:: -(-len(found) // self._keep)].astype(np.float32))

    @property
    def latency_us(self) -> dict[str, float]:
        """Of all rounds."""
        return {**summary(np.concatenate(self._kept)), "max": self._longest_us}

    @property
    def curve_us(self) -> list[float]:
        """Of all rounds, at the shares `GRID`."""
        found = np.quantile(np.concatenate(self._kept), GRID)
        found[-1] = self._longest_us
        return [float(value) for value in found]


def summary(latencies_us: NDArray[Any]) -> dict[str, float]:
    """``p50``, ``p90``, ``p99`` and ``max``, µs."""
    found = np.quantile(latencies_us, list(PERCENTILES.values()))
    named = dict(zip(PERCENTILES, (float(value) for value in found), strict=True))
    return {**named, "max": float(latencies_us.max())}


def fed(inputs: Sequence[NDArray[Any]], ports: Sequence[Port]) -> list[list[NDArray[Any]]]:
    """A subject's inputs one window after the other, as a runtime takes them.

    Args:
        inputs: [n, …] for each input: in its units, or in the type of the tensor.
        ports: of the runtime.
    """
    return [
        [
            (array[row] if array.dtype == port.dtype else port.quantize(array[row])).reshape(port.shape)
            for array, port in zip(inputs, ports, strict=True)
        ]
        for row in range(len(inputs[0]))
    ]


def said(answers: Sequence[Sequence[NDArray[Any]]], ports: Sequence[Port]) -> tuple[NDArray[Any], ...]:
    """What a runtime said to `fed`, as [n, …] for each output."""
    columns = zip(*answers, strict=True)
    return tuple(
        np.stack([np.asarray(array).reshape(port.window_shape) for array in column])
        for column, port in zip(columns, ports, strict=True)
    )
