"""Snapshots of pipelines as they are in the field, real but for the run behind them."""

from __future__ import annotations

from collections import Counter

import numpy as np

from edge_sdk.ledger import Ledger, Samples, SinkAccount
from edge_sdk.metrics import Histogram
from edge_sdk.prediction import Prediction
from edge_sdk.snapshot import ModelState, OutboxState, SinkState, Snapshot, SourceState

LABELS = ("rest", "walk", "fall")


def histogram(count: int, typical_us: float, seed: int = 1) -> Histogram:
    made = Histogram()
    for us in np.random.default_rng(seed).lognormal(np.log(typical_us), 0.4, count):
        made.observe(float(us))
    return made


def prediction(sequence: int, device: str = "press-7") -> Prediction:
    label = LABELS[sequence // 7 % 3]
    event = "start" if sequence % 7 == 0 else "end" if sequence % 7 == 6 else None
    outputs = np.array([0.1, 0.2, 0.7], np.float32)
    return Prediction(
        label,
        0.7 + sequence % 30 / 100,
        None,
        outputs,
        device,
        "a1b2c3d4",
        sequence,
        wall_s=1.8e9,
        event=event,
    )


def moment(*, sources: int = 2, sinks: int = 2, predictions: int = 1000, progress: int = 1) -> Snapshot:
    """A healthy pipeline of this size; the books balance."""
    half = predictions // 2
    books = {
        f"https://host-{n}.example/hook": SinkAccount(0, predictions, predictions - n, n)
        for n in range(sinks)
    }
    queued = max(0, sinks - 1)
    return Snapshot(
        device="press-7",
        uptime_s=predictions / 12.5,
        ready=True,
        progress=progress,
        clock_synced=True,
        ledger=Ledger(
            samples=Samples(4 * predictions + 54, 4 * predictions, 4, Counter(gap=50)),
            predictions=predictions,
            delivered=predictions - queued,
            queued=queued,
            sinks=books,
            faults=Counter(gap=3),
        ),
        sources=[
            SourceState(
                f"mqtt://broker/plant/line-{n}/+/imu", True, n % 3, 0.02 * n, 20, Counter(gap=n % 4), n % 2
            )
            for n in range(sources)
        ],
        models=[
            ModelState(
                name="motion",
                run_id="a1b2c3d4",
                digest="sha256:9f2c0e",
                invoke=histogram(1000, 44),
                batches=half,
                windows=predictions,
                devices=20 * sources,
                device_bytes=2896,
                labels=Counter(rest=half, walk=predictions - half),
            )
        ],
        sinks=[
            SinkState(name, "outbox", True, account, n, histogram(1000, 900, n))
            for n, (name, account) in enumerate(books.items())
        ],
        outbox=OutboxState("/var/lib/edgeml/outbox.db", 12, 4096, 64 << 20, 123456, 3.5),
        recent=[prediction(n) for n in range(20)],
    )
