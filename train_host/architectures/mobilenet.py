"""MobileNet: depthwise separable convolutions, as wide as alpha says.

After "MobileNets" (Howard et al., 2017), whose five blocks of 512 channels are `repeats` here. The whole
stack halves an image five times; a small one no further than to 4 pixels a side, so that 32 are enough.
"""

from __future__ import annotations

from typing import Any

import keras

from edge_sdk.contract import Statistics
from train_host.architectures.front import as_image, begin, convolution_relu, separable_relu
from train_host.architectures.head import Head
from train_host.architectures.log_mel import LogMel

#: Channels at alpha = 1 and stride of each block behind the first convolution, ahead of the repeated ones.
_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2))
_REPEATED, _LAST = (512, 1), ((1024, 2), (1024, 1))
_LEAST_SIDE = 4


def build(  # noqa: PLR0913 - the options of the family are its parameters
    shape: tuple[int, ...],
    head: Head,
    statistics: Statistics,
    *,
    sound: LogMel | None = None,
    alpha: float = 0.25,
    repeats: int = 1,
    dropout: float = 0.2,
) -> Any:
    """float32 [height, width, channels], 0..255, or sound -> float32 [units], what the head says.

    `alpha` is the width: 0.25 fits a microcontroller. With alpha 1 and 5 repeats it is the network of the
    paper; few images are learned better with fewer.
    """
    if not 0 < alpha <= 2:
        raise ValueError(f"alpha: expected more than 0 and at most 2, found {alpha:g}")
    inputs, x = begin(shape, statistics, sound)
    x = as_image(x)
    x = convolution_relu(x, _width(32, alpha), 3, _stride(x, 2))
    for channels, stride in (*_BLOCKS, *[_REPEATED] * repeats, *_LAST):
        x = separable_relu(x, _width(channels, alpha), _stride(x, stride))
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(inputs, head(x), name="mobilenet")


def _width(channels: int, alpha: float) -> int:
    """A multiple of 8, as vectors of int8 like it."""
    return max(8, round(channels * alpha / 8) * 8)


def _stride(x: Any, wanted: int) -> int:
    """That stride, where enough is left of the image."""
    return wanted if min(x.shape[1:3]) >= 2 * _LEAST_SIDE else 1
