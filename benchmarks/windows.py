"""The mirror ring against the usual ways to keep a sliding window."""

from __future__ import annotations

import statistics
from collections import deque

import numpy as np

from benchmarks.measure import Row, interleaved, ratio
from edge_sdk import Windows

LENGTH, HOP = 16_000, 160


def rows() -> list[Row]:
    """One second of 16 kHz audio, a new window every 10 ms."""
    block = np.random.default_rng(0).normal(size=(HOP, 1)).astype(np.float32)
    ring = Windows(LENGTH, HOP, 1)
    list(ring.push(np.zeros((LENGTH, 1), np.float32)))
    state = {"joined": np.zeros((LENGTH, 1), np.float32), "rolled": np.zeros((LENGTH, 1), np.float32)}
    samples = deque(np.zeros(LENGTH, np.float32), maxlen=LENGTH)

    def ours() -> None:
        for _ in ring.push(block):
            pass

    def joined() -> None:
        state["joined"] = np.concatenate([state["joined"][HOP:], block])

    def rolled() -> None:
        state["rolled"] = np.roll(state["rolled"], -HOP, axis=0)
        state["rolled"][-HOP:] = block

    def queued() -> None:
        samples.extend(block[:, 0])
        np.array(samples, np.float32)

    fast = interleaved(15, 500, ours=ours, joined=joined, rolled=rolled)
    slow = interleaved(3, 10, queued=queued)
    us = {name: statistics.median(times) * 1e6 for name, times in {**fast, **slow}.items()}
    return [
        Row(
            f"window of {LENGTH}, hop {HOP}: ring over {label}",
            f"{us['ours']:.2f} µs",
            f"{us[name]:.1f} µs",
            f"{ratio(fast['ours'], fast[name]) if name in fast else us['ours'] / us[name]:.3f}×",
        )
        for name, label in (("joined", "concatenate"), ("rolled", "np.roll"), ("queued", "deque to array"))
    ]
