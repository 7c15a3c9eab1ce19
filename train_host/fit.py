"""Keras at work: fits a model on prepared windows. `train_host.training` runs it in a child process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edge_sdk.dataset import Dataset, Windowed
from train_host import architectures, augment, tasks
from train_host.config import Config
from train_host.prepare import Prepared

Report = Callable[[dict[str, float]], None]
_SCORE_BATCH = 512


@dataclass(frozen=True)
class Fitted:
    """A trained model.

    Attributes:
        model: Keras, with the weights of the best epoch.
        history: per epoch ``loss``, ``accuracy``, and ``val_loss``, ``val_accuracy`` with a validation side.
        best_epoch: the epoch whose weights were kept, from 1.
        seconds: of fitting alone.
    """

    model: Any
    history: dict[str, list[float]]
    best_epoch: int
    seconds: float


def fit(dataset: Dataset, prepared: Prepared, config: Config, report: Report = lambda facts: None) -> Fitted:
    """Train one model; the same seed, data and versions give the same weights on a CPU.

    Args:
        dataset: for channels, labels and layout.
        prepared: windows and statistics.
        config: completed by `Config.for_dataset`.
        report: called after each epoch with its figures.
    """
    started = time.monotonic()
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    train, validation = prepared.train, prepared.validation
    task = tasks.of(dataset)
    name = architectures.choose(config.arch, dataset, config.model)
    model = architectures.build(
        name,
        train.x.shape[1:],
        task.head(dataset),
        prepared.statistics,
        config.model,
        rate_hz=dataset.rate_hz,
    )
    layers = augment.build(config, dataset.channels, prepared.statistics)
    # the saved model is the inner one, so that augmentation never reaches the device
    learner = keras.Sequential([keras.Input(train.x.shape[1:]), *layers, model]) if layers else model
    steps = config.epochs * -(-len(train) // config.batch)
    learner.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(config.learning_rate, steps)),
        loss=task.loss,
        metrics=list(task.metrics),
    )
    callbacks: list[Any] = [
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: report(_facts(epoch, logs)))
    ]
    stop = None
    if validation is not None and config.patience:
        stop = keras.callbacks.EarlyStopping("val_loss", patience=config.patience, restore_best_weights=True)
        callbacks.append(stop)
    history = learner.fit(
        train.x,
        train.y,
        validation_data=None if validation is None else (validation.x, validation.y),
        epochs=config.epochs,
        batch_size=config.batch,
        validation_batch_size=_SCORE_BATCH,
        callbacks=callbacks,
        verbose=0,
    ).history
    figures = {key: [float(value) for value in values] for key, values in history.items()}
    best = len(figures["loss"]) if stop is None else int(np.argmin(figures["val_loss"])) + 1
    return Fitted(model, figures, best, time.monotonic() - started)


def scores(model: Any, windows: Windowed) -> NDArray[np.float32]:
    """float32 [n, classes], probabilities."""
    result: NDArray[np.float32] = model.predict(windows.x, batch_size=_SCORE_BATCH, verbose=0)
    return result


def device() -> str:
    """What TensorFlow works on."""
    graphics = tf.config.list_physical_devices("GPU")
    return f"{len(graphics)} GPU" if graphics else "CPU"


def _facts(epoch: int, logs: dict[str, Any] | None) -> dict[str, float]:
    return {"epoch": epoch + 1, **{key: float(value) for key, value in (logs or {}).items()}}
