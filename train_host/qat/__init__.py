"""Quantization-aware training: a float model learns to say the same when it is rounded to int8.

First channels become of like size, as far as the function allows it. Then the trained model teaches a copy
that rounds as the conversion will. So no task needs a rule of its own; and the copy becomes no better than
its teacher, but comes close to it. What is kept are the weights, in the model as it was: a plain Keras file,
whose ranges the conversion measures anew.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
import msgspec
import numpy as np
from keras import ops

from converters.evidence import choose
from edge_sdk.dataset import Dataset
from train_host import augment, tasks
from train_host.augment.learner import learner as augmented
from train_host.config import Config
from train_host.fitting.course import Course
from train_host.fitting.loop import Loop
from train_host.fitting.session import Session
from train_host.qat.equalization import equalize
from train_host.qat.fake_quantization import Quantized
from train_host.windows import feeds
from train_host.windows.prepare import Prepared

#: Windows that ranges are first measured on, as many as a conversion takes.
_MEASURED = 200
#: Of the rate that the model was trained with.
_RATE = 0.1
_LEAST = 1e-7


def tune(model: Any, dataset: Dataset, prepared: Prepared, config: Config, session: Session) -> None:
    """Change the weights of a trained model so that rounding does less harm.

    Args:
        model: trained; the statistics of its normalisations stay.
        dataset: for its task.
        prepared: windows to learn from.
        config: completed by `Config.for_dataset`.
        session: of this fit.

    Raises:
        Interrupted: the session wanted it to stop.
    """
    train = prepared.train
    kinds = train.y if train.y.ndim == 1 and train.y.dtype.kind in "iu" else np.zeros(len(train), np.int64)
    measured = np.asarray(train.x[choose(kinds, _MEASURED, config.seed)])
    equalize(model, measured)
    quantized = Quantized(model)
    quantized.measure(measured)
    window = keras.Input(model.input_shape[1:])
    activation = tasks.of(dataset).head(dataset, prepared).activation
    distance = _Distance(activation)([_Teacher(model)(window), quantized.model(window)])
    pupil = keras.Model(window, distance, name="pupil")
    # what changes spectrograms has no place here: teacher and pupil make their own
    names = tuple(name for name in config.augment if augment.TABLE[name].changes == "windows")
    learner = augmented(pupil, dataset, prepared, msgspec.structs.replace(config, augment=names))
    steps = config.qat_epochs * feeds.steps(train, config.batch)
    schedule = keras.optimizers.schedules.CosineDecay(_RATE * config.learning_rate, steps)
    learner.compile(optimizer=keras.optimizers.Adam(schedule), loss=_as_it_is)
    loop = Loop(learner, feeds.training(train, config), len(train), config.batch, None)
    loop.run(Course(config.qat_epochs), session)
    quantized.give_back()


class _Teacher(keras.layers.Layer):  # type: ignore[misc]
    """Says what a model says that is left as it is."""

    def __init__(self, model: Any) -> None:
        super().__init__(dtype="float32")
        self._say = partial(model, training=False)  # a model held as such would be learned from

    def call(self, x: Any) -> Any:
        """float32 [n, …] -> what the model says."""
        return ops.stop_gradient(self._say(x))


class _Distance(keras.layers.Layer):  # type: ignore[misc]
    """How far two answers are apart: of probabilities what one loses by the other, of values their squares.

    Args:
        activation: of the last layer.
    """

    def __init__(self, activation: str | None) -> None:
        super().__init__(dtype="float32")
        self.activation = activation

    def call(self, answers: list[Any]) -> Any:
        """Two of float32 [n, …], the right one first -> float32 [n]."""
        meant, said = (ops.reshape(answer, (ops.shape(answer)[0], -1)) for answer in answers)
        if self.activation == "softmax":
            return ops.sum(_lost(meant, said), axis=1)
        if self.activation == "sigmoid":
            return ops.sum(_lost(meant, said) + _lost(1 - meant, 1 - said), axis=1)
        return ops.mean(ops.square(meant - said), axis=1)


def _lost(meant: Any, said: Any) -> Any:
    """Terms of the Kullback-Leibler divergence."""
    meant, said = ops.clip(meant, _LEAST, 1.0), ops.clip(said, _LEAST, 1.0)
    return meant * (ops.log(meant) - ops.log(said))


def _as_it_is(truth: Any, distance: Any) -> Any:
    """A loss that the model says itself; truth plays no part."""
    del truth
    return distance
