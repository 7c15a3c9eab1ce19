"""Distances to several centres by dense layers, so that they become int8 and C like any other layer.

The first layer says, for each centre, how far each feature is from it in units of the centre's own spread;
the second adds up the squares. `gmm` and `kmeans` find the numbers, without gradients.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from edge_sdk.errors import DatasetError
from train_host.architectures.features import STANDARD, standardised

_APART, _SUMS = "apart", "sums"


def layers(x: Any, centres: int) -> Any:
    """Features, float32 [n, 1, features], become weighted sums of squares, float32 [n, centres]."""
    flat = keras.layers.Flatten()(standardised(x))
    apart = keras.layers.Dense(centres * flat.shape[-1], name=_APART)(flat)
    return keras.layers.Dense(centres, name=_SUMS)(ops.multiply(apart, apart))


def begin(model: Any, windows: Any) -> tuple[NDArray[np.float64], int]:
    """What the centres of a model are to be found among; the model standardises likewise from now on.

    Args:
        model: with `layers` in it.
        windows: batches of inputs.

    Returns:
        Standardised features, float64 [n, features], and how many centres there are.

    Raises:
        DatasetError: fewer windows than centres.
    """
    features, count = _standardised(model, windows), model.get_layer(_SUMS).units
    if len(features) < count:
        raise DatasetError(
            "too few normal windows for so many centres",
            expected=f"at least {count}",
            found=len(features),
            remedy="record more, or take fewer: centres under [model] in a --config",
        )
    return features, count


def assign(
    model: Any, centres: NDArray[Any], scales: NDArray[Any], weights: NDArray[Any], offset: NDArray[Any]
) -> None:
    """Put what was found into the layers: ``weights * Σ ((x - centre) * scale)² + offset``.

    Args:
        model: with `layers` in it.
        centres: float [k, features].
        scales: float [k, features], 1 / spread.
        weights: float [k], of each sum.
        offset: float [k], added to each sum.
    """
    count, features = centres.shape
    kernel = np.zeros((features, count, features))
    every = np.arange(features)
    kernel[every, :, every] = scales.T
    apart = model.get_layer(_APART)
    apart.kernel.assign(kernel.reshape(features, -1).astype(np.float32))
    apart.bias.assign((-centres * scales).ravel().astype(np.float32))
    sums = model.get_layer(_SUMS)
    sums.kernel.assign(np.repeat(np.diag(weights), features, axis=0).astype(np.float32))
    sums.bias.assign(offset.astype(np.float32))


def _standardised(model: Any, windows: Any) -> NDArray[np.float64]:
    layer = model.get_layer(STANDARD)
    raw = keras.Model(model.inputs, layer.input).predict(windows, verbose=0)
    flat = np.asarray(raw, np.float64).reshape(len(raw), -1)
    mean, variance = flat.mean(axis=0), flat.var(axis=0)
    layer.moving_mean.assign(mean.astype(np.float32))
    layer.moving_variance.assign(variance.astype(np.float32))
    return np.asarray((flat - mean) / np.sqrt(variance + layer.epsilon))
