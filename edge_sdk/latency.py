"""How long an inference takes: several models in turn, so that a machine that drifts slows all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_sdk.runtimes import Runtime

Key = TypeVar("Key", bound=Hashable)
_ROUNDS = 7
#: What one model may take of one round, s.
_ROUND_S = 0.05
_MOST_CALLS = 200


def measure(runtimes: Mapping[Key, Runtime], inputs: Sequence[NDArray[Any]]) -> dict[Key, float]:
    """Median time of one inference of each model, µs: set inputs, invoke, get outputs.

    Args:
        runtimes: with models that take the same inputs, loaded on the machine that this runs on.
        inputs: one array [1, …] for each input, in its units; quantized for models that take integers.
    """
    fed = {
        key: [port.quantize(array) for port, array in zip(runtime.inputs, inputs, strict=True)]
        for key, runtime in runtimes.items()
    }
    calls = {key: _calls_for(runtime, fed[key]) for key, runtime in runtimes.items()}
    medians: dict[Key, list[float]] = {key: [] for key in runtimes}
    for _ in range(_ROUNDS):
        for key, runtime in runtimes.items():
            medians[key].append(statistics.median(_times(runtime, fed[key], calls[key])))
    return {key: 1e6 * statistics.median(found) for key, found in medians.items()}


def _calls_for(runtime: Runtime, inputs: Sequence[NDArray[Any]]) -> int:
    once = min(_times(runtime, inputs, 5))
    return max(3, min(_MOST_CALLS, int(_ROUND_S / once)))


def _times(runtime: Runtime, inputs: Sequence[NDArray[Any]], calls: int) -> list[float]:
    invoke, found = runtime.invoke, []
    for _ in range(calls):
        started = time.perf_counter()
        invoke(inputs)
        found.append(time.perf_counter() - started)
    return found
