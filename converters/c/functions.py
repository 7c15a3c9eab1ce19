"""Operators without a kernel of their own, as functions of the few values that a chain of them can have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c import fixed_point, tables
from converters.c.fixed_point import divide, high_product, multiply, quantize_multiplier
from converters.c.operation import Operation, UnsupportedError, scaled

Values = NDArray[Any]
Function = Callable[[Operation, Sequence[Values]], Values]


def _real(function: Callable[[Values], Values]) -> Function:
    """Of float32, rounded to it."""

    def apply(o: Operation, values: Sequence[Values]) -> Values:
        o.need("float32", o.input(), o.output())
        return np.asarray(function(values[0]), np.float32)

    return apply


def _extreme(function: Callable[[Values, Values], Values]) -> Function:
    def apply(o: Operation, values: Sequence[Values]) -> Values:
        o.need("float32", o.input(), o.input(1), o.output())
        return function(values[0], values[1])

    return apply


def _compared(function: Callable[[Values, Values], Values]) -> Function:
    """Of int8, in a scale with 8 more bits. Source: ComparisonsPrepare of micro/kernels/comparisons.cc."""

    def apply(o: Operation, values: Sequence[Values]) -> Values:
        if o.input().dtype == o.input(1).dtype == "float32":
            return function(values[0], values[1])
        o.need("int8", o.input(), o.input(1))
        sides = []
        for number in (0, 1):
            scale, zero_point = scaled(o.input(number))
            centred = (values[number].astype(np.int64) - zero_point) << 8
            sides.append(multiply(centred, *quantize_multiplier(float(scale))))
        return function(sides[0], sides[1])

    return apply


def _select(o: Operation, values: Sequence[Values]) -> Values:
    chosen = (o.input(1), o.input(2))
    if o.output().dtype == "int8" and any(scaled(tensor) != scaled(o.output()) for tensor in chosen):
        raise UnsupportedError("has another scale than the output", *chosen)
    return np.where(values[0], values[1], values[2])


def _quotient(o: Operation, values: Sequence[Values]) -> Values:
    """Where the reference shifts by more bits than there are, its result is not defined: here, the nearest.

    Source: DivElementwise of tensorflow/lite/kernels/internal/reference/div.h.
    """
    o.need("int8", o.input(), o.input(1), o.output())
    (scale_a, zero_a), (scale_b, zero_b), (scale, zero_point) = map(
        scaled, (o.input(), o.input(1), o.output())
    )
    multiplier, shift = quantize_multiplier(float(scale_a / np.float32(scale_b * scale)))
    lowest, highest = o.range()
    made = []
    for a, b in np.broadcast(values[0].astype(np.int64) - zero_a, values[1].astype(np.int64) - zero_b):
        if b == 0:
            raise UnsupportedError("divides by zero", o.input(1))
        one, other = (-int(a), -int(b)) if b < 0 else (int(a), int(b))
        zeros = 32 - other.bit_length()
        inverse = int(fixed_point.one_over_one_plus((other << zeros) - (1 << 31))) << 1
        headroom = 31 - (one if one >= 0 else ~one).bit_length()
        quotient = high_product(one << headroom, min(inverse, (1 << 31) - 1))
        total = shift - (31 - zeros) - headroom
        value = divide(high_product(quotient, multiplier), -total) + zero_point
        made.append(min(max(int(value), lowest), highest))
    return np.array(made, np.int8)


#: Of values of the inputs to values of the output, by the operator's name.
FUNCTIONS: Mapping[str, Function] = {
    "ABS": _real(np.abs),
    "DIV": _quotient,
    "ELU": _real(lambda x: np.where(x < 0, np.expm1(x.astype(np.float64)), x)),
    "EQUAL": _compared(np.equal),
    "EXP": _real(tables.exp),
    "GREATER": _compared(np.greater),
    "GREATER_EQUAL": _compared(np.greater_equal),
    "LESS": _compared(np.less),
    "LESS_EQUAL": _compared(np.less_equal),
    "LOG": _real(lambda x: np.log(x.astype(np.float64))),
    "MAXIMUM": _extreme(np.maximum),
    "MINIMUM": _extreme(np.minimum),
    "NEG": _real(np.negative),
    "NOT_EQUAL": _compared(np.not_equal),
    "RSQRT": _real(lambda x: np.float32(1) / np.sqrt(x)),
    "SELECT": _select,
    "SELECT_V2": _select,
    "SQRT": _real(np.sqrt),
    "SQUARE": _real(np.square),
}
