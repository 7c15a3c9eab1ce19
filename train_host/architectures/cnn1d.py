"""1-D convolutions over time, then the mean over time, then one dense layer.

Convolution, BatchNorm, ReLU, in this order: the converter folds all three into one int8 operation. Of long
windows the stages are more, and their strides longer, so that the last one still sees a good part of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from edge_sdk.contract import Statistics
from train_host.architectures.front import begin, convolution_relu
from train_host.architectures.head import Head
from train_host.architectures.log_mel import LogMel

#: Stages are added, and strides grow, until no more steps of a window are left.
_LEFT = 25
#: Channels of further stages, and the longest stride.
_WIDEST, _LONGEST = 64, 4


def build(  # noqa: PLR0913 - the options of the family are its parameters
    shape: tuple[int, ...],
    head: Head,
    statistics: Statistics,
    *,
    sound: LogMel | None = None,
    filters: Sequence[int] | None = None,
    kernels: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
    dropout: float = 0.3,
) -> Any:
    """float32 [window, channels] -> float32 [units], what the head says.

    `filters`, `kernels` and `strides` are of each stage. Where none is given, `stages` says them; beside
    others what is missing is that of a short window.
    """
    inputs, x = begin(shape, statistics, sound)
    asked = (filters, kernels, strides)
    usual = stages(x.shape[1] if asked == (None, None, None) else 0)
    chosen = [own if given is None else list(given) for given, own in zip(asked, usual, strict=True)]
    if len({len(each) for each in chosen}) > 1:
        raise ValueError("filters, kernels and strides: expected lists of one length")
    for width, kernel, stride in zip(*chosen, strict=True):
        x = convolution_relu(x, width, kernel, stride)
    x = keras.layers.GlobalAveragePooling1D()(x)
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(inputs, head(x), name="cnn1d")


def stages(window: int) -> tuple[list[int], list[int], list[int]]:
    """Channels, kernels and strides of each stage for a window of so many steps.

    >>> stages(100)
    ([24, 32, 48], [9, 5, 3], [2, 2, 2])
    >>> stages(2000)
    ([24, 32, 48, 64], [9, 9, 9, 3], [4, 4, 4, 2])
    """
    filters, strides = [24, 32, 48], [2, 2, 2]
    while window > _LEFT * math.prod(strides):
        if len(strides) == 3 or 2 not in strides:
            filters.append(_WIDEST)
            strides.append(2)
        else:
            strides[strides.index(2)] = _LONGEST
    kernels = [9, *(2 * stride + 1 for stride in strides[1:-1]), strides[-1] + 1]
    return filters, kernels, strides
