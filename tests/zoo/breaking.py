"""Models that are fine in float32 and built to break under quantization.

They are trained as usual, then rescaled between layers, which leaves the function what it was: ReLU passes a
positive factor on, so a channel made larger by one layer is made smaller again by the next.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.zoo.data import clothes, motion
from tests.zoo.training import Evidence, fit, fresh_keras, save

#: How far the loud channel's activations exceed the others'.
OUTLIER = 2000.0


def wide_depthwise(folder: str) -> str:
    """Two channels whose depthwise weights are 256 times the others': one scale for all leaves two channels.

    Activations differ less, and most in the two channels that the others do not need: a scale for each weight
    channel is enough.
    """
    keras = fresh_keras(71)
    layers, data = keras.layers, clothes()
    first = layers.Conv2D(16, 3, strides=2, activation="relu")
    depthwise = layers.DepthwiseConv2D(3, activation="relu")
    pointwise = layers.Conv2D(24, 1, strides=2, activation="relu")
    model = _images(keras, [first, depthwise, pointwise])
    fit(model, data.x, data.y, epochs=6)
    loud = np.arange(16) % 8 == 0
    before, after = np.where(loud, 1 / 32, 1.0), np.where(loud, 8.0, 1.0)
    _scale(first, before)
    kernel, bias = depthwise.get_weights()
    depthwise.set_weights([kernel * (after / before)[:, None], bias * after])
    _undo(pointwise, after)
    return save(model, folder, "wide_depthwise", Evidence.classes(data, "image"))


def outlier_conv(folder: str) -> str:
    """One channel between two convolutions is thousands of times the others."""
    keras = fresh_keras(72)
    layers, data = keras.layers, clothes()
    first = layers.Conv2D(8, 3, strides=2, activation="relu")
    second = layers.Conv2D(16, 3, strides=2, activation="relu")
    model = _images(keras, [first, second])
    fit(model, data.x, data.y, epochs=6)
    _rescale_one(first, second, data.x[:256], keras.Model(model.inputs, first.output))
    return save(model, folder, "outlier_conv", Evidence.classes(data, "image"))


def outlier_dense(folder: str) -> str:
    """The same between two dense layers."""
    keras = fresh_keras(73)
    layers, data = keras.layers, motion()
    first, second = layers.Dense(48, activation="relu"), layers.Dense(24, activation="relu")
    head = layers.Dense(7, activation="softmax")
    model = keras.Sequential([keras.Input((64, 6), name="window"), layers.Flatten(), first, second, head])
    fit(model, data.x, data.y, epochs=8)
    _rescale_one(first, second, data.x[:256], keras.Model(model.inputs, first.output))
    return save(model, folder, "outlier_dense", Evidence.classes(data))


def decades(folder: str) -> str:
    """A concentration from 0.01 to 1,000 ppm: in eight bits of one scale, four of five decades are zero."""
    keras = fresh_keras(74)
    layers = keras.layers
    readings = keras.Input((6,), name="readings")
    x = layers.Dense(32, activation="relu")(readings)
    exponent = layers.Dense(1)(layers.Dense(32, activation="relu")(x))
    model = keras.Model(readings, keras.ops.exp(exponent))

    def gas(n: int, seed: int) -> tuple[Any, Any]:
        x = np.random.default_rng(seed).uniform(-1, 1, (n, 6)).astype(np.float32)
        decade = 0.5 + 1.5 * x[:, 0] + 0.7 * x[:, 1] * x[:, 2] + 0.5 * np.sin(3 * x[:, 3])
        return x, (decade * np.log(10)).astype(np.float32)[:, None]

    fit(keras.Model(readings, exponent), *gas(4000, 1), epochs=12, rate=0.01, loss="mse")
    x, exponents = gas(400, 2)
    return save(model, folder, "decades", Evidence({"readings": x}, [np.exp(exponents)]))


def _images(keras: Any, stack: list[Any]) -> Any:
    layers = keras.layers
    head = [layers.Flatten(), layers.Dense(10, activation="softmax")]
    return keras.Sequential([keras.Input((28, 28, 1), name="image"), *stack, *head])


def _rescale_one(first: Any, second: Any, x: Any, until_first: Any) -> None:
    """Make the busiest channel of `first` an outlier, and `second` undo it."""
    activations = until_first.predict(x, verbose=0)
    largest = activations.reshape(-1, activations.shape[-1]).max(axis=0)
    factors = np.ones(len(largest), np.float32)
    factors[largest.argmax()] = OUTLIER
    _scale(first, factors)
    _undo(second, factors)


def _scale(layer: Any, factors: Any) -> None:
    """Multiply a layer's output channels."""
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel * factors, bias * factors])


def _undo(layer: Any, factors: Any) -> None:
    """Divide the weights that read the channels which `factors` multiplied."""
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel / factors[:, None], bias])
