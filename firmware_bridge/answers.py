"""What a model says to many windows, one by one as a device gets them, and what each answer cost."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.device import RemoteRuntime
from edge_sdk.errors import SpecError
from edge_sdk.interface import Interface
from edge_sdk.model import Model
from edge_sdk.runtimes import Runtime
from firmware_bridge.board_runtime import BoardRuntime

#: One array [n, …] of windows, or one for each input by its name: what `Model.run_batch` takes.
Windows = NDArray[Any] | Mapping[str, NDArray[Any]]
Arrays = Sequence[NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Answers:
    """Of one model to many cases.

    Attributes:
        outputs: [n, …] for each output, as the runtime holds them.
        instructions: of each inference, where an emulated core counted them; else empty.
        latencies_us: of each inference, where a clock measured it, µs; else empty.
    """

    outputs: tuple[NDArray[Any], ...]
    instructions: tuple[int, ...] = ()
    latencies_us: tuple[float, ...] = ()

    def __len__(self) -> int:
        """How many cases there were."""
        return len(self.outputs[0])

    def __add__(self, other: Answers) -> Answers:
        """These, then those of the same model to other cases."""
        pairs = zip(self.outputs, other.outputs, strict=True)
        return Answers(
            tuple(np.concatenate(pair) for pair in pairs),
            self.instructions + other.instructions,
            self.latencies_us + other.latencies_us,
        )


def count(windows: Windows) -> int:
    """How many windows there are.

    Raises:
        SpecError: none, or not as many for each input.
    """
    arrays = list(windows.values()) if isinstance(windows, Mapping) else [windows]
    counts = {len(array) if np.ndim(array) else 0 for array in arrays}
    if len(counts) != 1 or 0 in counts:
        raise SpecError("windows", expected="at least one, as many for each input", found=sorted(counts))
    return counts.pop()


def ask(model: Model, windows: Windows) -> Answers:
    """Run every window.

    A model whose contract names states takes the windows for one stream; every other one sees each window
    alone.

    Args:
        model: on any target.
        windows: [n, …] of what `Model.run` takes.

    Raises:
        SpecError: the windows do not fit the model.
        DeviceError: the target failed.
    """
    interface = Interface(model.name, model.runtime, model.contract)
    state = interface.initial_state()
    recorder = _Recorder(model.runtime)
    for row in range(count(windows)):
        window = (
            {name: array[row] for name, array in windows.items()}
            if isinstance(windows, Mapping)
            else windows[row]
        )
        interface.remember(recorder.invoke(interface.gather(window, (state,))), (state,))
    return recorder.answers()


def ask_raw(model: Model, rows: Iterable[Arrays]) -> Answers:
    """Run inputs as the tensors hold them: arrays [1, …] for each input, in the runtime's order."""
    recorder = _Recorder(model.runtime)
    for row in rows:
        recorder.invoke(row)
    return recorder.answers()


class _Recorder:
    """Invokes a runtime and keeps what it said and what that cost."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        if isinstance(runtime, BoardRuntime):
            # Where an emulated core counts the first inference only, these begin anew.
            runtime.count_next()
        self._said: list[list[NDArray[Any]]] = []
        self._instructions: list[int] = []
        self._latencies_us: list[float] = []

    def invoke(self, inputs: Arrays) -> list[NDArray[Any]]:
        started = time.perf_counter()
        said = self._runtime.invoke(inputs)
        elapsed_us = (time.perf_counter() - started) * 1e6
        self._said.append(said)
        self._charge(elapsed_us)
        return said

    def answers(self) -> Answers:
        outputs = tuple(np.stack(column) for column in zip(*self._said, strict=True))
        return Answers(outputs, tuple(self._instructions), tuple(self._latencies_us))

    def _charge(self, elapsed_us: float) -> None:
        """What is far away measures for itself: this process would measure mostly the line to it."""
        if isinstance(self._runtime, RemoteRuntime):
            if self._runtime.last_latency_us is not None:
                self._latencies_us.append(self._runtime.last_latency_us)
            return
        if not isinstance(self._runtime, BoardRuntime):
            self._latencies_us.append(elapsed_us)
            return
        cost = self._runtime.last_cost
        if cost is not None and cost.unit == "instructions":
            self._instructions.append(cost.value)
        elif cost is not None:
            self._latencies_us.append(cost.value / 1000)
