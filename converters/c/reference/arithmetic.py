"""Operators on two tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c import layers
from converters.c.fixed_point import Integers, multiply
from converters.c.reference.movement import places

_Arrays = Sequence[NDArray[Any]]


def add(layer: layers.Add, inputs: _Arrays, output: NDArray[Any]) -> None:
    """The sum, or the difference, of both in a scale with 20 more bits."""
    a, b = _operands(layer.box, inputs)
    one = multiply((a.astype(np.int64) + layer.offset_a) << 20, layer.multiplier_a, layer.shift_a)
    two = multiply((b.astype(np.int64) + layer.offset_b) << 20, layer.multiplier_b, layer.shift_b)
    total = multiply(one + layer.sign * two, layer.multiplier, layer.shift) + layer.offset
    output[:] = np.clip(total, layer.lowest, layer.highest)


def mul(layer: layers.Mul, inputs: _Arrays, output: NDArray[Any]) -> None:
    """The product of both less their zero points."""
    a, b = _operands(layer.box, inputs)
    product = (a.astype(np.int64) + layer.offset_a) * (b.astype(np.int64) + layer.offset_b)
    value = multiply(product, layer.multiplier, layer.shift) + layer.offset
    output[:] = np.clip(value, layer.lowest, layer.highest)


def maximum(layer: layers.Maximum, inputs: _Arrays, output: NDArray[Any]) -> None:
    """The larger."""
    output[:] = np.maximum(*_operands(layer, inputs))


def minimum(layer: layers.Minimum, inputs: _Arrays, output: NDArray[Any]) -> None:
    """The smaller."""
    output[:] = np.minimum(*_operands(layer, inputs))


def squared_difference(layer: layers.SquaredDifference, inputs: _Arrays, output: NDArray[Any]) -> None:
    """The square of the difference in a scale with 7 more bits."""
    a, b = _operands(layer.box, inputs)
    one = multiply((a.astype(np.int64) + layer.offset_a) << 7, layer.multiplier_a, layer.shift_a)
    two = multiply((b.astype(np.int64) + layer.offset_b) << 7, layer.multiplier_b, layer.shift_b)
    value = multiply((one - two) ** 2, layer.multiplier, layer.shift) + layer.offset
    output[:] = np.clip(value, -128, 127)


def prelu(layer: layers.Prelu, inputs: _Arrays, output: NDArray[Any]) -> None:
    """What is below zero times a slope of its own."""
    a, b = _operands(layer.box, inputs)
    x, slope = a.astype(np.int64) + layer.offset_a, b.astype(np.int64) + layer.offset_b
    above = multiply(x, layer.multiplier, layer.shift)
    below = multiply(x * slope, layer.slope_multiplier, layer.slope_shift)
    either: Integers = np.where(x >= 0, above, below)
    output[:] = np.clip(either + layer.offset, -128, 127)


def float_add(layer: layers.FloatAdd, inputs: _Arrays, output: NDArray[Any]) -> None:
    """float32 a + b."""
    _float(np.add, layer, inputs, output)


def float_sub(layer: layers.FloatSub, inputs: _Arrays, output: NDArray[Any]) -> None:
    """float32 a - b."""
    _float(np.subtract, layer, inputs, output)


def float_mul(layer: layers.FloatMul, inputs: _Arrays, output: NDArray[Any]) -> None:
    """float32 a * b."""
    _float(np.multiply, layer, inputs, output)


def float_div(layer: layers.FloatDiv, inputs: _Arrays, output: NDArray[Any]) -> None:
    """float32 a / b."""
    _float(np.divide, layer, inputs, output)


def _float(operation: Callable[..., Any], layer: Any, inputs: _Arrays, output: NDArray[Any]) -> None:
    with np.errstate(all="ignore"):
        value = operation(*_operands(layer.box, inputs))
    output[:] = np.clip(value, np.float32(layer.lowest), np.float32(layer.highest))


def _operands(box: layers.Box, inputs: _Arrays) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both operands as long as the output."""
    return inputs[0][places(box.size, box.step_a)], inputs[1][places(box.size, box.step_b)]
