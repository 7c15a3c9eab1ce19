"""Operators that make one of several elements: pools and reductions."""

from __future__ import annotations

import math

from converters.c import layers
from converters.c.fixed_point import quantize_multiplier
from converters.c.operation import Operation, Step, UnsupportedError, scaled
from converters.c.operators.convolution import padding_of

#: Elements of one mean, so that no sum leaves 32 bits.
_MOST = 1 << 23


def average_pool_2d(o: Operation) -> list[Step]:
    """Over what lies inside the input."""
    return _pool(o, layers.AveragePool)


def max_pool_2d(o: Operation) -> list[Step]:
    """Over what lies inside the input."""
    return _pool(o, layers.MaxPool)


def mean(o: Operation) -> list[Step]:
    """The division by the count is within the multiplier."""
    o.need("int8", o.input(), o.output())
    outer, reduced, inner = _axes(o)
    (scale, zero_point), (to_scale, to_zero_point) = scaled(o.input()), scaled(o.output())
    multiplier, shift = quantize_multiplier(float(scale) / float(to_scale))
    more = min(int(math.log2(reduced)), 32, 31 + shift)
    layer = layers.Mean(
        outer, reduced, inner, zero_point, to_zero_point, (multiplier << more) // reduced, shift - more
    )
    return [o.step(layer, 0)]


def sum_(o: Operation) -> list[Step]:
    """As MEAN, without a division."""
    o.need("int8", o.input(), o.output())
    outer, reduced, inner = _axes(o)
    (scale, zero_point), (to_scale, to_zero_point) = scaled(o.input()), scaled(o.output())
    multiplier, shift = quantize_multiplier(float(scale) / float(to_scale))
    layer = layers.Mean(outer, reduced, inner, zero_point, to_zero_point, multiplier, shift)
    return [o.step(layer, 0)]


def reduce_max(o: Operation) -> list[Step]:
    """Input and output have one scale."""
    return _extreme(o, layers.ReduceMax)


def reduce_min(o: Operation) -> list[Step]:
    """Input and output have one scale."""
    return _extreme(o, layers.ReduceMin)


def _extreme(o: Operation, kind: type[layers.ReduceMax | layers.ReduceMin]) -> list[Step]:
    o.need("int8", o.input(), o.output())
    if scaled(o.input()) != scaled(o.output()):
        raise UnsupportedError("has another scale than its input", o.output())
    outer, reduced, inner = _axes(o)
    return [o.step(kind(outer, reduced, inner, 0, 0, 0, 0), 0)]


def _pool(o: Operation, kind: type[layers.AveragePool | layers.MaxPool]) -> list[Step]:
    o.need("int8", o.input(), o.output())
    data, output = o.input(), o.output()
    if len(data.shape) != 4 or scaled(data) != scaled(output):
        raise UnsupportedError("is no image, or of another scale than its output", data)
    o.fit((data.shape[0], data.shape[3]) == (output.shape[0], output.shape[-1]), data, output)
    kernel = o.option("filterHeight", 1), o.option("filterWidth", 1)
    strides = o.option("strideH", 1), o.option("strideW", 1)
    padding = padding_of(o, kernel, strides)
    lowest, highest = o.range()
    layer = kind(
        batches=data.shape[0],
        channels=data.shape[3],
        input_height=data.shape[1],
        input_width=data.shape[2],
        output_height=output.shape[1],
        output_width=output.shape[2],
        kernel_height=kernel[0],
        kernel_width=kernel[1],
        stride_height=strides[0],
        stride_width=strides[1],
        padding_top=padding[0],
        padding_left=padding[1],
        lowest=lowest,
        highest=highest,
    )
    return [o.step(layer, 0)]


def _axes(o: Operation) -> tuple[int, int, int]:
    """The input as [outer, reduced, inner].

    Raises:
        UnsupportedError: what is reduced lies apart.
    """
    shape = o.input().shape
    reduced = {int(axis) % len(shape) for axis in o.constant(1).reshape(-1)}
    real = [axis for axis, size in enumerate(shape) if size > 1]
    inside = [axis for axis in real if axis in reduced]
    if not inside:
        o.fit(o.output().elements == o.input().elements, o.input(), o.output())
        return o.input().elements, 1, 1
    first, last = inside[0], inside[-1]
    if any(first <= axis <= last and axis not in reduced for axis in real):
        raise UnsupportedError("reduces axes that lie apart", o.input())
    count = math.prod(shape[first : last + 1])
    if count >= _MOST:
        raise UnsupportedError(f"reduces more than {_MOST:,} elements to one", o.input())
    outer, inner = math.prod(shape[:first]), math.prod(shape[last + 1 :])
    o.fit(o.output().elements == outer * inner, o.input(), o.output())
    return outer, count, inner
