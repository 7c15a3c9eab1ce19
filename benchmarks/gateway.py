"""A thousand devices through one model: windows in batches over one by one; and what a device takes.

The model's part is what batches can save. The whole loop (blocks checked and cut, decisions, books) is Python
for each device, and is reported beside it.
"""

from __future__ import annotations

import dataclasses
import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from benchmarks.measure import Row, ratio
from edge_sdk import Block, Model
from edge_sdk.contract import Channel, Contract, Input, Output
from edge_sdk.inference import Inference

DEVICES, ROUNDS = 1000, 7
#: An MLP and a Conv1D gain by batches; a DS-CNN is bound by its arithmetic and only reported.
_BUDGETS = {"mlp": 3.0, "conv1d": 3.0}


def rows(models: Mapping[str, Path]) -> list[Row]:
    """Two rows a model, and one for the memory."""
    found = [row for name, path in models.items() for row in _rows(name, _loaded(path))]
    return [*found, _memory(models["conv1d"])]


def _rows(name: str, model: Model) -> list[Row]:
    shape = (DEVICES, model.window, model.channel_count)
    windows = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    blocks = [Block(window, 50.0, device=f"device-{i:04d}") for i, window in enumerate(windows)]
    loops = [Inference(model), Inference(model)]
    ways: dict[str, Callable[[], int]] = {
        "run": lambda: sum(1 for window in windows if model.run(window)),
        "run_batch": lambda: len(model.run_batch(windows)),
        "push": lambda: _one_by_one(loops[0], blocks),
        "gather": lambda: _together(loops[1], blocks),
    }
    times: dict[str, list[float]] = {way: [] for way in ways}
    for nth in range(ROUNDS + 1):
        for way, run in ways.items():
            started = time.perf_counter()
            count = run()
            assert count == DEVICES
            if nth == 0:
                gc.freeze()  # as a pipeline does when it has warmed up
            if nth:  # the first round makes the devices, and an engine for each size of batch
                times[way].append(time.perf_counter() - started)
    return [
        _row(
            f"{DEVICES} devices, {name}: run_batch over run",
            times["run_batch"],
            times["run"],
            _BUDGETS.get(name),
        ),
        _row(f"{DEVICES} devices, {name}: the whole loop", times["gather"], times["push"], None),
    ]


def _row(what: str, ours: list[float], other: list[float], budget: float | None) -> Row:
    faster = ratio(other, ours)
    a_second = [f"{DEVICES / statistics.median(times):,.0f}/s" for times in (ours, other)]
    met = faster >= budget if budget else None
    return Row(what, *a_second, f"{faster:.2f}×", f"≥ {budget:g}×" if budget else "", met)


def _one_by_one(inference: Inference, blocks: list[Block]) -> int:
    return sum(1 for block in blocks for _ in inference.push(block))


def _together(inference: Inference, blocks: list[Block]) -> int:
    count = sum(1 for block in blocks for _ in inference.gather(block))
    return count + sum(1 for _ in inference.flush())


def _memory(path: Path) -> Row:
    """Of 10,000 devices in mid-window, a device."""
    inference = Inference(_loaded(path))
    values = np.zeros((3, inference.model.channel_count), np.float32)
    blocks = [Block(values, 50.0, device=f"device-{i:05d}") for i in range(10_000)]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    _one_by_one(inference, blocks)
    each = (tracemalloc.get_traced_memory()[0] - before) / len(blocks)
    tracemalloc.stop()
    return Row(
        "memory of one device, window of 100 × 6, over what is stated",
        f"{each:,.0f} B",
        f"{inference.device_bytes:,} B",
        f"{each / inference.device_bytes:.2f}×",
    )


def _loaded(path: Path) -> Model:
    """With a contract that makes windows of the whole input."""
    bare = Model.load(path)
    window = bare.input_shape[0] if len(bare.input_shape) > 1 else 1
    channels = tuple(Channel(f"c{i}") for i in range(int(np.prod(bare.input_shape)) // window))
    contract = Contract(
        name=path.stem,
        task="classification",
        input=Input(channels, 50.0, window, window),
        output=Output(bare.labels),
    )
    return Model.load(path, contract=dataclasses.replace(contract))
