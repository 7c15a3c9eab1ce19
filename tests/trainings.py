"""Trainings that are over, without having been: what their reports are drawn from."""

from __future__ import annotations

import atexit
import dataclasses
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.contract import Channel, Contract, DecisionSettings, Input, Output
from edge_sdk.dataset import Dataset, Split, Windowed
from tests.folders import motion, pictures
from tests.reports import HOSTILE
from tests.task_folders import bearing, kitchen, pump
from train_host import page, tasks
from train_host.judging import calibration, thresholds
from train_host.judging.alarms import Allowed
from train_host.judging.challenge import Champion
from train_host.judging.judged import Judged
from train_host.judging.verdict import judge
from train_host.windows import streams

#: Of a sound: a tenth of a second.
SOUND_HZ, SOUND = 8000.0, 800


@cache
def folder() -> Path:
    """Small datasets, for as long as the tests run."""
    place = Path(tempfile.mkdtemp(prefix="edgeml-trainings-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    motion(place / "motion", groups=6, labels=("rest", "walk", "fall"), seconds=30.0)
    pictures(place / "pictures", groups=4, each=20)
    for make in (bearing, kitchen, pump):
        make(place / make.__name__)
    return place


def report(name: str = "motion", *, sure: float = 3.0, seed: int = 0, **changes: Any) -> page.Report:
    """A classifier that is right more often than not.

    Args:
        name: of the dataset, ``motion`` or ``pictures``.
        sure: how much the right label is ahead of others.
        seed: of what it says.
        changes: of the report's fields.
    """
    dataset = Dataset.load(folder() / name)
    window, hop = (1, 1) if dataset.layout == "HWC" else (40, 20)
    split = dataset.split(1, validation=0.34, test=0.34)
    sides = {
        side: _side(dataset, getattr(split, side), window, hop) for side in ("train", "validation", "test")
    }
    test, watched = sides["test"], sides["validation"]
    random = np.random.default_rng(seed)
    logits = {
        key: _logits(random, sides[key].windows, len(dataset.labels), sure) for key in ("validation", "test")
    }
    choice = calibration.choose(logits["validation"], watched.windows.y, watched.windows.group)
    before, after = (
        calibration.probabilities(logits["test"], t, softmax=True) for t in ([1.0], choice.temperatures)
    )
    calibrated = calibration.compare(choice, before, after, test.windows.y, test.clusters)
    expects = Input(dataset.channels, dataset.rate_hz, window, hop, layout=dataset.layout)
    contract = Contract(dataset.name, "classification", expects, Output(dataset.labels))
    judged = judged_as(dataset, test, after.astype(np.float32), expects)
    made = page.Report(
        judged,
        contract,
        run(judged, split),
        tasks.of(dataset).sections(judged),
        {side: len(sides[side].windows) for side in sides},
        calibrated,
    )
    return dataclasses.replace(made, **changes)


def judged_as(dataset: Dataset, test: streams.Side, outputs: NDArray[np.float32], expects: Input) -> Judged:
    """What the task finds of these outputs."""
    result = tasks.of(dataset).evaluate(outputs, test.windows, dataset)
    return Judged(dataset.name, dataset, test.windows, test.streams, outputs, result, expects)


def run(judged: Judged, split: Split, epochs: int = 12) -> dict[str, Any]:
    """As run.json holds it."""
    falling = [2.0 * 0.7**epoch + 0.1 for epoch in range(epochs)]
    return {
        **judged.result.as_dict(),
        "split": split.as_dict(),
        "config": {"window": 40, "decision": {"threshold": 0.5}, "augment": ["rotation"]},
        "versions": {"keras": "3.15.1", "numpy": "2.2.0"},
        "history": {
            "loss": falling,
            "accuracy": [1 - value / 3 for value in falling],
            "val_loss": [value + 0.02 * epoch for epoch, value in enumerate(falling)],
            "val_accuracy": [0.9 - value / 4 for value in falling],
        },
        "best_epoch": 9,
        "seconds": 4.25,
    }


@cache
def alarmed() -> page.Report:
    """With events, and a champion that is beaten."""
    made = report(sure=2.0)
    dataset, judged = made.judged.dataset, made.judged
    settings = DecisionSettings(smooth=3, background=("rest",))
    sides = [(judged.streams, judged.outputs)] * 2
    operation = thresholds.choose(Allowed.parse("200/h"), settings, dataset.labels, sides[0], sides[1])
    return dataclasses.replace(made, operation=operation, verdict=_verdict(made, 0.3))


@cache
def refused() -> page.Report:
    """With a champion that stays, and a rate that no threshold keeps."""
    made = report(sure=2.0)
    judged = made.judged
    sides = [(judged.streams, np.ones_like(judged.outputs) * [0.0, 0.0, 1.0])] * 2
    operation = thresholds.choose(
        Allowed.parse("0/h"), DecisionSettings(), judged.dataset.labels, sides[0], sides[1]
    )
    return dataclasses.replace(made, operation=operation, verdict=_verdict(made, 3.0, bound=0.0))


@cache
def sound() -> page.Report:
    """Errors that can be listened to."""
    made = report()
    count = len(made.judged.windows)
    time_s = np.arange(SOUND) / SOUND_HZ
    x = (
        np.sin(2 * np.pi * np.linspace(300, 3000, count)[:, None] * time_s)[..., None].astype(np.float32)
        * 0.2
    )
    expects = Input((Channel("sound", "", (-1.0, 1.0)),), SOUND_HZ, SOUND, SOUND)
    windows = Windowed(x, made.judged.windows.y, made.judged.windows.group)
    judged = dataclasses.replace(made.judged, windows=windows, expects=expects)
    sections = tasks.of(judged.dataset).sections(judged)
    return dataclasses.replace(made, judged=judged, sections=sections)


def task(name: str) -> page.Report:
    """A regression (``pump``), several labels (``kitchen``) or anomalies (``bearing``), with some noise."""
    dataset = Dataset.load(folder() / name)
    split = dataset.split(0, validation=0.0, test=0.5)
    side = _side(dataset, split.test, 100, 50)
    y, random = side.windows.y, np.random.default_rng(1)
    noise = random.normal(size=(len(y), *y.shape[1:]))
    if dataset.task == "regression":
        outputs = y + noise * y.std(axis=0) / 3
    elif dataset.task == "multilabel":
        outputs = np.clip(0.2 + 0.6 * y + noise * 0.25, 0, 1)
    else:
        outputs = np.clip(0.3 + 0.4 * (y > 0) + noise * 0.15, 0, 1)[:, None]
    expects = Input(dataset.channels, dataset.rate_hz, 100, 50)
    judged = judged_as(dataset, side, outputs.astype(np.float32), expects)
    contract = Contract(dataset.name, dataset.task, expects, Output(dataset.labels))
    calibrated = None
    if dataset.task == "multilabel":
        choice = calibration.unchanged("not asked for")
        calibrated = calibration.compare(choice, outputs, outputs, y, side.clusters)
    counts = {"train": 100, "test": len(y)}
    sections = tasks.of(dataset).sections(judged)
    return page.Report(judged, contract, run(judged, split), sections, counts, calibrated)


def perfect() -> page.Report:
    """Nothing is wrong, and there is nothing to calibrate by."""
    return report(sure=1000.0)


def hostile() -> page.Report:
    """`HOSTILE` wherever a name comes from outside, and very long ones."""
    made = alarmed()
    old = made.judged.dataset
    labels = tuple(f"{HOSTILE}{n}" + "w" * 90 for n in range(3))
    channels = tuple(Channel(HOSTILE + "w" * 60 + str(n), HOSTILE) for n in range(3))
    renamed = {group: HOSTILE + "w" * 90 + group for group in old.groups}
    named = dict(zip(old.labels, labels, strict=True))
    recordings = tuple(
        dataclasses.replace(
            one, file=HOSTILE + "w" * 200, label=named[one.label or ""], group=renamed[one.group]
        )
        for one in old.recordings
    )
    facts: dict[str, Any] = {"name": HOSTILE * 4, "licence": HOSTILE, "source": "w" * 900, "group": HOSTILE}
    dataset = dataclasses.replace(old, recordings=recordings, labels=labels, channels=channels, **facts)
    vars(dataset)["digest"] = f"sha256:{HOSTILE}"
    windows = made.judged.windows
    seen = tuple(
        dataclasses.replace(one, recording=dataclasses.replace(one.recording, file=HOSTILE + "w" * 200))
        for one in made.judged.streams
    )
    side = streams.Side(Windowed(windows.x, windows.y, [renamed[group] for group in windows.group]), seen)
    expects = dataclasses.replace(made.judged.expects, channels=channels)
    judged = dataclasses.replace(judged_as(dataset, side, made.judged.outputs, expects), name=HOSTILE * 3)
    sides = made.run["split"]
    train, watched, test = (
        tuple(renamed[group] for group in sides[side]) for side in ("train", "validation", "test")
    )
    split = Split(train, watched, test, HOSTILE)
    bad = {"config": {HOSTILE: HOSTILE * 9, "list": [HOSTILE] * 90}, "versions": {HOSTILE: HOSTILE}}
    made = dataclasses.replace(
        made, judged=judged, run={**run(judged, split), **bad}, sections=tasks.of(dataset).sections(judged)
    )
    return dataclasses.replace(made, verdict=_verdict(made, 3.0, bound=0.0, left_out=(HOSTILE + "w" * 300,)))


def _side(dataset: Dataset, groups: tuple[str, ...], window: int, hop: int) -> streams.Side:
    windows = dataset.windows(groups, window, hop)
    return streams.Side(windows, tuple(streams.streams(dataset, groups, window, hop)))


def _logits(random: np.random.Generator, windows: Windowed, labels: int, sure: float) -> NDArray[np.float64]:
    return np.asarray(random.normal(size=(len(windows), labels)) * 2 + sure * np.eye(labels)[windows.y])


def _verdict(made: page.Report, sure: float, bound: float = 0.05, left_out: tuple[str, ...] = ()) -> Any:
    """Against a champion that is so sure of the right label."""
    windows = made.judged.windows
    random = np.random.default_rng(5)
    scores = _logits(random, windows, made.judged.outputs.shape[1], sure)
    split = Split(("p0",), (), ("p1",))
    champion = Champion(Path("champion.keras"), "sha256:0", made.contract, split)
    return judge(champion, scores, made.judged.outputs, windows, bound, left_out)
