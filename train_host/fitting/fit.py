"""Keras at work: fits a model on prepared windows. `train_host.training` runs it in a child process."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edge_sdk.dataset import Dataset, Windowed
from train_host import architectures, qat, tasks
from train_host.augment.learner import learner as augmented
from train_host.config import Config
from train_host.fitting import balance, distribution, precision
from train_host.fitting.completion import complete
from train_host.fitting.course import Course
from train_host.fitting.distribution import Team
from train_host.fitting.loop import Loop
from train_host.fitting.session import Session
from train_host.fitting.warmstart import Start, transfer
from train_host.windows import feeds
from train_host.windows.prepare import Prepared

_QUIET = Session()


@dataclass(frozen=True)
class Fitted:
    """A trained model.

    Attributes:
        model: Keras, with the weights of the best epoch.
        history: per epoch ``loss``, the metrics of the task, and ``val_…`` of each with a validation side.
        best_epoch: the epoch whose weights were kept, from 1.
        seconds: of fitting alone.
        config: that it was trained by, with what only the windows could say.
    """

    model: Any
    history: dict[str, list[float]]
    best_epoch: int
    seconds: float
    config: Config


def fit(dataset: Dataset, prepared: Prepared, config: Config, session: Session = _QUIET) -> Fitted:
    """Train one model; the same seed, data and versions give the same weights on a CPU.

    Args:
        dataset: for channels, labels and layout.
        prepared: windows and statistics.
        config: completed by `Config.for_dataset`.
        session: who hears of it, where its checkpoints go, and go on from.

    Raises:
        Interrupted: the session wanted it to stop.
        ConfigError: an option does not fit the data, or the training diverged.
    """
    team = distribution.assemble(config.distribute)
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    config, task = complete(config, dataset, prepared), tasks.of(dataset)
    course = Course(config.epochs or 1, 0 if prepared.validation is None else config.patience or 0)
    without_gradients = architectures.fitter(architectures.choose(config.arch, dataset, config.model))
    if without_gradients is not None:
        model = _model(dataset, prepared, config, session)
        return _directly(without_gradients, model, dataset, prepared, config)
    with nullcontext() if team is None else team.scope():
        model = _model(dataset, prepared, config, session)
        loop = _loop(model, dataset, prepared, config, team)
        precision.lower(model, precision.resolve(config.precision))
        if team is not None and session.checkpoints is not None:
            team.check_same(json.dumps(session.checkpoints.identity, sort_keys=True))
        loop.run(course, session)
    precision.restore(model)
    if team is not None:
        model = distribution.plain(model, lambda: _model(dataset, prepared, config, _QUIET))
    if config.qat:
        qat.tune(model, dataset, prepared, config, session.of("qat"))
    task.finish(model, dataset, prepared, config)
    return Fitted(model, course.history, course.best_epoch, course.seconds, config)


def _loop(model: Any, dataset: Dataset, prepared: Prepared, config: Config, team: Team | None) -> Loop:
    """What trains a model."""
    train, validation, task = prepared.train, prepared.validation, tasks.of(dataset)
    learner = augmented(model, dataset, prepared, config)
    _compile(learner, task.loss(prepared), task.metrics, feeds.steps(train, config.batch), config)
    if team is not None:
        distribution.build(learner, np.asarray(train.x[:1]), np.asarray(train.y[:1]))
    weights = balance.table(config.class_weights, train.y, dataset.labels)
    loop = Loop(
        learner,
        feeds.training(train, config, weights, None if team is None else team.share),
        len(train),
        config.batch,
        None if validation is None else feeds.in_order(validation, weights),
        jit=_has_gpu() if config.jit is None else config.jit,
    )
    loop.team = team
    return loop


def _model(dataset: Dataset, prepared: Prepared, config: Config, session: Session) -> Any:
    """What is kept in the end, with the weights that training starts from."""
    task = tasks.of(dataset)
    start = None if config.init_from is None else Start.load(Path(config.init_from))
    model = architectures.build(
        architectures.choose(config.arch, dataset, config.model),
        prepared.train.x.shape[1:],
        task.head(dataset, prepared),
        (start and start.statistics) or prepared.statistics,
        config.model,
        rate_hz=dataset.rate_hz,
    )
    if start is not None:
        for note in transfer(model, start, task.output(dataset, prepared)):
            session.report({"note": f"{start.path}: {note}"})
    return model


def _directly(
    find: Callable[[Any, Any, int], None], model: Any, dataset: Dataset, prepared: Prepared, config: Config
) -> Fitted:
    """Weights that are found in one go; what training would make small stands in the history all the same."""
    began_s, task = time.monotonic(), tasks.of(dataset)
    find(model, feeds.inputs(prepared.train), config.seed)
    task.finish(model, dataset, prepared, config)
    model.compile(loss=task.loss(prepared))
    history = {}
    for prefix, side in (("", prepared.train), ("val_", prepared.validation)):
        if side is not None:
            batches, count = feeds.in_order(side)
            history[f"{prefix}loss"] = [float(model.evaluate(batches, steps=count, verbose=0))]
    return Fitted(model, history, 1, time.monotonic() - began_s, config)


def _compile(learner: Any, loss: tasks.Loss, metrics: tuple[str, ...], steps: int, config: Config) -> None:
    schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, (config.epochs or 1) * steps)
    optimizer = keras.optimizers.Adam(schedule)
    if precision.resolve(config.precision) == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    learner.compile(optimizer=optimizer, loss=loss, metrics=list(metrics))


def scores(model: Any, windows: Windowed) -> NDArray[np.float32]:
    """float32 [n, …], what a model says to each window."""
    result: NDArray[np.float32] = model.predict(feeds.inputs(windows), verbose=0)
    return result


def device() -> str:
    """What TensorFlow works on."""
    graphics = tf.config.list_physical_devices("GPU")
    return f"{len(graphics)} GPU" if graphics else "CPU"


def _has_gpu() -> bool:
    return bool(tf.config.list_physical_devices("GPU"))
