"""The host's part against bare TensorFlow: a conversion, and an epoch of training; all in child processes."""

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
    """One row a recipe, and one for training."""
    return [*_conversions(scratch), _training(scratch)]


def _conversions(scratch: Path) -> list[Row]:
    measured = child.call(
        "benchmarks.host:convert_here",
        timeout_s=500,
        model=str(scratch / "ds_cnn.keras"),
        scratch=str(scratch),
    )
    found = []
    for recipe, times in measured.items():
        slower = ratio(times["ours"], times["bare"])
        ours, bare = (f"{statistics.median(times[key]):.2f} s" for key in ("ours", "bare"))
        found.append(
            Row(
                f"convert DS-CNN to {recipe} over TFLiteConverter, before verification",
                ours,
                bare,
                f"{slower:.2f}×",
                "≤ 1.2×",
                slower <= 1.2,
            )
        )
    return found


def convert_here(model: str, scratch: str) -> dict[str, dict[str, list[float]]]:
    """Seconds of each conversion, ours and bare in turn; the first round warms up."""
    import tensorflow as tf

    from converters.tensorflow_runtime import convert_keras

    keras_model = tf.keras.models.load_model(model, compile=False)
    windows = np.random.default_rng(0).normal(size=(64, *keras_model.input_shape[1:])).astype(np.float32)
    file = Path(scratch) / "windows.npy"
    np.save(file, windows)
    times: dict[str, dict[str, list[float]]] = {}
    for recipe in ("int8", "dynamic_int8"):
        ours, bare = [], []
        for _ in range(ROUNDS + 1):
            done = convert_keras(
                model=model,
                recipe=recipe,
                output=str(Path(scratch) / "measured.tflite"),
                scores=str(Path(scratch) / "scores.npz"),
                calibration=str(file) if recipe == "int8" else None,
                inputs=str(file),
            )
            ours.append(done["seconds"]["convert"])
            started = time.perf_counter()
            converter = tf.lite.TFLiteConverter.from_keras_model(keras_model)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if recipe == "int8":
                converter.representative_dataset = lambda: ([window[None]] for window in windows)
            converter.convert()
            bare.append(time.perf_counter() - started)
        times[recipe] = {"ours": ours[1:], "bare": bare[1:]}
    return times


def _training(scratch: Path) -> Row:
    from edge_sdk.dataset import write
    from train_host import watch

    folder = write(scratch / "watch", watch.facts(), watch.recordings()).folder
    times: dict[str, list[float]] = {"fit_here": [], "bare_fit_here": []}
    for _ in range(ROUNDS):
        for function, epochs in times.items():
            epochs.append(child.call(f"benchmarks.host:{function}", timeout_s=300, dataset=str(folder)))
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

    loaded, prepared, config = _prepared(dataset)
    x, y = prepared.train.x, prepared.train.y
    model = architectures.build("cnn1d", x.shape[1:], len(loaded.labels), prepared.statistics, config.model)
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
