"""Operators on two tensors, element by element."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters.c import boxes, layers
from converters.c.fixed_point import quantize_multiplier
from converters.c.operation import Operation, Step, UnsupportedError, scaled

_ACTIVATION = schema.ActivationFunctionType
#: What is between a fused activation's limits, as float32.
_LARGEST = float(np.finfo(np.float32).max)
_FLOAT_LIMITS = {
    _ACTIVATION.NONE: (-_LARGEST, _LARGEST),
    _ACTIVATION.RELU: (0.0, _LARGEST),
    _ACTIVATION.RELU6: (0.0, 6.0),
    _ACTIVATION.RELU_N1_TO_1: (-1.0, 1.0),
}
_Float = type[layers.FloatAdd | layers.FloatSub | layers.FloatMul | layers.FloatDiv]


def add(o: Operation) -> list[Step]:
    """Both operands are brought to one scale with 20 more bits."""
    return _float(o, layers.FloatAdd) if o.output().dtype == "float32" else _sum(o, 1)


def sub(o: Operation) -> list[Step]:
    """As ADD, with the second operand negated once it is in the scale of both."""
    return _float(o, layers.FloatSub) if o.output().dtype == "float32" else _sum(o, -1)


def div(o: Operation) -> list[Step]:
    """Of float32 only."""
    return _float(o, layers.FloatDiv)


def mul(o: Operation) -> list[Step]:
    """The product of both operands less their zero points."""
    if o.output().dtype == "float32":
        return _float(o, layers.FloatMul)
    o.need("int8", o.input(), o.input(1), o.output())
    (scale_a, zero_a), (scale_b, zero_b), (scale, zero_point) = map(
        scaled, (o.input(), o.input(1), o.output())
    )
    multiplier, shift = quantize_multiplier(float(scale_a) * float(scale_b) / float(scale))
    lowest, highest = o.range()
    layer = layers.Mul(
        _box(o), -zero_a, -zero_b, zero_point, multiplier, shift, lowest, highest
    )  # fmt: skip
    return [o.step(layer, 0, 1, in_place=True)]


def maximum(o: Operation) -> list[Step]:
    """Of tensors of one scale."""
    return _extreme(o, layers.Maximum)


def minimum(o: Operation) -> list[Step]:
    """Of tensors of one scale."""
    return _extreme(o, layers.Minimum)


def squared_difference(o: Operation) -> list[Step]:
    """Source: SquaredDifferencePrepare of micro/kernels/squared_difference.cc."""
    o.need("int8", o.input(), o.input(1), o.output())
    scale, zero_point = scaled(o.output())
    operands, twice = _on_one_scale(o)
    multiplier, shift = quantize_multiplier(twice * twice / ((1 << 14) * float(scale)))
    layer = layers.SquaredDifference(
        **operands,
        offset=zero_point,
        multiplier=multiplier,
        shift=shift,
    )
    return [o.step(layer, 0, 1, in_place=True)]


def prelu(o: Operation) -> list[Step]:
    """The second operand is the slopes. Source: CalculatePreluParams of micro/kernels/prelu_common.cc."""
    o.need("int8", o.input(), o.input(1), o.output())
    (scale_a, zero_a), (scale_b, zero_b), (scale, zero_point) = map(
        scaled, (o.input(), o.input(1), o.output())
    )
    multiplier, shift = quantize_multiplier(float(scale_a) / float(scale))
    slope_multiplier, slope_shift = quantize_multiplier(float(scale_a) * float(scale_b) / float(scale))
    layer = layers.Prelu(
        _box(o), -zero_a, -zero_b, zero_point, multiplier, shift, slope_multiplier, slope_shift
    )  # fmt: skip
    return [o.step(layer, 0, 1, in_place=True)]


def _extreme(o: Operation, kind: type[layers.Maximum | layers.Minimum]) -> list[Step]:
    o.need("int8", o.input(), o.input(1), o.output())
    if any(scaled(o.input(number)) != scaled(o.output()) for number in (0, 1)):
        raise UnsupportedError("has another scale than the output", o.input(), o.input(1))
    box = _box(o)
    return [o.step(kind(box.size, box.step_a, box.step_b), 0, 1, in_place=True)]


def _on_one_scale(o: Operation) -> tuple[dict[str, Any], float]:
    """Members of a layer that bring both operands to twice the larger one's scale, and that scale."""
    (scale_a, zero_a), (scale_b, zero_b) = scaled(o.input()), scaled(o.input(1))
    twice = 2 * float(max(scale_a, scale_b))
    found: dict[str, Any] = {"box": _box(o)}
    for name, scale, zero_point in (("a", scale_a, zero_a), ("b", scale_b, zero_b)):
        found[f"offset_{name}"] = -zero_point
        found[f"multiplier_{name}"], found[f"shift_{name}"] = quantize_multiplier(float(scale) / twice)
    return found, twice


def _sum(o: Operation, sign: int) -> list[Step]:
    """Source: CalculateOpDataAdd of micro/kernels/add_common.cc."""
    o.need("int8", o.input(), o.input(1), o.output())
    scale, zero_point = scaled(o.output())
    operands, twice = _on_one_scale(o)
    multiplier, shift = quantize_multiplier(twice / ((1 << 20) * float(scale)))
    lowest, highest = o.range()
    layer = layers.Add(
        **operands,
        sign=sign,
        offset=zero_point,
        multiplier=multiplier,
        shift=shift,
        lowest=lowest,
        highest=highest,
    )
    return [o.step(layer, 0, 1, in_place=True)]


def _float(o: Operation, kind: _Float) -> list[Step]:
    o.need("float32", o.input(), o.input(1), o.output())
    limits = _FLOAT_LIMITS.get(o.option("fusedActivationFunction"))
    if limits is None:
        raise UnsupportedError("has a fused activation of another kind", o.output())
    return [o.step(kind(_box(o), *limits), 0, 1, in_place=True)]


def _box(o: Operation) -> layers.Box:
    return boxes.broadcast(o.input().shape, o.input(1).shape, o.output().shape)
