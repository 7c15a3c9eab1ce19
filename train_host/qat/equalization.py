"""Channels of like size: what one layer makes larger the next one takes back, and the function stays.

In int8 all channels of a tensor share one range, so that small channels beside large ones are left with a few
steps. Between two layers a channel can have any size: a ReLU passes it on.

After "Data-Free Quantization Through Weight Equalization and Bias Correction" (Nagel et al., 2019). Sizes are
those that were seen, halfway between equal activations and equal weights where both share a range.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from train_host.qat.graphs import readers

_layers = keras.layers
_WEIGHTED = (
    *(_layers.Conv1D, _layers.Conv2D, _layers.DepthwiseConv1D, _layers.DepthwiseConv2D, _layers.Dense),
)
_DEPTHWISE = (_layers.DepthwiseConv1D, _layers.DepthwiseConv2D)
#: They treat each channel alike, and twice as much as twice as much.
_PASSING = (
    *(_layers.Dropout, _layers.SpatialDropout1D, _layers.SpatialDropout2D),
    *(_layers.MaxPooling1D, _layers.MaxPooling2D, _layers.AveragePooling1D, _layers.AveragePooling2D),
    *(_layers.GlobalMaxPooling1D, _layers.GlobalMaxPooling2D),
    *(_layers.GlobalAveragePooling1D, _layers.GlobalAveragePooling2D),
    *(_layers.ZeroPadding1D, _layers.ZeroPadding2D),
)
#: No channel is made larger or smaller than by so much.
_MOST = 1e4


@dataclass(frozen=True)
class Pair:
    """Two layers between which channels can have any size.

    Attributes:
        source: whose channels are scaled: a normalisation, or a layer with weights and none behind it.
        target: that takes it back.
    """

    source: Any
    target: Any


def equalize(model: Any, windows: NDArray[np.float32]) -> int:
    """Change weights so that channels are of like size, and outputs stay.

    Args:
        model: trained, functional.
        windows: float32 [n, …], to see the sizes on.

    Returns:
        Between how many layers that was possible.
    """
    found = pairs(model)
    if not found:
        return 0
    seen = keras.Model(model.inputs, [pair.target.input for pair in found]).predict(windows, verbose=0)
    for pair, tensor in zip(found, seen if len(found) > 1 else [seen], strict=True):
        _scale(pair, np.abs(tensor).max(axis=tuple(range(tensor.ndim - 1))))
    return len(found)


def pairs(model: Any) -> list[Pair]:
    """Layers of a model with nothing but a ReLU, and what treats each channel alike, between them."""
    reading = readers(model)
    found = []
    for layer in model.layers:
        if not isinstance(layer, _WEIGHTED) or not _is_homogeneous(layer.activation):
            continue
        source, behind = layer, reading.get(id(layer.output), [])
        if len(behind) == 1 and isinstance(behind[0], _layers.BatchNormalization):
            source = behind[0]
            behind = reading.get(id(source.output), [])
        while len(behind) == 1 and _passes(behind[0]):
            behind = reading.get(id(behind[0].output), [])
        if len(behind) == 1 and isinstance(behind[0], _WEIGHTED) and _can_scale(source):
            found.append(Pair(source, behind[0]))
    return found


def _scale(pair: Pair, size: NDArray[np.float32]) -> None:
    kernel = pair.target.kernel.numpy()
    weight = np.abs(kernel).max(axis=tuple(axis for axis in range(kernel.ndim) if axis != kernel.ndim - 2))
    alive = (size > 0) & (weight > 0)
    if not alive.any():
        return
    # a depthwise convolution has a range a channel for its weights
    by = np.ones_like(size)
    by[alive] = size[alive] if isinstance(pair.target, _DEPTHWISE) else np.sqrt(size[alive] / weight[alive])
    by[alive] = np.clip(by[alive] / np.exp(np.log(by[alive]).mean()), 1 / _MOST, _MOST)
    pair.target.kernel.assign(kernel * by[:, None])
    if isinstance(pair.source, _layers.BatchNormalization):
        scaled = (pair.source.gamma, pair.source.beta)
    else:
        scaled = tuple(
            variable for variable in (pair.source.kernel, pair.source.bias) if variable is not None
        )
    for variable in scaled:
        values = variable.numpy()
        shape = values.shape[-2:] if _is_depthwise(pair, variable) else (-1,)
        variable.assign(values / by.reshape(shape))


def _is_depthwise(pair: Pair, variable: Any) -> bool:
    return isinstance(pair.source, _DEPTHWISE) and variable is pair.source.kernel


def _can_scale(source: Any) -> bool:
    if isinstance(source, _layers.BatchNormalization):
        return bool(source.scale and source.center)
    return True


def _passes(layer: Any) -> bool:
    if isinstance(layer, _layers.ReLU):
        return layer.max_value is None and not layer.threshold
    if isinstance(layer, _layers.Activation):
        return _is_homogeneous(layer.activation)
    return isinstance(layer, _PASSING)


def _is_homogeneous(activation: Any) -> bool:
    return activation in (keras.activations.linear, keras.activations.relu)
