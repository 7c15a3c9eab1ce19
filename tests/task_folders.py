"""Small dataset folders for tasks that do not choose one label: values, several labels, anomalies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_sdk.contract import Channel
from edge_sdk.dataset import Dataset, Facts, NewRecording, Signal, write

RATE_HZ = 100.0
VIBRATION = tuple(Channel(name, "g") for name in ("vx", "vy"))
PUMP = (Channel("flow", "l/min", (0.0, 40.0)), Channel("pressure", "Pa"))


def pump(folder: Path, *, groups: int = 6, each: int = 8, seconds: float = 2.0, seed: int = 0) -> Dataset:
    """A pump whose sound tells its flow, and a pressure that is far from 0 for its spread."""
    random = np.random.default_rng(seed)
    facts = Facts(
        name="pump", channels=VIBRATION, rate_hz=RATE_HZ, task="regression", targets=PUMP, group="pump"
    )

    def recording(group: int, number: int) -> NewRecording:
        flow, pressure = random.uniform(5, 35), random.uniform(100_800, 101_200)
        time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
        waves = np.stack(
            [
                flow / 20 * np.sin(2 * np.pi * 8 * time_s + random.uniform(0, 6)),
                (pressure - 101_000) / 200 + 0.3 * np.sin(2 * np.pi * 19 * time_s + random.uniform(0, 6)),
            ],
            axis=1,
        )
        signal = _noisy(waves, 0.05, random)
        return NewRecording(signal, None, f"p{group}", f"{number}", suffix=".npz", target=(flow, pressure))

    return write(folder, facts, [recording(g, n) for g in range(groups) for n in range(each)])


def kitchen(folder: Path, *, groups: int = 6, seconds: float = 4.0, seed: int = 0) -> Dataset:
    """Two appliances that hum at frequencies of their own: either, both or none is on."""
    random = np.random.default_rng(seed)
    facts = Facts(name="kitchen", channels=VIBRATION, rate_hz=RATE_HZ, task="multilabel", group="home")

    def recording(group: int, on: tuple[bool, bool]) -> NewRecording:
        time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
        hums = [
            np.sin(2 * np.pi * hertz * time_s + random.uniform(0, 6)) * running
            for hertz, running in zip((9, 23), on, strict=True)
        ]
        signal = _noisy(np.stack([hums[0] + hums[1], 0.5 * hums[0]], axis=1), 0.1, random)
        names = [name for name, running in zip(("fan", "mixer"), on, strict=True) if running]
        return NewRecording(signal, "+".join(names) or "none", f"h{group}", "1", suffix=".npz")

    states = [(first, second) for first in (False, True) for second in (False, True)]
    return write(folder, facts, [recording(g, state) for g in range(groups) for state in states])


def bearing(
    folder: Path, *, groups: int = 6, seconds: float = 8.0, seed: int = 0, faults: bool = True
) -> Dataset:
    """Motors at their own speeds; a damaged bearing adds short rings, an imbalance a stronger turn."""
    random = np.random.default_rng(seed)
    facts = Facts(name="bearing", channels=VIBRATION, rate_hz=RATE_HZ, task="anomaly", group="motor")

    def recording(group: int, label: str, number: int) -> NewRecording:
        time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
        hertz = random.uniform(9, 11)
        turn = np.sin(2 * np.pi * hertz * time_s[:, None] + random.uniform(0, 6, 2))
        waves = turn * (1.6 if label == "imbalance" else 1.0)
        if label == "bearing":
            since = (time_s * 3.7 * hertz / 10) % 1.0
            waves = waves + 0.9 * (np.exp(-12 * since) * np.sin(2 * np.pi * 37 * time_s))[:, None]
        return NewRecording(_noisy(waves, 0.15, random), label, f"m{group}", f"{number}", suffix=".npz")

    def labels(group: int) -> list[str]:
        return ["normal", "normal", *(("bearing", "imbalance") if faults and group % 2 else ())]

    return write(
        folder, facts, [recording(g, label, n) for g in range(groups) for n, label in enumerate(labels(g))]
    )


def _noisy(waves: NDArray[np.float64], noise: float, random: np.random.Generator) -> Signal:
    samples = waves + noise * random.normal(size=waves.shape)
    return Signal(samples.astype(np.float32), RATE_HZ, tuple(channel.name for channel in VIBRATION))
