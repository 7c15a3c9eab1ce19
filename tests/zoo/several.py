"""Models with several inputs or outputs, on wrist motion: acceleration, and how fast the wrist turns."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.zoo.data import motion
from tests.zoo.training import Evidence, fit, fresh_keras, save


def multi_input(folder: str) -> str:
    """Acceleration, float32 [64, 3], and sixteen levels, float32 [16]."""
    keras = fresh_keras(51)
    inputs = _inputs(keras)
    scores = keras.layers.Dense(7, activation="softmax", name="exercise")(_merged(keras, inputs))
    model = keras.Model(inputs, scores)
    data = motion()
    fit(model, _arrays(data.x), data.y, epochs=6, rate=0.005)
    evidence = Evidence(_arrays(data.test_x), [data.test_y], data.test_y, data.groups)
    return save(model, folder, "multi_input", evidence)


def multi_output(folder: str) -> str:
    """Which exercise, and how the arm is held."""
    keras = fresh_keras(52)
    layers, data = keras.layers, motion()
    window = keras.Input((64, 6), name="window")
    x = layers.Conv1D(16, 5, strides=2, activation="relu")(window)
    x = layers.GlobalAveragePooling1D()(layers.Conv1D(24, 5, activation="relu")(x))
    model = keras.Model(window, _heads(keras, x))
    _fit_both(model, data.x, data)
    truths = [data.test_y, _lean(data.test_x)]
    return save(
        model, folder, "multi_output", Evidence({"window": data.test_x}, truths, data.test_y, data.groups)
    )


def multi_in_out(folder: str) -> str:
    """Both."""
    keras = fresh_keras(53)
    data, inputs = motion(), _inputs(keras)
    model = keras.Model(inputs, _heads(keras, _merged(keras, inputs)))
    _fit_both(model, _arrays(data.x), data)
    truths = [data.test_y, _lean(data.test_x)]
    return save(
        model, folder, "multi_in_out", Evidence(_arrays(data.test_x), truths, data.test_y, data.groups)
    )


def _inputs(keras: Any) -> list[Any]:
    return [keras.Input((64, 3), name="acceleration"), keras.Input((16,), name="level")]


def _merged(keras: Any, inputs: list[Any]) -> Any:
    layers = keras.layers
    x = layers.Conv1D(16, 5, strides=2, activation="relu")(inputs[0])
    x = layers.GlobalAveragePooling1D()(layers.Conv1D(24, 5, activation="relu")(x))
    return layers.Concatenate()([x, layers.Dense(16, activation="relu")(inputs[1])])


def _heads(keras: Any, x: Any) -> list[Any]:
    layers = keras.layers
    return [layers.Dense(7, activation="softmax", name="exercise")(x), layers.Dense(1, name="lean")(x)]


def _arrays(windows: Any) -> dict[str, Any]:
    turning = np.abs(windows[..., 3:]).mean(axis=2).reshape(-1, 16, 4).mean(axis=2)
    return {"acceleration": windows[..., :3], "level": turning}


def _lean(windows: Any) -> Any:
    """float32 [n, 1]: mean acceleration along the first axis, which is mostly gravity's share."""
    return windows[..., :1].mean(axis=1).astype(np.float32)


def _fit_both(model: Any, x: Any, data: Any) -> None:
    fit(
        model,
        x,
        [data.y, _lean(data.x)],
        epochs=6,
        rate=0.005,
        loss=["sparse_categorical_crossentropy", "mse"],
    )
