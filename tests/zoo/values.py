"""Models whose output is not one class: a value, several labels, the input itself."""

from __future__ import annotations

import numpy as np

from tests.zoo.data import motion
from tests.zoo.training import Evidence, fit, fresh_keras, save


def regression(folder: str) -> str:
    """Eight readings of a motor to its temperature above the room, K."""
    keras = fresh_keras(41)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8,), name="readings"),
            layers.Dense(32, activation="relu"),
            layers.Dense(32, activation="relu"),
            layers.Dense(1),
        ]
    )

    def readings(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        x = np.random.default_rng(seed).uniform(-1, 1, (n, 8)).astype(np.float32)
        kelvin = 20 + 15 * x[:, 0] + 10 * x[:, 1] * x[:, 2] + 8 * np.sin(3 * x[:, 3]) - 5 * np.abs(x[:, 4])
        return x, kelvin.astype(np.float32)[:, None]

    fit(model, *readings(4000, 1), epochs=12, rate=0.01, loss="mse")
    x, kelvin = readings(400, 2)
    return save(model, folder, "regression", Evidence({"readings": x}, [kelvin]))


def autoencoder(folder: str) -> str:
    """384 numbers through 32; what it cannot restore is an anomaly."""
    keras = fresh_keras(42)
    layers, data = keras.layers, motion()
    model = keras.Sequential(
        [
            keras.Input((384,), name="window"),
            layers.Dense(96, activation="relu"),
            layers.Dense(32, activation="relu"),
            layers.Dense(96, activation="relu"),
            layers.Dense(384),
        ]
    )
    x, test = data.x.reshape(-1, 384), data.test_x.reshape(-1, 384)
    fit(model, x, x, epochs=10, loss="mse")
    return save(model, folder, "autoencoder", Evidence({"window": test}, [test], None, data.groups))


def multi_label(folder: str) -> str:
    """Which of four tones are in 128 samples: any number of them."""
    keras = fresh_keras(43)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((128, 1), name="sound"),
            layers.Conv1D(16, 16, strides=2, activation="relu"),
            layers.Conv1D(16, 5, strides=2, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(4, activation="sigmoid"),
        ]
    )

    def sounds(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        present = rng.integers(0, 2, (n, 4))
        phase = 2 * np.pi * np.arange(128)[:, None] * np.array([0.04, 0.09, 0.17, 0.3])
        waves = np.sin(phase + rng.uniform(0, 6, (n, 1, 4)))
        x = np.einsum("ntk,nk->nt", waves, present) + 0.2 * rng.normal(size=(n, 128))
        return x[..., None].astype(np.float32), present.astype(np.int64)

    fit(model, *sounds(3000, 1), epochs=8, rate=0.01, loss="binary_crossentropy")
    x, present = sounds(400, 2)
    return save(model, folder, "multi_label", Evidence({"sound": x}, [present], present))
