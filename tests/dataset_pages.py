"""Dataset folders whose pages have something to show: motion with faults, sounds, pictures, hostile names."""

from __future__ import annotations

import wave
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_sdk import recordings
from edge_sdk.contract import Channel
from edge_sdk.dataset import Dataset, Facts, NewRecording, Signal, write
from edge_sdk.dataset.manifest import write_manifest
from tests import folders

#: Would be markup, reach for the network, and break out of an attribute.
HOSTILE = "<img src=x onerror=alert(1)>\"'&amp;"
SOUND_HZ, SOUND_S = 4000, 0.5


def spoilt(folder: Path) -> Dataset:
    """Motion of twelve people with all that can be wrong; a split and a channel with a range."""
    dataset = folders.motion(folder, groups=12, seconds=8.0)
    base = folder / "recordings"

    def change(file: str, samples: np.ndarray) -> None:
        recordings.write(base / file, Signal(samples.astype(np.float32), folders.RATE_HZ, ("ax", "ay", "az")))

    first = recordings.read(base / "rest/p0_1.csv").samples
    change("rest/p1_1.csv", np.where(np.arange(len(first))[:, None] == 5, np.nan, first))
    change("shake/p2_1.csv", recordings.read(base / "shake/p3_1.csv").samples[20:120])
    change("shake/p4_1.csv", 30 * recordings.read(base / "shake/p4_1.csv").samples)
    change("rest/p5_1.csv", first[:10])
    (base / "rest/p6_1.csv").write_text("ax,ay,az\n1,2\n")
    toml = folder / "dataset.toml"
    toml.write_text(toml.read_text().replace('"ax", unit = "g"', '"ax", unit = "g", range = [-2.0, 2.0]'))
    sides = {"p7": "test", "p8": "validation"}
    write_manifest(
        folder / "manifest.csv", [replace(r, split=sides.get(r.group, "train")) for r in dataset.recordings]
    )
    return Dataset.load(folder)


def sounds(folder: Path) -> Dataset:
    """Two words of three speakers: tones that rise and that fall."""
    source = folder.parent / f"{folder.name}-source"
    source.mkdir()
    random = np.random.default_rng(0)
    time_s = np.arange(round(SOUND_HZ * SOUND_S)) / SOUND_HZ

    def recording(label: str, group: str) -> NewRecording:
        sweep = time_s if label == "up" else time_s[::-1]
        tone = 0.3 * np.sin(2 * np.pi * (300 + random.uniform(0, 60) + 900 * sweep) * time_s)
        path = source / f"{label}_{group}.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, SOUND_HZ, 0, "NONE", ""))
            file.writeframes((32767 * (tone + 0.02 * random.normal(size=len(tone)))).astype("<i2").tobytes())
        return NewRecording(path, label, group, "1")

    facts = Facts(
        name="words", channels=(Channel("audio", "", (-1.0, 1.0)),), rate_hz=SOUND_HZ, group="speaker"
    )
    return write(folder, facts, [recording(label, f"s{n}") for n in range(3) for label in ("down", "up")])


def pictures(folder: Path) -> Dataset:
    """Stripes of four cameras, one of them a copy."""
    dataset = folders.pictures(folder)
    (folder / "recordings/level/camera3_9.png").write_bytes(
        (folder / "recordings/level/camera0_0.png").read_bytes()
    )
    return Dataset.load(dataset.folder)


def hostile(folder: Path) -> Dataset:
    """Names that would be markup wherever names may stand."""
    random = np.random.default_rng(0)
    label = HOSTILE.replace("/", "")
    facts = Facts(
        name=HOSTILE,
        channels=(Channel(HOSTILE, HOSTILE), Channel("y" * 300, "u" * 300)),
        rate_hz=50.0,
        group="person",
        licence=HOSTILE * 20,
        source="s" * 2000,
    )

    def signal() -> Signal:
        return Signal(random.normal(size=(120, 2)).astype(np.float32), 50.0, (HOSTILE, "y" * 300))

    names = [label, "w" * 120, "rest"]
    groups = [f"{label}{n}" for n in range(3)]
    made = [NewRecording(signal(), name, group, "1", suffix=".npz") for name in names for group in groups]
    return write(folder, facts, made)
