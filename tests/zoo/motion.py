"""Models of wrist motion: float32 [64, 6] to one of seven exercises."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests import mixed_units
from tests.zoo.data import Split, motion
from tests.zoo.training import Evidence, fit, fresh_keras, save

CLASSES = 7


def mlp(folder: str) -> str:
    keras = fresh_keras(1)
    layers = keras.layers
    stack = [layers.Flatten(), layers.Dense(64, activation="relu"), layers.Dense(32, activation="relu")]
    return _sequence(keras, stack, folder, "mlp", epochs=8)


def conv1d(folder: str) -> str:
    keras = fresh_keras(2)
    layers = keras.layers
    stack = [
        layers.Conv1D(16, 5, activation="relu"),
        layers.MaxPool1D(2),
        layers.Conv1D(24, 5, activation="relu"),
        layers.GlobalAveragePooling1D(),
    ]
    return _sequence(keras, stack, folder, "conv1d", epochs=6)


def tcn(folder: str) -> str:
    """Causal dilated convolutions with residual connections."""
    keras = fresh_keras(3)
    layers = keras.layers
    window = keras.Input((64, 6), name="window")
    x = layers.Conv1D(16, 1)(window)
    for dilation in (1, 2, 4, 8):
        y = layers.Conv1D(16, 3, padding="causal", dilation_rate=dilation, activation="relu")(x)
        x = layers.Add()([x, layers.Conv1D(16, 1)(y)])
    scores = layers.Dense(CLASSES, activation="softmax")(layers.GlobalAveragePooling1D()(x))
    return _trained(keras.Model(window, scores), folder, "tcn", epochs=5)


def transformer(folder: str) -> str:
    """One block of attention over patches of four samples."""
    keras = fresh_keras(4)
    layers = keras.layers
    window = keras.Input((64, 6), name="window")
    x = layers.Conv1D(24, 4, strides=4)(window)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 12)(x, x)])
    x = layers.LayerNormalization()(x)
    y = layers.Dense(24)(layers.Dense(48, activation="gelu")(x))
    x = layers.LayerNormalization()(layers.Add()([x, y]))
    scores = layers.Dense(CLASSES, activation="softmax")(layers.GlobalAveragePooling1D()(x))
    return _trained(keras.Model(window, scores), folder, "transformer", epochs=8)


def activations(folder: str) -> str:
    """A different activation behind each layer."""
    keras = fresh_keras(5)
    layers = keras.layers
    stack = [
        layers.Conv1D(16, 5, strides=2),
        layers.LeakyReLU(negative_slope=0.1),
        layers.Conv1D(16, 3, activation="elu"),
        layers.Conv1D(16, 3, strides=2),
        layers.PReLU(shared_axes=[1]),
        layers.Conv1D(24, 3, activation="gelu"),
        layers.GlobalAveragePooling1D(),
        layers.Dense(16, activation="silu"),
    ]
    return _sequence(keras, stack, folder, "activations", epochs=6)


def late_batchnorm(folder: str) -> str:
    """Batch normalisation behind the activation, which cannot be folded into the convolution before it."""
    keras = fresh_keras(6)
    layers = keras.layers
    stack: list[Any] = []
    for channels in (16, 24):
        stack += [
            layers.Conv1D(channels, 5, strides=2, activation="relu"),
            layers.BatchNormalization(momentum=0.9),
        ]
    return _sequence(keras, [*stack, layers.GlobalAveragePooling1D()], folder, "late_batchnorm", epochs=6)


def binary(folder: str) -> str:
    """One sigmoid: is the arm rotated (classes 3 and 4)?"""
    keras = fresh_keras(7)
    layers, data = keras.layers, motion()
    model = keras.Sequential(
        [
            keras.Input((64, 6), name="window"),
            layers.Conv1D(16, 5, strides=2, activation="relu"),
            layers.Conv1D(16, 5, strides=2, activation="relu"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    fit(model, data.x, np.isin(data.y, (3, 4)), epochs=6, loss="binary_crossentropy")
    truth = np.isin(data.test_y, (3, 4)).astype(np.int64)
    return save(model, folder, "binary", Evidence({"window": data.test_x}, [truth], truth, data.groups))


def unlike_units(folder: str) -> str:
    """Normalisation in the graph, over channels in g, dps and Pa."""
    keras = fresh_keras(8)
    layers, data = keras.layers, _unlike_units()
    model = keras.Sequential(
        [
            keras.Input((mixed_units.WINDOW, 7), name="window"),
            layers.Normalization(mean=mixed_units.MEAN, variance=np.square(mixed_units.STD)),
            layers.Conv1D(16, 5, activation="relu"),
            layers.MaxPool1D(2),
            layers.Conv1D(16, 5, activation="relu"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(4, activation="softmax"),
        ]
    )
    fit(model, data.x, data.y, epochs=10, rate=0.01)
    return save(model, folder, "unlike_units", Evidence.classes(data))


def _unlike_units() -> Split:
    """Four classes, 8 subjects, one and a half thousand windows of `mixed_units`."""
    x, y, who = [], [], []
    for subject in range(8):
        for label in range(4):
            signal = mixed_units.signal(label, 38.4, 100 * subject + label)
            windows = signal.reshape(-1, mixed_units.WINDOW, 7)
            x.append(windows)
            y += [label] * len(windows)
            who += [f"s{subject}"] * len(windows)
    windows, labels, groups = np.concatenate(x), np.array(y, np.int64), np.array(who)
    test = np.isin(groups, ("s6", "s7"))
    return Split(windows[~test], labels[~test], windows[test], labels[test], groups[test])


def _sequence(keras: Any, stack: list[Any], folder: str, name: str, *, epochs: int) -> str:
    head = keras.layers.Dense(CLASSES, activation="softmax")
    return _trained(
        keras.Sequential([keras.Input((64, 6), name="window"), *stack, head]), folder, name, epochs
    )


def _trained(model: Any, folder: str, name: str, epochs: int) -> str:
    data = motion()
    fit(model, data.x, data.y, epochs=epochs)
    return save(model, folder, name, Evidence.classes(data))
