"""What an outbox costs: a put, rows a second to the disk, and bytes written for each row."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Row
from edge_sdk.outbox import Lane, Outbox, OutboxSettings
from edge_sdk.prediction import Prediction

PUTS, ROUNDS = 3000, 5
STEADY_HZ, STEADY_S = 50.0, 4.0
#: Of a row at 50 rows a second: a few pages of each commit, in the log and again in the file.
_MOST_BYTES = 2048


def rows() -> list[Row]:
    """One sink, predictions of three classes."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("EDGEML_BENCH_DISK")) as folder:
        put_us = [_put_us(Path(folder) / f"put{n}.db") for n in range(ROUNDS)]
        median_us = statistics.median(put_us)
        table = [Row("outbox: put", f"{median_us:.1f} µs", "", "", "≤ 10 µs", median_us <= 10)]
        for name, options in _CHOICES.items():
            drained = _rows_a_second(Path(folder) / f"drain-{name}.db", options)
            row_bytes, disk_bytes = _bytes_a_row(Path(folder) / f"steady-{name}.db", options, away=True)
            budget = ("≤ 2 KB a row", disk_bytes <= _MOST_BYTES) if name == "batch" else ("", None)
            what = f"outbox, {name}, sink away: written a row of {row_bytes:.0f} bytes at {STEADY_HZ:g} Hz"
            table.append(Row(what, f"{disk_bytes:.0f} bytes", "", f"{drained:,.0f} rows/s at most", *budget))
        _, idle_bytes = _bytes_a_row(Path(folder) / "spill-up.db", _CHOICES["spill"], away=False)
        what = "outbox, spill, sink keeps up: written in all, the crash books' pages"
        total = idle_bytes * STEADY_HZ * STEADY_S
        table.append(Row(what, f"{total:.0f} bytes", "", "", "≤ 12288 bytes", total <= 12288))
    return table


_CHOICES: dict[str, dict[str, Any]] = {
    "none": {"durability": "none"},
    "batch": {},
    "each": {"durability": "each"},
    "spill": {"spill": True},
}


def _prediction(sequence: int) -> Prediction:
    return Prediction("walk", 0.9, None, np.array([0.05, 0.9, 0.05], np.float32), "press-7", "3f9a", sequence)


@contextmanager
def _outbox(file: Path, **options: Any) -> Iterator[tuple[Outbox, Lane]]:
    with Outbox(OutboxSettings(file, **options), ["mqtt"]) as outbox:
        yield outbox, outbox.lanes[0]


def _put_us(file: Path) -> float:
    """Median cost of one put while the writer writes, µs."""
    spent = []
    with _outbox(file, memory_rows=2 * PUTS) as (outbox, lane):
        for prediction in [_prediction(n) for n in range(PUTS)]:
            started = time.perf_counter()
            outbox.put(prediction, 0.0, (lane,))
            spent.append(time.perf_counter() - started)
    return statistics.median(spent) * 1e6


def _rows_a_second(file: Path, options: dict[str, Any]) -> float:
    """As fast as they are committed, rows/s."""
    count = 200 if options.get("durability") == "each" else PUTS
    with _outbox(file, **options, memory_rows=2 * PUTS) as (outbox, lane):
        started = time.perf_counter()
        for n in range(count):
            outbox.put(_prediction(n), 0.0, (lane,))
        outbox.sync()
        return count / (time.perf_counter() - started)


def _bytes_a_row(file: Path, options: dict[str, Any], *, away: bool) -> tuple[float, float]:
    """Payload, and what the process had the disk write for it, bytes a row; `away`: nobody takes them."""
    count = int(STEADY_HZ * STEADY_S)
    with _outbox(file, **options) as (outbox, lane):
        outbox.sync()
        before = _written()
        start = time.monotonic()
        for n in range(count):
            outbox.put(_prediction(n), 0.0, (lane,))
            if not away:
                lane.acknowledge(lane.take(timeout_s=1.0))
            time.sleep(max(0.0, start + (n + 1) / STEADY_HZ - time.monotonic()))
        if away:
            outbox.sync()
        written = _written() - before
        payload = outbox.state().written_bytes
    return payload / count, written / count


def _written() -> int:
    """Bytes that this process has had the disk write: pages that it made dirty, once for each time."""
    io = Path("/proc/self/io").read_text(encoding="ascii")
    return int(next(line for line in io.splitlines() if line.startswith("write_bytes:")).split()[1])
