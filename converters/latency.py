"""How long an inference takes: several models in turn, so that a machine that drifts slows all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from edge_sdk.model import Model

Key = TypeVar("Key", bound=Hashable)
_ROUNDS = 7
#: What one model may take of one round, s.
_ROUND_S = 0.05
_MOST_CALLS = 200


def measure(
    files: Mapping[Key, Path], inputs: Sequence[NDArray[Any]], target: str = "host:"
) -> dict[Key, float]:
    """Median time of one inference of each model, µs: set inputs, invoke, get outputs.

    Args:
        files: .tflite files that take the same inputs.
        inputs: one array [1, …] for each input.
        target: where they run.
    """
    models = {key: Model.load(file, target=target) for key, file in files.items()}
    try:
        fed = {
            key: [port.quantize(array) for port, array in zip(model.runtime.inputs, inputs, strict=True)]
            for key, model in models.items()
        }
        calls = {key: _calls_for(model, fed[key]) for key, model in models.items()}
        medians: dict[Key, list[float]] = {key: [] for key in models}
        for _ in range(_ROUNDS):
            for key, model in models.items():
                medians[key].append(statistics.median(_times(model, fed[key], calls[key])))
    finally:
        for model in models.values():
            model.close()
    return {key: 1e6 * statistics.median(found) for key, found in medians.items()}


def _calls_for(model: Model, inputs: Sequence[NDArray[Any]]) -> int:
    once = min(_times(model, inputs, 5))
    return max(3, min(_MOST_CALLS, int(_ROUND_S / once)))


def _times(model: Model, inputs: Sequence[NDArray[Any]], calls: int) -> list[float]:
    invoke, found = model.runtime.invoke, []
    for _ in range(calls):
        started = time.perf_counter()
        invoke(inputs)
        found.append(time.perf_counter() - started)
    return found
