"""Training against bare Keras: an epoch, in child processes."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Row, ratio
from edge_sdk import child

ROUNDS, EPOCHS = 3, 6


def rows(scratch: Path) -> list[Row]:
    """The one row there is."""
    return [_training(scratch)]


def _training(scratch: Path) -> Row:
    from edge_sdk.dataset import write
    from train_host import watch

    folder = write(scratch / "watch", watch.facts(), watch.recordings()).folder
    times: dict[str, list[float]] = {"fit_here": [], "bare_fit_here": []}
    for _ in range(ROUNDS):
        for function, epochs in times.items():
            epochs.append(child.call(f"benchmarks.training:{function}", timeout_s=300, dataset=str(folder)))
    ours, bare = times["fit_here"], times["bare_fit_here"]
    slower = ratio(ours, bare)
    return Row(
        "an epoch of edgeml train, no augmentation, over bare model.fit",
        f"{statistics.median(ours):.2f} s",
        f"{statistics.median(bare):.2f} s",
        f"{slower:.2f}×",
        "≤ 1.1×",
        slower <= 1.1,
    )


def fit_here(dataset: str) -> float:
    """Median seconds of an epoch of ours."""
    from train_host.fit import fit

    loaded, prepared, config = _prepared(dataset)
    ends: list[float] = []
    fit(loaded, prepared, config, report=lambda facts: ends.append(time.perf_counter()))
    return statistics.median(np.diff(ends))


def bare_fit_here(dataset: str) -> float:
    """Median seconds of an epoch of the same network on the same arrays, with Keras alone."""
    import keras

    from train_host import architectures
    from train_host.architectures.head import Head

    loaded, prepared, config = _prepared(dataset)
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
    return statistics.median(np.diff(ends))


def _prepared(folder: str) -> tuple[Any, Any, Any]:
    from edge_sdk.dataset import Dataset
    from train_host.config import load
    from train_host.prepare import prepare

    dataset = Dataset.load(Path(folder))
    config = load(None, window=100, hop=50, epochs=EPOCHS, patience=0, augment=[]).for_dataset(dataset)
    split = dataset.split(config.seed)
    every = (*split.train, *split.validation, *split.test)
    windows = dataset.windows(every, config.window, config.hop)
    return dataset, prepare(dataset, windows, split), config
