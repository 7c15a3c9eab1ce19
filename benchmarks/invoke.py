"""`Model.run` against bare LiteRT: set_tensor, invoke, get_tensor."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from benchmarks.measure import Row, interleaved, ratio
from edge_sdk import Model

_LARGE_US = 150.0  # from here on the ratio counts, below it the microseconds


def rows(models: Mapping[str, Path]) -> list[Row]:
    """One row a model."""
    return [_row(name, path) for name, path in models.items()]


def _row(name: str, path: Path) -> Row:
    model = Model.load(path)
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    window = np.random.default_rng(0).normal(size=model.input_shape).astype(np.float32)
    batch = window[None]
    source = interpreter.get_input_details()[0]["index"]
    result = interpreter.get_output_details()[0]["index"]

    def bare() -> None:
        interpreter.set_tensor(source, batch)
        interpreter.invoke()
        interpreter.get_tensor(result)

    times = interleaved(15, 2000 if name == "mlp" else 400, ours=lambda: model.run(window), bare=bare)
    ours, other = (statistics.median(times[key]) * 1e6 for key in ("ours", "bare"))
    added, slower = ours - other, ratio(times["ours"], times["bare"])
    large = other >= _LARGE_US
    return Row(
        f"Model.run over bare LiteRT, {name} int8",
        f"{ours:.2f} µs",
        f"{other:.2f} µs",
        f"{added:+.2f} µs, {slower:.3f}×",
        "≤ 1.05×" if large else "≤ +5 µs",
        slower <= 1.05 if large else added <= 5,
    )
