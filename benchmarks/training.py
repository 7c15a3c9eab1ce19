"""Training against bare Keras: an epoch, in child processes; and windows from the disk against the memory."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Row, ratio
from edge_sdk import child

ROUNDS, EPOCHS = 5, 8
#: Samples between two windows of the large set: 25 windows where the small one has one.
CLOSE = 2


def rows(scratch: Path) -> list[Row]:
    """One row a comparison."""
    from edge_sdk.dataset import write
    from train_host.demo import watch

    folder = str(write(scratch / "watch", watch.facts(), watch.recordings()).folder)
    return [*_epochs(folder), *_streaming(folder)]


def _epochs(folder: str) -> list[Row]:
    times = _in_turn(
        ROUNDS,
        {
            "ours": ("fit_here", {"dataset": folder}),
            "turned": ("fit_here", {"dataset": folder, "augment": ["rotation"]}),
            "bare": ("bare_fit_here", {"dataset": folder}),
        },
    )
    bare = [epoch_s for epoch_s, _ in times["bare"]]
    made = []
    for name, what, budget in (
        ("ours", "an epoch of edgeml train, with checkpoints, over bare model.fit", 1.1),
        ("turned", "the same with rotation", None),
    ):
        ours = [epoch_s for epoch_s, _ in times[name]]
        slower = ratio(ours, bare)
        made.append(
            Row(
                what,
                f"{statistics.median(ours):.2f} s",
                f"{statistics.median(bare):.2f} s",
                f"{slower:.2f}×",
                f"≤ {budget}×" if budget else "",
                slower <= budget if budget else None,
            )
        )
    return made


def _streaming(folder: str) -> list[Row]:
    times = _in_turn(
        3,
        {
            "disk": ("fit_here", {"dataset": folder, "hop": CLOSE, "memory_mb": 16, "epochs": 3}),
            "memory": ("fit_here", {"dataset": folder, "hop": CLOSE, "memory_mb": 4096, "epochs": 3}),
        },
    )
    disk, disk_mb = (list(column) for column in zip(*times["disk"], strict=True))
    memory, memory_mb = (list(column) for column in zip(*times["memory"], strict=True))
    return [
        Row(
            "an epoch of windows read from the disk, over the same in memory",
            f"{statistics.median(disk):.2f} s",
            f"{statistics.median(memory):.2f} s",
            f"{ratio(disk, memory):.2f}×",
        ),
        Row(
            "peak memory of the same",
            f"{statistics.median(disk_mb):.0f} MB",
            f"{statistics.median(memory_mb):.0f} MB",
            f"{statistics.median(memory_mb) - statistics.median(disk_mb):+.0f} MB",
        ),
    ]


def _in_turn(
    rounds: int, calls: dict[str, tuple[str, dict[str, Any]]]
) -> dict[str, list[tuple[float, float]]]:
    """Seconds of an epoch and peak memory, MB, of each, in fresh processes, round by round."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, (function, arguments) in calls.items():
            found[name].append(
                tuple(child.call(f"benchmarks.training:{function}", timeout_s=900, **arguments))
            )
    return found


def fit_here(dataset: str, **options: Any) -> tuple[float, float]:
    """Median seconds of an epoch of ours, and peak memory, MB."""
    from train_host.fitting.checkpoints import Checkpoints
    from train_host.fitting.fit import fit
    from train_host.fitting.session import Session
    from train_host.windows import samples
    from train_host.windows.prepare import prepare

    loaded, config = _loaded(dataset, **options)
    ends: list[float] = []

    def report(facts: dict[str, Any]) -> None:
        if "step" not in facts:
            ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        windows = samples.collect(loaded, config, Path(folder))
        prepared = prepare(loaded, windows, config.divide(loaded))
        fit(loaded, prepared, config, Session(report, Checkpoints(Path(folder) / "checkpoints", {}, 1)))
    return statistics.median(np.diff(ends)), _peak_mb()


def bare_fit_here(dataset: str) -> tuple[float, float]:
    """The same of the same network on the same arrays, with Keras alone."""
    import keras

    from train_host import architectures
    from train_host.architectures.head import Head
    from train_host.windows.prepare import prepare

    loaded, config = _loaded(dataset)
    windows = loaded.windows(loaded.groups, config.window or 1, config.hop or 1)
    prepared = prepare(loaded, windows, config.divide(loaded))
    x, y = prepared.train.x, prepared.train.y
    model = architectures.build(
        "cnn1d", x.shape[1:], Head(len(loaded.labels)), prepared.statistics, config.model
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter()))
    validation = (prepared.validation.x, prepared.validation.y) if prepared.validation is not None else None
    model.fit(
        x, y, batch_size=config.batch, epochs=EPOCHS, validation_data=validation, validation_batch_size=512,
        verbose=0, callbacks=[clock],
    )  # fmt: skip
    return statistics.median(np.diff(ends)), _peak_mb()


def _loaded(folder: str, **options: Any) -> tuple[Any, Any]:
    from edge_sdk.dataset import Dataset
    from train_host.config import load

    dataset = Dataset.load(Path(folder))
    options = {"hop": 50, "epochs": EPOCHS, "augment": [], **options}
    return dataset, load(None, arch="cnn1d", window=100, patience=0, **options).for_dataset(dataset)


def _peak_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024
