"""Records of operators with weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from converters.c.fixed_point import wrap
from converters.c.layers.layer import Bytes, Ints, Layer


@dataclass(frozen=True, slots=True, eq=False)
class FullyConnected(Layer):
    """FULLY_CONNECTED: weights int8 [outputs, inputs], bias int32 [outputs], a multiplier for each or one."""

    kernel = "edgeml_fully_connected"
    structure = "edgeml_fully_connected_t"
    rows: int
    input_zero_point: int
    output_zero_point: int
    lowest: int
    highest: int
    weights: Bytes
    bias: Ints
    multiplier: Ints
    shift: Bytes

    def fields(self) -> dict[str, Any]:
        """The zero point of the input is within the bias."""
        outputs, inputs = self.weights.shape
        bias = folded(self.bias, self.weights, self.input_zero_point, (1,))
        return {
            "rows": self.rows,
            "inputs": inputs,
            "outputs": outputs,
            "output_zero_point": self.output_zero_point,
            "lowest": self.lowest,
            "highest": self.highest,
            "per_channel": int(self.multiplier.size > 1),
            "narrow": _is_narrow(bias, self.weights, self.shift, (1,)),
            "weights": self.weights,
            "bias": bias,
            "multiplier": self.multiplier,
            "shift": self.shift,
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Window(Layer):
    batches: int
    input_height: int
    input_width: int
    input_channels: int
    output_height: int
    output_width: int
    kernel_height: int
    kernel_width: int
    stride_height: int
    stride_width: int
    dilation_height: int
    dilation_width: int
    padding_top: int
    padding_left: int


@dataclass(frozen=True, slots=True, eq=False)
class Conv2d(_Window):
    """CONV_2D: `patch` is what is computed of each window, its weights flattened."""

    kernel = "edgeml_conv_2d"
    structure = "edgeml_conv_2d_t"
    input_zero_point: int
    patch: FullyConnected


@dataclass(frozen=True, slots=True, eq=False)
class DepthwiseConv2d(_Window):
    """DEPTHWISE_CONV_2D: weights int8 [kernel_height, kernel_width, channels]."""

    kernel = "edgeml_depthwise_conv_2d"
    structure = "edgeml_depthwise_conv_2d_t"
    depth_multiplier: int
    input_zero_point: int
    output_zero_point: int
    lowest: int
    highest: int
    weights: Bytes
    bias: Ints
    multiplier: Ints
    shift: Bytes

    def fields(self) -> dict[str, Any]:
        """The zero point of the input is within the bias."""
        bias = folded(self.bias, self.weights, self.input_zero_point, (0, 1))
        narrow = _is_narrow(bias, self.weights, self.shift, (0, 1)) and int(
            self.weights.min(initial=0) > -128
        )
        return {**Layer.fields(self), "narrow": narrow, "bias": bias}


@dataclass(frozen=True, slots=True, eq=False)
class TransposeConv(Layer):
    """TRANSPOSE_CONV: weights int8 [output_channels, kernel_height, kernel_width, input_channels]."""

    kernel = "edgeml_transpose_conv"
    structure = "edgeml_transpose_conv_t"
    batches: int
    input_height: int
    input_width: int
    input_channels: int
    output_height: int
    output_width: int
    output_channels: int
    kernel_height: int
    kernel_width: int
    stride_height: int
    stride_width: int
    padding_top: int
    padding_left: int
    input_zero_point: int
    output_zero_point: int
    lowest: int
    highest: int
    weights: Bytes
    bias: Ints
    multiplier: Ints
    shift: Bytes


def folded(bias: Ints, weights: Bytes, zero_point: int, axes: tuple[int, ...]) -> Ints:
    """The bias less what a zero point contributes through the weights; wraps as the sums do."""
    share = zero_point * weights.sum(axis=axes, dtype=np.int64)
    return np.asarray(wrap(bias.astype(np.int64) - share), np.int32)


def _is_narrow(bias: Ints, weights: Bytes, shift: Bytes, axes: tuple[int, ...]) -> int:
    """Whether no sum can reach 2^30 and every shift is to the right: then kernels take a shorter way."""
    most = np.abs(bias.astype(np.int64)) + 128 * np.abs(weights.astype(np.int64)).sum(axis=axes)
    return int(bool((most < 1 << 30).all() and (shift < 0).all()))
