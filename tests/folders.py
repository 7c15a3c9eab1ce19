"""Small dataset folders for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_sdk.contract import Channel
from edge_sdk.dataset import Dataset, Facts, NewRecording, Signal, write

RATE_HZ = 20.0
MOTION = tuple(Channel(name, "g") for name in ("ax", "ay", "az"))


def motion(
    folder: Path,
    *,
    groups: int = 5,
    labels: Sequence[str] = ("rest", "shake"),
    seconds: float = 6.0,
    seed: int = 0,
) -> Dataset:
    """A folder in which each label shakes at a frequency of its own; any model learns it."""
    random = np.random.default_rng(seed)
    facts = Facts(
        name="motion", channels=MOTION, rate_hz=RATE_HZ, labels=tuple(labels), group="person", licence="CC0"
    )

    def signal(label: int) -> Signal:
        time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
        wave = np.sin(2 * np.pi * 2.5 * label * time_s[:, None] + random.uniform(0, 6, 3))
        samples = [0, 0, 1] + wave * 0.5 * label + 0.05 * random.normal(size=(len(time_s), 3))
        return Signal(samples.astype(np.float32), RATE_HZ, ("ax", "ay", "az"))

    return write(
        folder,
        facts,
        [
            NewRecording(signal(n), label, f"p{g}", "1")
            for g in range(groups)
            for n, label in enumerate(labels)
        ],
    )


def pictures(folder: Path, *, groups: int = 4, each: int = 6, size: int = 12) -> Dataset:
    """A folder of gray images: upright and level stripes."""
    random = np.random.default_rng(0)
    facts = Facts(name="stripes", channels=(Channel("gray", "", (0.0, 255.0)),), labels=("level", "upright"))

    def stripes(upright: bool) -> Signal:
        pattern = (np.arange(size) // 2 % 2 * 160 + 40)[
            None if upright else slice(None), slice(None) if upright else None
        ]
        noisy = np.broadcast_to(pattern, (size, size)) + random.normal(0, 10, (size, size))
        return Signal(np.clip(np.rint(noisy), 0, 255).astype(np.float32)[:, :, None], None, ("gray",))

    return write(
        folder,
        facts,
        [
            NewRecording(stripes(label == "upright"), label, f"camera{g}", f"{n}", suffix=".png")
            for g in range(groups)
            for label in facts.labels
            for n in range(each)
        ],
    )


def manifest(folder: Path, *rows: str, header: str = "file,label,group,start_s,end_s,split,target") -> None:
    """Write a folder's manifest.csv, line by line."""
    (folder / "manifest.csv").write_text("\n".join([header, *rows]) + "\n")
