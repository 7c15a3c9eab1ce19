"""What stands ahead of everything learned: the input and its normalisation, or a log-mel spectrogram."""

from __future__ import annotations

from typing import Any

import keras

from edge_sdk.contract import Statistics
from train_host.architectures.log_mel import LogMel, log_mel
from train_host.architectures.normalization import normalization


def begin(shape: tuple[int, ...], statistics: Statistics, sound: LogMel | None) -> tuple[Any, Any]:
    """The input of a model, and what its first learned layer reads.

    Args:
        shape: of one window, without the batch axis.
        statistics: of the training windows, for the normalisation.
        sound: how sound becomes features; None where samples are learned from as they are.

    Returns:
        float32 [n, *shape], and float32 of the same shape, or [n, frames, mels] of sound.

    Raises:
        ValueError: more than one channel of sound, or its window holds no frame.
    """
    inputs = keras.Input(shape, name="x")
    if sound is None:
        return inputs, normalization(statistics)(inputs)
    if len(shape) != 2 or shape[1] != 1:
        raise ValueError(f"sound: expected one channel, found {shape[-1]}")
    # loudness is in the logarithm; each band is normalised by what its training frames were
    bands = keras.layers.BatchNormalization(scale=False, center=False, momentum=0.9, name="bands")
    return inputs, bands(log_mel(shape[0], sound.of_spread(statistics.std[0]))(inputs))


def as_image(x: Any) -> Any:
    """Features [n, frames, mels] with a channel axis behind them; an image is one already."""
    return x if len(x.shape) == 4 else keras.layers.Reshape((*x.shape[1:], 1))(x)


def convolution(x: Any, filters: int, kernel: Any, strides: Any = 1, *, dilation: int = 1) -> Any:
    """Convolution and BatchNorm, which the converter folds into one int8 operation.

    Args:
        x: float32 [n, time, channels] or [n, height, width, channels].
        filters: channels that come out.
        kernel: its size, one number or one an axis.
        strides: likewise.
        dilation: of time; such a convolution sees the past only.
    """
    layer = keras.layers.Conv1D if len(x.shape) == 3 else keras.layers.Conv2D
    padding = "same" if dilation == 1 else "causal"
    x = layer(filters, kernel, strides=strides, padding=padding, dilation_rate=dilation, use_bias=False)(x)
    return keras.layers.BatchNormalization(momentum=0.9)(x)


def convolution_relu(x: Any, filters: int, kernel: Any, strides: Any = 1) -> Any:
    """The same and ReLU, folded as well."""
    return keras.layers.ReLU()(convolution(x, filters, kernel, strides))


def separable_relu(x: Any, filters: int, strides: Any = 1) -> Any:
    """A depthwise convolution of 3 by 3, then one across channels, each with BatchNorm and ReLU."""
    x = keras.layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
    return convolution_relu(x, filters, 1)
