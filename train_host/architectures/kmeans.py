"""k-means: how far the features of a window are from the nearest of a few centres. The least that detects."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from edge_sdk.contract import Statistics
from train_host.architectures import mixture
from train_host.architectures.features import summary
from train_host.architectures.head import Head
from train_host.architectures.log_mel import LogMel


def build(  # noqa: PLR0913 - the options of the family are its parameters
    shape: tuple[int, ...],
    head: Head,
    statistics: Statistics,
    *,
    sound: LogMel | None = None,
    bands: int = 16,
    frame: int = 64,
    centres: int = 8,
) -> Any:
    """float32 [*shape] -> float32 [1], the score of the mean squared distance to the nearest centre."""
    inputs, x = summary(shape, statistics, sound, bands, frame)
    distance = ops.min(mixture.layers(x, centres), axis=-1, keepdims=True)
    return keras.Model(inputs, head(distance), name="kmeans")


def fit(model: Any, windows: Any, seed: int) -> None:
    """Find the centres of normal windows.

    Args:
        model: of `build`.
        windows: batches of inputs.
        seed: of the choice of the first centres.

    Raises:
        DatasetError: fewer windows than centres.
    """
    from sklearn.cluster import KMeans

    features, count = mixture.begin(model, windows)
    centres = KMeans(count, n_init=5, random_state=seed).fit(features).cluster_centers_
    width = features.shape[1]
    mixture.assign(model, centres, np.ones_like(centres), np.full(count, 1 / width), np.zeros(count))
