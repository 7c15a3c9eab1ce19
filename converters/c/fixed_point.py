"""Fixed-point arithmetic as gemmlowp and TFLite define it, on numpy integers.

Source: gemmlowp/fixedpoint/fixedpoint.h, tensorflow/lite/kernels/internal/{common.cc,quantization_util.cc}.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: int64 scalars or arrays, whose values fit into 32 bits.
Integers = Any
_LARGEST, _LOWEST = (1 << 31) - 1, -(1 << 31)


def quantize_multiplier(real: float) -> tuple[int, int]:
    """A factor from 0 as (multiplier, shift): ``real = multiplier * 2^(shift - 31)``.

    Source: QuantizeMultiplier of quantization_util.cc.
    """
    if real == 0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = math.floor(fraction * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier, shift = multiplier // 2, shift + 1
    return (multiplier, shift) if shift >= -31 else (0, 0)


def wrap(value: Integers) -> Integers:
    """The lowest 32 bits as a signed number."""
    return (np.asarray(value, np.int64) + (1 << 31)) % (1 << 32) - (1 << 31)


def high_product(a: Integers, b: Integers) -> Integers:
    """``a * b / 2^31``, rounded half up; SaturatingRoundingDoublingHighMul."""
    product = (np.asarray(a, np.int64) * np.asarray(b, np.int64) + (1 << 30)) >> 31
    return np.minimum(product, _LARGEST)


def divide(value: Integers, exponent: Integers) -> Integers:
    """``value / 2^exponent``, rounded half away from zero; RoundingDivideByPOT."""
    value, exponent = np.asarray(value, np.int64), np.asarray(exponent, np.int64)
    mask = (np.int64(1) << exponent) - 1
    threshold = (mask >> 1) + (value < 0)
    return (value >> exponent) + ((value & mask) > threshold)


def multiply(value: Integers, multiplier: Integers, shift: Integers) -> Integers:
    """``value * multiplier * 2^(shift - 31)``, rounded twice; MultiplyByQuantizedMultiplier."""
    shift = np.asarray(shift, np.int64)
    raised = wrap(np.asarray(value, np.int64) << np.maximum(shift, 0))
    return divide(high_product(raised, multiplier), np.maximum(-shift, 0))


def _saturate(value: Integers) -> Integers:
    return np.clip(value, _LOWEST, _LARGEST)


def one_over_one_plus(x: Integers) -> Integers:
    """``1 / (1 + x)`` after three steps of Newton's, in units of 2^-29; x in units of 2^-31, from 0 to 1."""
    half = (np.asarray(x, np.int64) + _LARGEST + 1) // 2
    y = 1515870810 + high_product(half, -1010580540)
    for _ in range(3):
        y = y + _saturate(high_product(y, (1 << 29) - high_product(half, y)) << 2)
    return y


def reciprocal_root(value: int) -> tuple[int, int]:
    """``1 / sqrt(value)`` of a number from 1, after five steps of Newton's, as (multiplier, shift).

    Source: GetInvSqrtQuantizedMultiplierExp of tensorflow/lite/kernels/internal/common.h.
    """
    if value <= 1:
        return _LARGEST, 0
    shift = 11
    while value >= 1 << 29:
        value, shift = value // 4, shift + 1
    pairs = (32 - value.bit_length() - 1) // 2 - 1
    value, shift = value << (2 * pairs), shift - pairs
    half, root = divide(value >> 1, 1), 1 << 28
    for _ in range(5):
        cube = _saturate(high_product(high_product(root, root), root) << 6)
        root = _saturate((high_product(3 << 27, root) - high_product(half, cube)) << 3)
    return int(high_product(root, 1518500250)) << max(-shift, 0), -max(shift, 0)


def exp(x: Integers, integer_bits: int) -> Integers:
    """``exp(x)`` of x up to 0, in units of 2^-31; exp_on_negative_values.

    Args:
        x: int64, in units of 2^(integer_bits - 31).
        integer_bits: up to 5.
    """
    x = np.asarray(x, np.int64)
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    within = (x & (quarter - 1)) - quarter
    result = _exp_of_quarter(within << integer_bits)
    remainder = within - x
    factors = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
    for exponent, factor in zip(range(-2, integer_bits), factors, strict=False):
        bit = (remainder >> (fraction_bits + exponent)) & 1
        result = np.where(bit == 1, high_product(result, factor), result)
    return np.where(x == 0, _LARGEST, result)


def _exp_of_quarter(x: Integers) -> Integers:
    """``exp(x)`` for x from -1/4 to 0, both in units of 2^-31."""
    x = x + (1 << 28)
    square = high_product(x, x)
    cube, fourth = high_product(square, x), high_product(square, square)
    tail = divide(high_product(divide(fourth, 2) + cube, 715827883) + square, 1)
    return 1895147668 + high_product(1895147668, x + tail)


def logistic(x: Integers) -> Integers:
    """``1 / (1 + exp(-x))`` in units of 2^-31; x in units of 2^-27."""
    x = np.asarray(x, np.int64)
    positive = _saturate(one_over_one_plus(exp(-np.abs(x), 4)) << 1)
    return np.where(x == 0, 1 << 30, np.where(x > 0, positive, _LARGEST - positive))


def tanh(x: Integers) -> Integers:
    """``tanh(x)`` in units of 2^-31; x in units of 2^-27."""
    x = np.asarray(x, np.int64)
    # exp(-2 |x|): the same bits with one more of them ahead of the point
    magnitude = _saturate((one_over_one_plus(exp(-np.abs(x), 5)) - (1 << 29)) << 2)
    return np.where(x == 0, 0, np.where(x > 0, magnitude, -magnitude))


def radius(integer_bits: int, shift: int) -> int:
    """How far from zero an input may be before its rescaled value leaves its bits; CalculateInputRadius."""
    return math.floor(((1 << integer_bits) - 1) * 2.0 ** (31 - integer_bits) / 2.0**shift)


def array(values: Integers) -> NDArray[Any]:
    """As int8: the values are in its range."""
    return np.asarray(values).astype(np.int8)
