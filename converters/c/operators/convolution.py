"""Operators with weights: FULLY_CONNECTED, CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from converters.c.fixed_point import quantize_multiplier
from converters.c.layers import Bytes, Conv2d, DepthwiseConv2d, FullyConnected, Ints, TransposeConv
from converters.c.operation import Operation, Step, UnsupportedError, scaled

#: Windows that edgeml_conv_2d gathers at once, EDGEML_CONV_2D_ROWS.
_ROWS = 4
#: Outputs of a pixel for which it does not pay to unpack the inputs.
_FEW = 4
#: Bytes of a pointer, at most.
_POINTER = 8
#: Inputs of one sum, so that no sum of products of two int8 leaves 32 bits.
_MOST_INPUTS = (1 << 17) - 1


def fully_connected(o: Operation) -> list[Step]:
    """Rows of inputs, all leading axes together."""
    weights = _weights(o, 1, channel_axis=0)
    o.need("int8", o.input(), o.output())
    outputs, inputs = weights.shape
    rows = o.input().elements // max(inputs, 1)
    o.fit(o.input().elements == rows * inputs and not o.option("weightsFormat"), o.input(), o.input(1))
    o.fit(o.output().elements == rows * outputs, o.input(1), o.output())
    return [o.step(FullyConnected(rows=rows, **_sums(o, weights, outputs, o.input(1).scale)), 0)]


def conv_2d(o: Operation) -> list[Step]:
    """Windows are gathered and multiplied, unless each is one pixel and that would not pay."""
    weights = _weights(o, 1, channel_axis=0)
    o.need("int8", o.input(), o.output())
    window = _window(o, weights.shape[1:3])
    channels = o.input().shape[3]
    if weights.shape[3] == 1 < channels:
        return [_by_channel(o, window, np.ascontiguousarray(weights[..., 0].transpose(1, 2, 0)))]
    weights = _ungrouped(o, weights, channels)
    o.fit(o.output().shape[3] == weights.shape[0], o.input(1), o.output())
    patch = _patch(o, weights.reshape(weights.shape[0], -1), o.output().elements // weights.shape[0])
    pixels = {window[name] for name in ("kernel_height", "kernel_width", "stride_height", "stride_width")}
    if pixels == {1} and (patch.rows == 1 or len(weights) < _FEW):
        return [o.step(patch, 0)]
    return [_gathered(o, window, patch)]


def _ungrouped(o: Operation, weights: Bytes, channels: int) -> Bytes:
    """Weights of every channel of the input: 0 for channels of other groups than the output's.

    The bits stay the same and every kernel serves; there are as many times more products and weights as there
    are groups.
    """
    outputs, *kernel, some = weights.shape
    groups = channels // max(some, 1)
    o.fit(some * groups == channels and outputs % max(groups, 1) == 0, o.input(), o.input(1))
    if groups == 1:
        return weights
    apart = weights.reshape(groups, outputs // groups, *kernel, some)
    every = np.zeros((groups, outputs // groups, *kernel, groups, some), np.int8)
    for group in range(groups):
        every[group, ..., group, :] = apart[group]
    return every.reshape(outputs, *kernel, channels)


def depthwise_conv_2d(o: Operation) -> list[Step]:
    """Each output sees one channel; of an input with one channel only, it is a convolution."""
    weights = _weights(o, 1, channel_axis=3)
    o.need("int8", o.input(), o.output())
    window = _window(o, weights.shape[1:3])
    channels = weights.shape[3]
    o.fit(weights.shape[0] == 1 and channels % window["input_channels"] == 0, o.input(), o.input(1))
    o.fit(o.output().shape[3] == channels, o.input(1), o.output())
    if window["input_channels"] == 1:
        patch = _patch(o, weights.reshape(-1, channels).T, o.output().elements // channels)
        return [_gathered(o, window, patch)]
    return [_by_channel(o, window, weights[0])]


def _by_channel(o: Operation, window: dict[str, Any], weights: Bytes) -> Step:
    """Each output sees one channel: weights int8 [height, width, channels of the output]."""
    channels = weights.shape[2]
    o.fit(
        o.output().shape[3] == channels and channels % window["input_channels"] == 0, o.input(1), o.output()
    )
    layer = DepthwiseConv2d(
        **window,
        depth_multiplier=channels // window["input_channels"],
        **_sums(o, weights, channels),
    )
    scratch_bytes = _POINTER * weights[..., 0].size + window["input_channels"]
    return o.step(layer, 0, scratch_bytes=scratch_bytes)


def transpose_conv(o: Operation) -> list[Step]:
    """Inputs: shape of the output, weights, data, and maybe a bias."""
    weights = _weights(o, 1, channel_axis=0)
    data, output = o.input(2), o.output()
    o.need("int8", data, output)
    outputs, height, width, inputs = weights.shape
    o.fit(len(data.shape) == len(output.shape) == 4 and inputs == data.shape[3], data, o.input(1))
    o.fit((output.shape[0], output.shape[3]) == (data.shape[0], outputs), o.input(1), output)
    strides = o.option("strideH", 1), o.option("strideW", 1)
    same = o.option("padding") == schema.Padding.SAME
    padding = [
        max(0, (data.shape[axis] - 1) * stride + kernel - output.shape[axis]) // 2 if same else 0
        for axis, stride, kernel in zip((1, 2), strides, (height, width), strict=True)
    ]
    layer = TransposeConv(
        batches=data.shape[0],
        input_height=data.shape[1],
        input_width=data.shape[2],
        input_channels=inputs,
        output_height=output.shape[1],
        output_width=output.shape[2],
        output_channels=outputs,
        kernel_height=height,
        kernel_width=width,
        stride_height=strides[0],
        stride_width=strides[1],
        padding_top=padding[0],
        padding_left=padding[1],
        **_sums(o, weights, outputs, data=2),
    )
    return [o.step(layer, 2)]


def _weights(o: Operation, number: int, channel_axis: int) -> Bytes:
    """int8 weights that are symmetric, with a scale for each channel or one for all."""
    tensor, values = o.input(number), o.constant(number)
    if tensor.dtype != "int8":
        raise UnsupportedError("has weights that are not int8", tensor)
    if np.any(tensor.zero_point):
        raise UnsupportedError("has weights with a zero point", tensor)
    if not values.ndim or tensor.scale.size not in (1, values.shape[channel_axis]):
        raise UnsupportedError("has weights without a scale", tensor)
    if values.size // max(values.shape[channel_axis], 1) > _MOST_INPUTS:
        raise UnsupportedError(f"has more than {_MOST_INPUTS:,} weights for one output", tensor)
    return values


def _bias(o: Operation, number: int, outputs: int) -> Ints:
    if not o.has(number):
        return np.zeros(outputs, np.int32)
    if o.input(number).dtype != "int32":
        raise UnsupportedError("has a bias that is not int32", o.input(number))
    return o.constant(number).reshape(outputs)


def _sums(
    o: Operation, weights: Bytes, outputs: int, scales: NDArray[np.float32] | None = None, *, data: int = 0
) -> dict[str, Any]:
    """What every layer with weights is told of its sums: where zero lies, weights, bias, factors, limits.

    Args:
        o: with its weights as input 1, and its bias behind weights and data.
        weights: in the layer's own order.
        outputs: of which each has a bias.
        scales: of the weights, one or one for each output; default: for each output.
        data: number of the input that they are multiplied with.
    """
    multiplier, shift = _factors(
        o, np.broadcast_to(o.input(1).scale, outputs) if scales is None else scales, data
    )
    lowest, highest = o.range()
    return {
        "input_zero_point": scaled(o.input(data))[1],
        "output_zero_point": scaled(o.output())[1],
        "lowest": lowest,
        "highest": highest,
        "weights": weights,
        "bias": _bias(o, max(data, 1) + 1, outputs),
        "multiplier": multiplier,
        "shift": shift,
    }


def _factors(o: Operation, scales: NDArray[np.float32], data: int) -> tuple[Ints, Bytes]:
    """Multiplier and shift of every scale of the weights, for the input of that number.

    Source: PopulateConvolutionQuantizationParams of tensorflow/lite/kernels/kernel_util.cc.
    """
    of, to = float(o.input(data).scale[0]), float(o.output().scale[0])
    pairs = [quantize_multiplier(of * float(scale) / to) for scale in scales]
    return np.array([m for m, _ in pairs], np.int32), np.array([s for _, s in pairs], np.int8)


def _patch(o: Operation, weights: Bytes, rows: int) -> FullyConnected:
    return FullyConnected(rows=rows, **_sums(o, np.ascontiguousarray(weights), len(weights)))


def _gathered(o: Operation, window: dict[str, Any], patch: FullyConnected) -> Step:
    layer = Conv2d(**window, input_zero_point=patch.input_zero_point, patch=patch)
    return o.step(layer, 0, scratch_bytes=_ROWS * -(-patch.weights.shape[1] // 4) * 4)


def _window(o: Operation, kernel: tuple[int, ...]) -> dict[str, Any]:
    """Sizes, strides, dilations and padding; SAME pads more at the bottom and right."""
    data, output = o.input(), o.output()
    o.fit(len(data.shape) == len(output.shape) == 4 and data.shape[0] == output.shape[0], data, output)
    strides = o.option("strideH", 1), o.option("strideW", 1)
    dilations = o.option("dilationHFactor", 1), o.option("dilationWFactor", 1)
    padding = padding_of(o, kernel, strides, dilations)
    return {
        "batches": data.shape[0],
        "input_height": data.shape[1],
        "input_width": data.shape[2],
        "input_channels": data.shape[3],
        "output_height": output.shape[1],
        "output_width": output.shape[2],
        "kernel_height": kernel[0],
        "kernel_width": kernel[1],
        "stride_height": strides[0],
        "stride_width": strides[1],
        "dilation_height": dilations[0],
        "dilation_width": dilations[1],
        "padding_top": padding[0],
        "padding_left": padding[1],
    }


def padding_of(
    o: Operation, kernel: tuple[int, ...], strides: tuple[int, int], dilations: tuple[int, int] = (1, 1)
) -> tuple[int, int]:
    """Rows and columns of padding ahead of the input.

    Raises:
        UnsupportedError: the output is not as large as they make it.
    """
    data, output = o.input().shape, o.output().shape
    same = o.option("padding") == schema.Padding.SAME
    ahead = []
    for axis in (1, 2):
        reach = (kernel[axis - 1] - 1) * dilations[axis - 1] + 1
        stride = strides[axis - 1]
        size = -(-data[axis] // stride) if same else (data[axis] - reach + stride) // stride
        if size != output[axis]:
            raise UnsupportedError(f"should have size {size} along axis {axis}", o.output())
        ahead.append(max(0, (size - 1) * stride + reach - data[axis]) // 2 if same else 0)
    return ahead[0], ahead[1]
