"""What every builder needs: a fresh Keras, a short training, and the files beside the model.

Builders run in a child process: nothing here may be called in the test's own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.zoo.data import Split


@dataclass(frozen=True)
class Evidence:
    """What a model is evaluated on.

    Attributes:
        inputs: float32 [n, …] by name of the model's input.
        truths: what each output should be, in the order of the outputs.
        labels: int64, as users give them: classes [n] or of places [n, …], several labels [n, k]; None where
            the task has none.
        groups: str [n], whom each comes from.
    """

    inputs: dict[str, NDArray[np.float32]]
    truths: Sequence[NDArray[Any]]
    labels: NDArray[np.int64] | None = None
    groups: NDArray[np.str_] | None = None

    @classmethod
    def classes(cls, split: Split, name: str = "window") -> Evidence:
        """One input, one class."""
        return cls({name: split.test_x}, [split.test_y], split.test_y, split.groups)

    def write(self, folder: str, name: str) -> None:
        """``NAME.npz`` as a user would give it, and ``NAME.truth.npz`` for what that format cannot say."""
        extra = {"labels": self.labels, "groups": self.groups}
        given = {key: array for key, array in extra.items() if array is not None}
        inputs = {key: array.astype(np.float32) for key, array in self.inputs.items()}
        np.savez(Path(folder) / f"{name}.npz", **inputs, **given)
        truths = {f"output_{n}": truth for n, truth in enumerate(self.truths)}
        np.savez(Path(folder) / f"{name}.truth.npz", **truths)


def tensorflow() -> Any:
    """The module, quiet and on the CPU."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import tensorflow as tf

    return tf


def fresh_keras(seed: int) -> Any:
    """Keras without a trace of the model before: names, seeds and results depend on the builder alone."""
    tf = tensorflow()
    tf.config.experimental.enable_op_determinism()
    tf.keras.backend.clear_session()
    tf.keras.utils.set_random_seed(seed)
    return tf.keras


def fit(
    model: Any,
    x: Any,
    y: Any,
    *,
    epochs: int,
    rate: float = 0.003,
    loss: Any = "sparse_categorical_crossentropy",
) -> None:
    """Train for a few seconds; the rate falls to a tenth."""
    keras = tensorflow().keras
    batch = 64
    samples = len(next(iter(x.values()))) if isinstance(x, dict) else len(x)
    steps = epochs * -(-samples // batch)
    falling = keras.optimizers.schedules.CosineDecay(rate, steps, alpha=0.1)
    model.compile(keras.optimizers.Adam(falling), loss)
    model.fit(x, y, batch_size=batch, epochs=epochs, verbose=0)


def save(model: Any, folder: str, name: str, evidence: Evidence) -> str:
    """``NAME.keras`` and its data; returns the model's path."""
    path = str(Path(folder) / f"{name}.keras")
    model.save(path)
    evidence.write(folder, name)
    return path
