"""The temperature in a Keras model: logits come from ahead of its last layer, and T goes into its weights.

A dense layer that is divided by T is a dense layer: no operator is added, and int8 and C are what they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edge_sdk.dataset import Windowed
from edge_sdk.errors import ModelError, one_line
from train_host.fitting import fit


def load(path: Path) -> Any:
    """A .keras file of ours, to be asked for scores.

    Raises:
        ModelError: Keras cannot read it.
    """
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever it runs into
        raise ModelError(f"{path}: Keras cannot load it", found=one_line(error)) from error


def last_layer(model: Any) -> Any | None:
    """The dense layer with a softmax or sigmoids that the model ends with; None where it ends otherwise."""
    layer = model.layers[-1]
    fits = type(layer) is keras.layers.Dense and layer.output is model.outputs[0]
    return layer if fits and keras.activations.serialize(layer.activation) in ("softmax", "sigmoid") else None


def logits(model: Any, windows: Windowed) -> NDArray[np.float64]:
    """float64 [n, labels]: what the last layer says before its softmax or its sigmoids."""
    layer = last_layer(model)
    assert layer is not None
    features = fit.scores(keras.Model(model.inputs, layer.input), windows)
    kernel, bias = _weights(layer)
    return np.asarray(features, np.float64) @ kernel + bias


def fold(model: Any, temperatures: Sequence[float]) -> None:
    """Divide the logits by these temperatures, one for all or one a label, for good."""
    layer = last_layer(model)
    assert layer is not None
    divisor = np.asarray(temperatures)
    kernel, bias = _weights(layer)
    layer.kernel.assign((kernel / divisor).astype(np.float32))
    if layer.use_bias:
        layer.bias.assign((bias / divisor).astype(np.float32))


def _weights(layer: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    kernel = np.asarray(layer.kernel, np.float64)
    bias = np.asarray(layer.bias, np.float64) if layer.use_bias else np.zeros(kernel.shape[1])
    return kernel, bias
