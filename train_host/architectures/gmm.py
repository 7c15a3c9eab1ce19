"""A mixture of Gaussians: how unlikely the features of a window are. A strong baseline for few data.

The distance is the negative logarithm of the density, less the least that it can be: 0 at the top.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from edge_sdk.contract import Statistics
from train_host.architectures import mixture
from train_host.architectures.features import summary
from train_host.architectures.head import Head
from train_host.architectures.log_mel import LogMel

#: Added to each variance, in units of the spread over all windows: nothing is certain to the last digit.
_LEAST_VARIANCE = 1e-2


def build(  # noqa: PLR0913 - the options of the family are its parameters
    shape: tuple[int, ...],
    head: Head,
    statistics: Statistics,
    *,
    sound: LogMel | None = None,
    bands: int = 16,
    frame: int = 64,
    centres: int = 4,
) -> Any:
    """float32 [*shape] -> float32 [1], the score of how unlikely the window is."""
    inputs, x = summary(shape, statistics, sound, bands, frame)
    each = mixture.layers(x, centres)
    # ops.logsumexp asks whether numbers are finite, which no int8 kernel answers
    least = ops.min(each, axis=-1, keepdims=True)
    others = ops.log(ops.sum(ops.exp(ops.subtract(least, each)), axis=-1, keepdims=True))
    # rounding may leave less than nothing
    distance = ops.relu(ops.subtract(least, others))
    return keras.Model(inputs, head(distance), name="gmm")


def fit(model: Any, windows: Any, seed: int) -> None:
    """Find the mixture of normal windows, with a variance a feature and a centre.

    Args:
        model: of `build`.
        windows: batches of inputs.
        seed: of the choice of the first centres.

    Raises:
        DatasetError: fewer windows than centres.
    """
    from sklearn.mixture import GaussianMixture

    features, count = mixture.begin(model, windows)
    found = GaussianMixture(
        count, covariance_type="diag", reg_covar=_LEAST_VARIANCE, n_init=3, random_state=seed
    ).fit(features)
    scales: NDArray[np.float64] = 1 / np.sqrt(found.covariances_)
    heights = np.log(found.weights_) + np.log(scales).sum(axis=1)
    offset = np.logaddexp.reduce(heights) - heights
    mixture.assign(model, found.means_, scales, np.full(count, 0.5), offset)
