"""Functions of one int8 as 256 results, from input -128 to 127: every unary operator becomes one.

Arithmetic on scales is float32 or double just where the reference's is: each changes bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c import fixed_point
from converters.c.fixed_point import Integers, divide, multiply, quantize_multiplier

Table = NDArray[np.int8]
Floats = NDArray[np.float32]
#: Scale and zero point of one tensor.
Scaled = tuple[np.float32, int]
#: Entries of the reference's table of sigmoid that are one above the nearest.
_SIGMOID_ABOVE = [
    4, 8, 12, 14, 15, 16, 17, 19, 20, 21, 22, 25, 27, 28, 29, 30, 31, 33, 34, 35, 37, 39, 40, 41, 43, 44, 45,
    46, 49, 50, 54, 62, 63, 64, 66, 82, 86, 93, 100, 103, 112, 116, 135, 255,
]  # fmt: skip
_INPUTS = np.arange(-128, 128, dtype=np.int64)


def requantize(of: Scaled, to: Scaled, inputs: NDArray[Any] = _INPUTS) -> Table:
    """Another scale. Source: Requantize of reference/requantize.h."""
    factor = quantize_multiplier(float(of[0]) / float(to[0]))
    return _clamp(multiply(inputs - of[1], *factor) + to[1])


def relu(of: Scaled, to: Scaled) -> Table:
    """What is below zero becomes zero. Source: ReluQuantized of micro/kernels/activations_common.cc."""
    factor = quantize_multiplier(float(of[0]) / float(to[0]))
    return _clamp(multiply(_INPUTS - of[1], *factor) + to[1], lowest=max(-128, to[1]))


def relu6(of: Scaled, to: Scaled) -> Table:
    """Between 0 and 6, in the scale of the input. Source: Relu6Quantized of activations_common.cc."""
    return _clamp(_INPUTS, lowest=of[1], highest=min(127, of[1] + round_half_away(np.float32(6) / of[0])))


def leaky_relu(of: Scaled, to: Scaled, alpha: np.float32) -> Table:
    """What is below zero times alpha. Source: QuantizeLeakyRelu of reference/leaky_relu.h."""
    centred: Integers = _INPUTS - of[1]
    positive = multiply(centred, *quantize_multiplier(float(np.float32(of[0] / to[0]))))
    slope = float(np.float32(of[0] * alpha) / to[0])
    multiplier, shift = quantize_multiplier(abs(slope))
    negative = multiply(centred, multiplier if slope >= 0 else -multiplier, shift)
    either: Integers = np.where(centred >= 0, positive, negative)
    return _clamp(either + to[1])


def logistic(of: Scaled) -> Table:
    """Source: reference/integer_ops/logistic.h. The output has scale 1/256 and zero point -128."""
    rescaled, reach = _rescaled(of)
    result = np.minimum(divide(fixed_point.logistic(rescaled), 31 - 8), 255) - 128
    centred = _INPUTS - of[1]
    return _clamp(np.where(centred <= -reach, -128, np.where(centred >= reach, 127, result)))


def tanh(of: Scaled) -> Table:
    """Source: reference/integer_ops/tanh.h. The output has scale 1/128 and zero point 0."""
    rescaled, reach = _rescaled(of)
    result = divide(fixed_point.tanh(rescaled), 31 - 7)
    centred = _INPUTS - of[1]
    return _clamp(np.where(centred <= -reach, -128, np.where(centred >= reach, 127, result)))


def hard_swish(of: Scaled, to: Scaled) -> Table:
    """Source: HardSwish of reference/hard_swish.h, HardSwishPrepare of micro/kernels/hard_swish_common.cc."""
    fine = np.float32(1 / 128) * of[0]
    output_factor, output_shift = quantize_multiplier(float(fine / to[0]))
    gate_factor, gate_shift = quantize_multiplier(float(fine / np.float32(np.float32(3) / np.float32(32768))))
    value = (_INPUTS - of[1]) << 7
    scaled = _round16(value * _to16(output_factor))
    gate = value
    if gate_shift > 0:
        gate = np.clip(gate << (gate_shift - 1), -32768, 32767)
    gate = _round16(gate * _to16(gate_factor))
    if gate_shift > 0:
        gate = np.clip(gate << 1, -32768, 32767)
    if gate_shift < 0:
        gate = divide(gate, -gate_shift)
    gate = (gate + (1 << 15)) >> 1
    product = np.minimum(_toward_zero(gate * scaled, 15), 32767)
    return _clamp(divide(product, -output_shift) + to[1])


def absolute(of: Scaled, to: Scaled) -> Table:
    """Source: AbsEvalQuantized of micro/kernels/elementwise.cc."""
    distance: Integers = np.abs(_INPUTS - of[1])
    if of[0] != to[0]:
        distance = multiply(distance, *quantize_multiplier(float(of[0]) / float(to[0])))
    return _clamp(distance + to[1])


def reciprocal_root(of: Scaled, to: Scaled) -> Table:
    """One over the root; the highest at zero, and below it, where the reference gives an error.

    Source: RsqrtEvalQuantized of micro/kernels/elementwise.cc.
    """
    multiplier, shift = quantize_multiplier(1.0 / (math.sqrt(float(of[0])) * float(to[0])))
    made = np.full(_INPUTS.shape, 127, np.int64)
    centred = _INPUTS - of[1]
    for place in np.flatnonzero(centred > 0).tolist():
        root, root_shift = fixed_point.reciprocal_root(int(centred[place]))
        fine = multiply(1, root, root_shift + 20)
        made[place] = multiply(fine, multiplier, shift - 20) + to[1]
    return _clamp(made)


def square_root(of: Scaled, to: Scaled) -> Table:
    """Rounded down; zero of what is below it. Source: SqrtEval of tensorflow/lite/kernels/elementwise.cc."""
    real = of[0] * (_INPUTS - of[1]).astype(np.float32)
    steps = np.sqrt(np.maximum(real, np.float32(0))) * (np.float32(1) / to[0])
    return _clamp(np.minimum(np.floor(steps.astype(np.float64)), 1e6).astype(np.int64) + to[1])


def elu(real: Floats) -> Floats:
    """What is below zero becomes ``exp(x) - 1``."""
    return np.asarray(np.where(real < 0, exp(real) - np.float32(1), real), np.float32)


def gelu(real: Floats, *, approximate: bool) -> Floats:
    """``x * normal distribution(x)``, or the same with a hyperbolic tangent."""
    x = real.astype(np.float64)
    if approximate:
        gate = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    else:
        gate = np.array([math.erf(value) for value in (x * math.sqrt(0.5)).tolist()])
    return np.asarray(0.5 * x * (1 + gate), np.float32)


def exp(real: Floats) -> Floats:
    """Rounded once, which is what good libraries of C give for all but a few numbers."""
    return np.exp(real.astype(np.float64)).astype(np.float32)


def log(real: Floats) -> Floats:
    """Rounded once; of what is not above zero, the lowest."""
    above = real > 0
    return np.where(above, np.log(np.where(above, real, 1).astype(np.float64)), -1e30).astype(np.float32)


def transformed(of: Scaled, to: Scaled, function: Callable[[Floats], Floats]) -> Table:
    """A function of float32 on dequantized inputs, rounded half away from zero.

    Where float32 arithmetic would leave the range of int32, the reference's result is not defined; here it is
    the nearest.

    Args:
        of: scale and zero point of the input.
        to: of the output.
        function: of float32 [256], to float32 [256].

    Source: PopulateLookupTable of micro/kernels/elu.cc, LUTPopulate of kernels/internal/common.h.
    """
    real = of[0] * (_INPUTS - of[1]).astype(np.float32)
    with np.errstate(all="ignore"):
        steps = function(real) * (np.float32(1) / to[0])
    whole = np.copysign(np.floor(np.abs(steps.astype(np.float64)) + 0.5), steps)
    limited = np.clip(np.nan_to_num(whole, nan=-1e6, posinf=1e6, neginf=-1e6), -1e6, 1e6)
    return _clamp(limited.astype(np.int64) + to[1])


def exponential(scale: np.float32, beta: float) -> NDArray[np.int32]:
    """int32 [256], in units of 2^-31: exp of minus 0 to 255 steps, 0 from where the reference leaves out.

    Source: PreprocessSoftmaxScaling of quantization_util.cc, Softmax of reference/softmax.h.
    """
    real = min(beta * float(scale) * (1 << (31 - 5)), (1 << 31) - 1.0)
    multiplier, shift = quantize_multiplier(real)
    steps = np.arange(256, dtype=np.int64)
    reach = fixed_point.radius(5, shift)
    used = np.where(steps <= reach, steps, 0)
    values = fixed_point.exp(multiply(-used, multiplier, shift), 5)
    return np.where(steps <= reach, values, 0).astype(np.int32)


def sigmoid() -> NDArray[np.int32]:
    """int32 [256], in units of 2^-16: sigmoid of i / 24, as the reference has it.

    Source: sigmoid_table_uint16 of tensorflow/lite/kernels/internal/common.cc, recovered from its results.
    """
    values = np.floor(65536 / (1 + np.exp(-np.arange(256) / 24)) + 0.5).astype(np.int32)
    values[_SIGMOID_ABOVE] += 1
    return values


def round_half_away(value: np.float32) -> int:
    """The nearest integer, halves away from zero: C's roundf."""
    return int(math.copysign(math.floor(abs(float(value)) + 0.5), float(value)))


def _rescaled(of: Scaled) -> tuple[Integers, int]:
    """Inputs in units of 2^-27, and from which distance to zero on the result is its limit."""
    multiplier, shift = quantize_multiplier(float(of[0]) * (1 << 27))
    reach = fixed_point.radius(4, shift)
    centred = _INPUTS - of[1]
    inside = np.abs(centred) < reach
    return multiply(np.where(inside, centred, 0), multiplier, shift), reach


def _clamp(values: Integers, lowest: int = -128, highest: int = 127) -> Table:
    return fixed_point.array(np.minimum(np.maximum(values, lowest), highest))


def _to16(multiplier: int) -> int:
    return min((multiplier + (1 << 15)) >> 16, 32767)


def _round16(product: Integers) -> Integers:
    """A product of two int16 by 2^15, rounded; SaturatingRoundingDoublingHighMul."""
    nudged = product + np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    return np.minimum(_toward_zero(nudged, 15), 32767)


def _toward_zero(value: Integers, bits: int) -> Integers:
    return np.sign(value) * (np.abs(value) >> bits)
