"""What a kernel is told: one record a kernel, with the fields of its C structure in their order.

Records hold plain facts, such as a bias and a zero point; `fields` gives what the C structure holds, such as
the bias with the zero point's share inside.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from converters.c.fixed_point import wrap

#: Axes of a box, as EDGEML_AXES in edgeml_kernels.h.
AXES = 5
Ints = NDArray[np.int32]
Bytes = NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One kernel's constants.

    Attributes:
        kernel: name of the C function, of its file, and of its structure without ``_t``.
    """

    kernel: ClassVar[str]
    structure: ClassVar[str]

    def fields(self) -> dict[str, Any]:
        """Name → value of the C structure: a number, an array, or another record."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def kernels(self) -> list[str]:
        """The kernel, and those that it calls."""
        return [self.kernel, *(value.kernel for value in self.fields().values() if hasattr(value, "kernel"))]


@dataclass(frozen=True, slots=True, eq=False)
class Box(Layer):
    """Places of two operands that are broadcast, or of one that is moved; sizes and steps in elements."""

    structure = "edgeml_box_t"
    size: tuple[int, ...]
    step_a: tuple[int, ...]
    step_b: tuple[int, ...]

    def fields(self) -> dict[str, Any]:
        """The count of its rows too."""
        return {"rows": int(np.prod(self.size[:-1])), **Layer.fields(self)}


@dataclass(frozen=True, slots=True, eq=False)
class Add(Layer):
    """ADD and SUB."""

    kernel = "edgeml_add"
    structure = "edgeml_add_t"
    box: Box
    offset_a: int
    multiplier_a: int
    shift_a: int
    offset_b: int
    multiplier_b: int
    shift_b: int
    sign: int
    offset: int
    multiplier: int
    shift: int
    lowest: int
    highest: int


@dataclass(frozen=True, slots=True, eq=False)
class Mul(Layer):
    """MUL."""

    kernel = "edgeml_mul"
    structure = "edgeml_mul_t"
    box: Box
    offset_a: int
    offset_b: int
    offset: int
    multiplier: int
    shift: int
    lowest: int
    highest: int


@dataclass(frozen=True, slots=True, eq=False)
class _Float(Layer):
    structure = "edgeml_float_t"
    box: Box
    lowest: float
    highest: float


class FloatAdd(_Float):
    """ADD of float32."""

    kernel = "edgeml_float_add"


class FloatSub(_Float):
    """SUB of float32."""

    kernel = "edgeml_float_sub"


class FloatMul(_Float):
    """MUL of float32."""

    kernel = "edgeml_float_mul"


class FloatDiv(_Float):
    """DIV of float32."""

    kernel = "edgeml_float_div"


@dataclass(frozen=True, slots=True, eq=False)
class _Pool(Layer):
    structure = "edgeml_pool_2d_t"
    batches: int
    channels: int
    input_height: int
    input_width: int
    output_height: int
    output_width: int
    kernel_height: int
    kernel_width: int
    stride_height: int
    stride_width: int
    padding_top: int
    padding_left: int
    lowest: int
    highest: int


class AveragePool(_Pool):
    """AVERAGE_POOL_2D."""

    kernel = "edgeml_average_pool_2d"


class MaxPool(_Pool):
    """MAX_POOL_2D."""

    kernel = "edgeml_max_pool_2d"


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
        narrow = _is_narrow(bias, self.weights, self.shift, (0, 1))
        return {**Layer.fields(self), "narrow": narrow, "bias": bias}


@dataclass(frozen=True, slots=True, eq=False)
class Copy(Layer):
    """Elements of `bytes` from a place to another."""

    kernel = "edgeml_copy"
    structure = "edgeml_copy_t"
    box: Box
    start_a: int
    start_b: int
    bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class _Affine(Layer):
    structure = "edgeml_affine_t"
    elements: int
    zero_point: int
    scale: float


class Dequantize(_Affine):
    """DEQUANTIZE."""

    kernel = "edgeml_dequantize"


class Quantize(_Affine):
    """QUANTIZE of float32."""

    kernel = "edgeml_quantize"


@dataclass(frozen=True, slots=True, eq=False)
class Fill(Layer):
    """One value everywhere."""

    kernel = "edgeml_fill"
    structure = "edgeml_fill_t"
    bytes: int
    value: int


@dataclass(frozen=True, slots=True, eq=False)
class Lookup(Layer):
    """A function of one int8."""

    kernel = "edgeml_lookup"
    structure = "edgeml_lookup_t"
    elements: int
    table: Bytes


@dataclass(frozen=True, slots=True, eq=False)
class _Reduce(Layer):
    structure = "edgeml_reduce_t"
    outer: int
    reduced: int
    inner: int
    input_zero_point: int
    output_zero_point: int
    multiplier: int
    shift: int


class Mean(_Reduce):
    """MEAN."""

    kernel = "edgeml_mean"


class ReduceMax(_Reduce):
    """REDUCE_MAX."""

    kernel = "edgeml_reduce_max"


@dataclass(frozen=True, slots=True, eq=False)
class ResizeNearest(Layer):
    """RESIZE_NEAREST_NEIGHBOR: which row and column of the input each of the output is."""

    kernel = "edgeml_resize_nearest"
    structure = "edgeml_resize_nearest_t"
    batches: int
    input_height: int
    input_width: int
    output_height: int
    output_width: int
    bytes: int
    rows: NDArray[np.int16]
    columns: NDArray[np.int16]


@dataclass(frozen=True, slots=True, eq=False)
class Softmax(Layer):
    """SOFTMAX."""

    kernel = "edgeml_softmax"
    structure = "edgeml_softmax_t"
    rows: int
    depth: int
    exponential: Ints


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


@dataclass(frozen=True, slots=True, eq=False)
class LstmPart(Layer):
    """What one operand gives to a gate: weights int8 [cells, operands]."""

    structure = "edgeml_lstm_part_t"
    zero_point: int
    weights: Bytes
    bias: Ints
    multiplier: int
    shift: int

    def fields(self) -> dict[str, Any]:
        """The zero point of the operand is within the bias."""
        return {
            "weights": self.weights,
            "bias": folded(self.bias, self.weights, self.zero_point, (1,)),
            "multiplier": self.multiplier,
            "shift": self.shift,
        }


@dataclass(frozen=True, slots=True, eq=False)
class LstmGate(Layer):
    """One of four."""

    structure = "edgeml_lstm_gate_t"
    input: LstmPart
    recurrent: LstmPart


@dataclass(frozen=True, slots=True, eq=False)
class Lstm(Layer):
    """UNIDIRECTIONAL_SEQUENCE_LSTM of int8 with a cell of int16."""

    kernel = "edgeml_lstm"
    structure = "edgeml_lstm_t"
    batches: int
    steps: int
    inputs: int
    cells: int
    input_gate: LstmGate
    forget_gate: LstmGate
    cell_gate: LstmGate
    output_gate: LstmGate
    forget_multiplier: int
    forget_shift: int
    input_multiplier: int
    input_shift: int
    output_multiplier: int
    output_shift: int
    output_zero_point: int
    cell_clip: int
    tanh_multiplier: int
    tanh_shift: int
    sigmoid: Ints


def folded(bias: Ints, weights: Bytes, zero_point: int, axes: tuple[int, ...]) -> Ints:
    """The bias less what a zero point contributes through the weights; wraps as the sums do."""
    share = zero_point * weights.sum(axis=axes, dtype=np.int64)
    return np.asarray(wrap(bias.astype(np.int64) - share), np.int32)


def _is_narrow(bias: Ints, weights: Bytes, shift: Bytes, axes: tuple[int, ...]) -> int:
    """Whether no sum can reach 2^30 and every shift is to the right: then kernels take a shorter way."""
    most = np.abs(bias.astype(np.int64)) + 128 * np.abs(weights.astype(np.int64)).sum(axis=axes)
    return int(bool((most < 1 << 30).all() and (shift < 0).all()))
