"""Means and maxima of windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c import layers

_Arrays = Sequence[NDArray[Any]]


def average_pool_2d(layer: layers.AveragePool, inputs: _Arrays, output: NDArray[Any]) -> None:
    """The mean, halves away from zero."""
    found = []
    for window in _windows(layer, inputs[0]):
        total, count = window.sum(axis=(0, 1)), window.shape[0] * window.shape[1]
        found.append(np.sign(total) * ((np.abs(total) + count // 2) // count))
    output[:] = np.clip(np.concatenate(found), layer.lowest, layer.highest)


def max_pool_2d(layer: layers.MaxPool, inputs: _Arrays, output: NDArray[Any]) -> None:
    """The largest."""
    found = [window.max(axis=(0, 1)) for window in _windows(layer, inputs[0])]
    output[:] = np.clip(np.concatenate(found), layer.lowest, layer.highest)


def _windows(layer: Any, flat: NDArray[Any]) -> Iterator[NDArray[np.int64]]:
    """int64 [rows, columns, channels] for each output pixel, without what lies outside of the input."""
    shape = layer.batches, layer.input_height, layer.input_width, layer.channels
    for image in flat.astype(np.int64).reshape(shape):
        for i in range(layer.output_height):
            top = i * layer.stride_height - layer.padding_top
            for j in range(layer.output_width):
                left = j * layer.stride_width - layer.padding_left
                bottom, right = top + layer.kernel_height, left + layer.kernel_width
                yield image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
