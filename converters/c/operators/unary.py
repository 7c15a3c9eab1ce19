"""Operators on one tensor, element by element: of int8 each is a table."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c import tables
from converters.c.layers import Dequantize, L2Normalization, Lookup, Quantize, Softmax
from converters.c.operation import Operation, Step, UnsupportedError, scaled

#: Squares of a difference of two int8 whose sum stays within 32 bits.
_MOST_SQUARES = 33026


def relu(o: Operation) -> list[Step]:
    """Not fused into what precedes it."""
    return _lookup(o, tables.relu(*_scales(o)))


def relu6(o: Operation) -> list[Step]:
    """Not fused into what precedes it."""
    return _lookup(o, tables.relu6(*_scales(o)))


def leaky_relu(o: Operation) -> list[Step]:
    """With one slope for all that is below zero."""
    return _lookup(o, tables.leaky_relu(*_scales(o), np.float32(o.option("alpha", 0.0))))


def hard_swish(o: Operation) -> list[Step]:
    """``x * relu6(x + 3) / 6``."""
    return _lookup(o, tables.hard_swish(*_scales(o)))


def logistic(o: Operation) -> list[Step]:
    """The output has a scale of its own kind."""
    _demand(o, 1 / 256, -128)
    return _lookup(o, tables.logistic(_scales(o)[0]))


def tanh(o: Operation) -> list[Step]:
    """The output has a scale of its own kind."""
    _demand(o, 1 / 128, 0)
    return _lookup(o, tables.tanh(_scales(o)[0]))


def abs_(o: Operation) -> list[Step]:
    """Without its sign."""
    return _lookup(o, tables.absolute(*_scales(o)))


def rsqrt(o: Operation) -> list[Step]:
    """In fixed point; nothing is below zero."""
    return _lookup(o, tables.reciprocal_root(*_scales(o)))


def sqrt(o: Operation) -> list[Step]:
    """Nothing is below zero."""
    return _lookup(o, tables.square_root(*_scales(o)))


def elu(o: Operation) -> list[Step]:
    """``exp(x) - 1`` below zero."""
    return _lookup(o, tables.transformed(*_scales(o), tables.elu))


def exp(o: Operation) -> list[Step]:
    """In float32, then rounded."""
    return _lookup(o, tables.transformed(*_scales(o), tables.exp))


def log(o: Operation) -> list[Step]:
    """In float32, then rounded."""
    return _lookup(o, tables.transformed(*_scales(o), tables.log))


def gelu(o: Operation) -> list[Step]:
    """In float32, then rounded."""
    approximate = bool(o.option("approximate", False))
    return _lookup(o, tables.transformed(*_scales(o), partial(tables.gelu, approximate=approximate)))


def quantize(o: Operation) -> list[Step]:
    """From float32, or from another scale of int8."""
    o.need("int8", o.output())
    if o.input().dtype == "int8":
        return _lookup(o, tables.requantize(*_scales(o)))
    o.need("float32", o.input())
    o.fit(o.input().elements == o.output().elements, o.input(), o.output())
    scale, zero_point = scaled(o.output())
    return [o.step(Quantize(o.output().elements, zero_point, float(scale)), 0, in_place=True)]


def dequantize(o: Operation) -> list[Step]:
    """To float32."""
    o.need("int8", o.input())
    o.need("float32", o.output())
    o.fit(o.input().elements == o.output().elements, o.input(), o.output())
    scale, zero_point = scaled(o.input())
    return [o.step(Dequantize(o.output().elements, zero_point, float(scale)), 0, in_place=True)]


def softmax(o: Operation) -> list[Step]:
    """Along the last axis."""
    o.need("int8", o.input(), o.output())
    _demand(o, 1 / 256, -128)
    o.fit(o.input().elements == o.output().elements, o.input(), o.output())
    depth = o.input().shape[-1]
    table = tables.exponential(scaled(o.input())[0], float(np.float32(o.option("beta", 1.0))))
    return [o.step(Softmax(o.input().elements // depth, depth, table), 0, in_place=True)]


def l2_normalization(o: Operation) -> list[Step]:
    """Along the last axis; the output has a scale of its own kind."""
    o.need("int8", o.input())
    _demand(o, 1 / 128, 0)
    o.fit(o.input().elements == o.output().elements, o.input(), o.output())
    depth = o.input().shape[-1]
    o.fit(depth < _MOST_SQUARES, o.input())
    layer = L2Normalization(o.input().elements // depth, depth, scaled(o.input())[1])
    return [o.step(layer, 0, in_place=True)]


def _scales(o: Operation) -> tuple[tables.Scaled, tables.Scaled]:
    o.need("int8", o.input(), o.output())
    return scaled(o.input()), scaled(o.output())


def _demand(o: Operation, scale: float, zero_point: int) -> None:
    o.need("int8", o.output())
    if scaled(o.output()) != (np.float32(scale), zero_point):
        raise UnsupportedError(f"should have scale {scale} and zero point {zero_point}", o.output())


def _lookup(o: Operation, table: NDArray[Any]) -> list[Step]:
    o.fit(o.input().elements == o.output().elements, o.input(), o.output())
    return [o.step(Lookup(o.output().elements, table), 0, in_place=True)]
