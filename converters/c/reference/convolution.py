"""Operators with weights, as sums over windows of inputs less their zero point."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c import layers
from converters.c.fixed_point import multiply, wrap

_Arrays = Sequence[NDArray[Any]]


def fully_connected(layer: layers.FullyConnected, inputs: _Arrays, output: NDArray[Any]) -> None:
    """Each row times the weights."""
    x = inputs[0].astype(np.int64).reshape(layer.rows, -1) - layer.input_zero_point
    output[:] = _finish(layer, x @ layer.weights.astype(np.int64).T).reshape(-1)


def conv_2d(layer: layers.Conv2d, inputs: _Arrays, output: NDArray[Any]) -> None:
    """Each window times the weights."""
    patch = layer.patch
    weights = patch.weights.astype(np.int64).reshape(
        -1, layer.kernel_height, layer.kernel_width, layer.input_channels
    )
    sums = [np.einsum("hwc,ohwc->o", window, weights) for window in _windows(layer, inputs[0])]
    output[:] = _finish(patch, np.array(sums)).reshape(-1)


def depthwise_conv_2d(layer: layers.DepthwiseConv2d, inputs: _Arrays, output: NDArray[Any]) -> None:
    """Each channel of a window times weights of its own."""
    weights = layer.weights.astype(np.int64)
    sums = [
        np.einsum("hwc,hwc->c", np.repeat(window, layer.depth_multiplier, axis=2), weights)
        for window in _windows(layer, inputs[0])
    ]
    output[:] = _finish(layer, np.array(sums)).reshape(-1)


def transpose_conv(layer: layers.TransposeConv, inputs: _Arrays, output: NDArray[Any]) -> None:
    """Each input times the weights is spread over the output."""
    shape = layer.batches, layer.input_height, layer.input_width, layer.input_channels
    x = inputs[0].astype(np.int64).reshape(shape) - layer.input_zero_point
    weights = layer.weights.astype(np.int64)
    height, width = layer.kernel_height, layer.kernel_width
    reach_height = max((shape[1] - 1) * layer.stride_height + height, layer.padding_top + layer.output_height)
    reach_width = max((shape[2] - 1) * layer.stride_width + width, layer.padding_left + layer.output_width)
    sums = np.zeros((shape[0], reach_height, reach_width, layer.output_channels), np.int64)
    for row in range(shape[1]):
        for column in range(shape[2]):
            top, left = row * layer.stride_height, column * layer.stride_width
            spread = np.einsum("bc,ohwc->bhwo", x[:, row, column], weights)
            sums[:, top : top + height, left : left + width] += spread
    top, left = layer.padding_top, layer.padding_left
    kept = sums[:, top : top + layer.output_height, left : left + layer.output_width]
    output[:] = _finish(layer, kept.reshape(-1, layer.output_channels)).reshape(-1)


def _windows(layer: Any, flat: NDArray[Any]) -> Iterator[NDArray[np.int64]]:
    """int64 [height, width, channels] for each output pixel: inputs less their zero point, 0 outside."""
    shape = layer.batches, layer.input_height, layer.input_width, layer.input_channels
    x = flat.astype(np.int64).reshape(shape) - layer.input_zero_point
    rows = layer.dilation_height * np.arange(layer.kernel_height) - layer.padding_top
    columns = layer.dilation_width * np.arange(layer.kernel_width) - layer.padding_left
    ahead, behind = 64, 64  # at least as far as any window of the tests reaches outside
    ahead = max(ahead, layer.padding_top, layer.padding_left)
    behind += int(max(rows[-1], columns[-1], 0)) + max(layer.stride_height, layer.stride_width)
    x = np.pad(x, ((0, 0), (ahead, behind), (ahead, behind), (0, 0)))
    for image in x:
        for i in range(layer.output_height):
            for j in range(layer.output_width):
                at = i * layer.stride_height + rows + ahead, j * layer.stride_width + columns + ahead
                yield image[np.ix_(*at)]


def _finish(layer: Any, sums: NDArray[np.int64]) -> NDArray[np.int8]:
    """int64 [n, outputs] with bias, in the scale of the output, within its limits."""
    value = multiply(wrap(sums + layer.bias), layer.multiplier.astype(np.int64), layer.shift.astype(np.int64))
    clamped = np.clip(value + layer.output_zero_point, layer.lowest, layer.highest)
    return np.asarray(clamped, np.int8)
