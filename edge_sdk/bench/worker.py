"""What a process does on the machine that is measured; models are loaded into it by `edge_sdk.resident`."""

from __future__ import annotations

import os
import resource
import sys
import time
from array import array
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edge_sdk import child, resident
from edge_sdk.bench import machine
from edge_sdk.bench.plan import Plan, Round
from edge_sdk.bench.record import Tally, fed, said

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_sdk.runtimes import Runtime

#: A model is run as often before it is measured, whatever the warm-up.
_FEWEST_RUNS = 5
_given: dict[str, list[list[NDArray[Any]]]] = {}


def memory() -> int:
    """What this process occupies of the machine's memory, bytes."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - on the way to a figure
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak << 10


def begin(name: str, inputs: Sequence[dict[str, Any]], warmup_s: float) -> dict[str, Any]:
    """Give a loaded model its inputs once, then warm up.

    Args:
        name: that it was loaded under.
        inputs: [n, …] for each input, as `resident.pack` makes them.
        warmup_s: for how long.

    Returns:
        ``outputs``: [n, …] for each output; ``once_s``: what one inference takes; ``rss_bytes``; and of
        generated C ``arena_bytes``.
    """
    engine = resident.loaded(name)
    rows = _given[name] = fed([resident.unpack(packed) for packed in inputs], engine.inputs)
    outputs = said([engine.invoke(row) for row in rows], engine.outputs)
    took: array[float] = array("d")
    end_s = time.perf_counter() + warmup_s
    while len(took) < _FEWEST_RUNS or time.perf_counter() < end_s:
        took = _timed(engine, rows, Round(runs=_FEWEST_RUNS))
    figures = engine.figures() if hasattr(engine, "figures") else {}
    return {
        "outputs": [resident.pack(values) for values in outputs],
        "once_s": sorted(took)[_FEWEST_RUNS // 2],
        "rss_bytes": memory(),
        "arena_bytes": figures.get("arena_bytes"),
    }


def measure(names: Sequence[str], plan: Mapping[str, Any], once_s: float) -> dict[str, Any]:
    """Time models in turn, round by round; each round in the other order, so that none always comes first.

    Args:
        names: that they were loaded under, after `begin`.
        plan: the arguments of `Plan`.
        once_s: what one inference of the slowest takes.

    Returns:
        ``models``: in the order of their names, what of `Record` was found; and ``before``, ``machine``.
    """
    rounds = Plan(**plan).rounds(once_s)
    tallies = [Tally(len(rounds)) for _ in names]
    busy_s = [0.0 for _ in names]
    turns = list(zip(names, range(len(names)), strict=True))
    before = machine.conditions().as_dict()
    began = time.perf_counter()
    for number, each in enumerate(rounds):
        for name, index in turns if number % 2 == 0 else reversed(turns):
            started, busy = time.perf_counter(), time.process_time()
            took = _timed(resident.loaded(name), _given[name], each)
            seconds = time.perf_counter() - started
            busy_s[index] += time.process_time() - busy
            tallies[index].add(
                [1e6 * one for one in took], started - began, seconds, conditions=machine.conditions()
            )
        median_us = tallies[0].turns[-1].latency_us["p50"]
        child.progress(round=number + 1, rounds=len(rounds), p50_us=median_us)
    return {
        "models": [_found(tally, busy) for tally, busy in zip(tallies, busy_s, strict=True)],
        "before": before,
        "machine": machine.facts(),
    }


def _found(tally: Tally, busy_s: float) -> dict[str, Any]:
    return {
        "n": tally.n,
        "latency_us": tally.latency_us,
        "curve_us": tally.curve_us,
        "turns": [turn.as_dict() for turn in tally.turns],
        "cpu_share": busy_s / sum(turn.seconds for turn in tally.turns),
    }


def _timed(engine: Runtime, rows: Sequence[Sequence[NDArray[Any]]], each: Round) -> array[float]:
    """Seconds of each inference: set inputs, invoke, get outputs."""
    invoke, clock, count = engine.invoke, time.perf_counter, len(rows)
    took = array("d")
    keep = took.append
    end_s = clock() + each.seconds
    number = 0
    while True:
        row = rows[number % count]
        started = clock()
        invoke(row)
        ended = clock()
        keep(ended - started)
        number += 1
        if number == each.runs or (each.runs is None and ended >= end_s):
            return took
