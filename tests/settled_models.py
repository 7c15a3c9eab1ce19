"""Models of every architecture that know their task, made in a second each: for what converts them.

Nothing is fitted step by step. Batch normalisations take over the statistics of the windows, and the last
layer is solved for; a conversion that loses something then shows as on a trained model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from train_host.architectures.catalogue import Example
from train_host.architectures.head import ALARM

_EACH = 12
_SURE = 6.0
#: Of each batch normalisation in a network with more than so many: behind it ReLU lets most through. Without
#: it, deep networks of random weights are chaotic, each layer making a small difference a fifth larger.
_SHIFT, _DEEP = 1.5, 12


def data(example: Example) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Windows that anything can tell apart, float32 [n, …]: each class has a frequency of its own."""
    rng = np.random.default_rng(3)
    # a mixture of Gaussians needs more to be found from
    y = (
        np.repeat([0, 1], 5 * _EACH)
        if example.head.alarm
        else np.repeat(np.arange(example.head.units), _EACH)
    )
    axes = example.shape[:-1]
    grid = np.stack(np.meshgrid(*(np.arange(size) / size for size in axes), indexing="ij"), axis=-1)
    tones = {"sound": 250 + 500 * y, "signals": 2 + 3 * y, "images": 2 + y}[example.kind]
    along = grid.mean(axis=-1) if len(axes) > 1 else grid[..., 0]
    phase = rng.uniform(0, 6.28, (len(y), *(1 for _ in axes)))
    wave = np.sin(2 * np.pi * tones.reshape(phase.shape) * along + phase)[..., None]
    strength = rng.uniform(0.7, 1.3, (len(y), *(1 for _ in axes), example.shape[-1]))
    x = wave * strength + rng.normal(0, 0.1, (len(y), *example.shape))
    return (x * (0.2 if example.kind == "sound" else 1)).astype(np.float32), y


def make(example: dict[str, Any], name: str, folder: str) -> dict[str, Any]:
    """Build one, settle it, convert it: runs in a child process.

    Args:
        example: an `Example` as plain values.
        name: of the architecture.
        folder: gets ``NAME.tflite`` and ``NAME.npz`` with x, y and what Keras says.

    Returns:
        ``untrained``: names of the weights that no gradient reaches; there should be none.
    """
    import keras
    import tensorflow as tf

    from train_host import architectures
    from train_host.architectures import trial

    asked = msgspec.convert(example, Example)
    x, y = data(asked)
    keras.utils.set_random_seed(7)
    model = trial.model(asked, name)
    every = list(model._flatten_layers())
    normal = [layer for layer in every if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in normal:
        layer.momentum = 0.0
        if len(normal) > _DEEP and layer.center:
            layer.beta.assign(np.full(layer.beta.shape, _SHIFT))
    for layer in every:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    model(x, training=True)
    with tf.GradientTape() as tape:
        said = model(x[:16], training=True)
        loss = said if asked.head.alarm else keras.losses.sparse_categorical_crossentropy(y[:16], said)
    gradients = tape.gradient(loss, [weight.value for weight in model.trainable_weights])
    model(x, training=True)
    if asked.head.alarm:
        _scale(model, architectures.fitter(name), x, y)
    else:
        _solve(keras, model, x, y)
    said = np.concatenate([np.asarray(model(part, training=False)) for part in np.array_split(x, 4)])
    place = Path(folder)
    (place / f"{name}.tflite").write_bytes(trial.int8(model, x, place))
    np.savez(place / f"{name}.npz", x=x, y=y, said=said)
    keras.backend.clear_session()
    untrained = [
        weight.path
        for weight, gradient in zip(model.trainable_weights, gradients, strict=True)
        if gradient is None or not np.isfinite(gradient).all()
    ]
    return {"untrained": untrained}


def _scale(model: Any, fit: Any, x: NDArray[np.float32], y: NDArray[np.int64]) -> None:
    """The first class is normal, and the threshold lies where distances leave the widest gap."""
    import tensorflow as tf

    if fit is not None:
        fit(model, tf.data.Dataset.from_tensor_slices(x[y == 0]).batch(len(x)), 0)
    score = np.asarray(model(x, training=False), np.float64)
    distance = np.sort(np.maximum(1e-6, score / (1 - score)), axis=None)
    widest = int(np.argmax(distance[1:] / distance[:-1]))
    weight = 1 / np.sqrt(distance[widest] * distance[widest + 1])
    model.get_layer(ALARM).set_weights([np.array([[weight]], np.float32)])


def _solve(keras: Any, model: Any, x: NDArray[np.float32], y: NDArray[np.int64]) -> None:
    """The last layer by ridge regression from what comes into it."""
    last = model.layers[-1]
    features = np.asarray(keras.Model(model.inputs, last.input)(x, training=False), np.float64)
    mean = features.mean(axis=0)
    centred = features - mean
    wanted = _SURE * (2.0 * np.eye(last.units)[y] - 1)
    ridge = 0.1 * np.trace(centred.T @ centred) / centred.shape[1] * np.eye(centred.shape[1])
    kernel = np.linalg.solve(centred.T @ centred + ridge, centred.T @ wanted)
    bias = wanted.mean(axis=0) - mean @ kernel
    last.set_weights([kernel.astype(np.float32), bias.astype(np.float32)])
