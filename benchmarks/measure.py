"""Measures alternatives in turn, so that a machine that drifts slows all of them alike."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: the comparison.
        ours: our figure, with its unit.
        other: the figure of what it is compared with.
        result: the ratio or difference that the budget is about.
        budget: from the design; empty where a figure is only reported.
        met: whether `result` is within it; None without a budget.
    """

    what: str
    ours: str
    other: str
    result: str
    budget: str = ""
    met: bool | None = None


def interleaved(rounds: int, calls: int, **functions: Callable[[], object]) -> dict[str, list[float]]:
    """Median time of one call of each function, s, round by round: A B C, A B C, …"""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        for _ in range(min(calls, 50)):
            function()
    for _ in range(rounds):
        for name, function in functions.items():
            spent = []
            for _ in range(calls):
                started = time.perf_counter()
                function()
                spent.append(time.perf_counter() - started)
            times[name].append(statistics.median(spent))
    return times


def processes(
    rounds: int, scripts: Mapping[str, str], *arguments: str
) -> dict[str, list[tuple[float, float]]]:
    """Wall time, s, and peak memory, MB, of fresh Python processes, in turn."""
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in scripts}
    for round_ in range(rounds + 1):
        for name, script in scripts.items():
            measured = _process(script, arguments)
            if round_:  # the first one warms the disk cache
                results[name].append(measured)
    return results


def _process(script: str, arguments: tuple[str, ...]) -> tuple[float, float]:
    # The kernel's own figure in the process itself: getrusage counts the parent's memory before the exec.
    script += "\nprint(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    started = time.perf_counter()
    finished = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - started, int(finished.stdout.split()[-2]) / 1024


def ratio(ours: list[float], other: list[float]) -> float:
    """Median of the ratios round by round, which is steadier than the ratio of the medians."""
    return statistics.median(a / b for a, b in zip(ours, other, strict=True))
