"""From a sensor's block to the sink's callable, without the invoke, at 1 kHz."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.measure import Row
from edge_sdk import Block, Model, Pipeline, ticks
from edge_sdk.blocks import boottime_s
from edge_sdk.contract import Channel, Contract, Input, Output

RATE_HZ, SECONDS, ROUNDS = 1000.0, 3, 5


def rows(mlp: Path) -> list[Row]:
    """Blocks of one sample, each of which completes a window."""
    bare = Model.load(mlp)
    contract = Contract(
        name="mlp",
        task="classification",
        input=Input(tuple(Channel(f"c{i}") for i in range(33)), RATE_HZ, 1, 1),
        output=Output(bare.labels),
    )
    model = Model.load(mlp, contract=dataclasses.replace(contract))
    rounds = [_run(model) for _ in range(ROUNDS)]
    p50, p99 = (statistics.median(figures[i] for figures in rounds) for i in (0, 1))
    unaccounted = sum(figures[2] for figures in rounds)
    return [
        Row("block → sink at 1 kHz without the invoke, p50", f"{p50:.0f} µs", "", "", "≤ 150 µs", p50 <= 150),
        Row(
            "block → sink at 1 kHz without the invoke, p99", f"{p99:.0f} µs", "", "", "≤ 1000 µs", p99 <= 1000
        ),
        Row("unaccounted samples of the same", str(unaccounted), "", "", "0", unaccounted == 0),
    ]


def _run(model: Model) -> tuple[float, float, int]:
    """p50 and p99, µs, and samples that the ledger does not account for."""
    delays: list[float] = []

    def sink(prediction: object) -> None:
        delays.append((boottime_s() - prediction.time_s) * 1e6 - prediction.latency_us)  # type: ignore[attr-defined]

    report = Pipeline(model, sources=[_sensor()], sinks=[sink]).run()
    unaccounted = (
        int(RATE_HZ * SECONDS) - report.ledger.samples.used - sum(report.ledger.samples.dropped.values())
    )
    steady = delays[100:]
    return float(np.percentile(steady, 50)), float(np.percentile(steady, 99)), unaccounted


def _sensor() -> Iterator[Block]:
    samples = np.zeros((1, 33), np.float32)
    for _ in ticks(RATE_HZ, limit=int(RATE_HZ * SECONDS)):
        yield Block(samples, RATE_HZ)
