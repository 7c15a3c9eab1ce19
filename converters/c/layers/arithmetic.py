"""Records of operators on two tensors."""

from __future__ import annotations

from dataclasses import dataclass

from converters.c.layers.layer import Box, Layer


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


class Maximum(Box):
    """MAXIMUM: its places are all that it is told."""

    kernel = "edgeml_maximum"


class Minimum(Box):
    """MINIMUM: its places are all that it is told."""

    kernel = "edgeml_minimum"


@dataclass(frozen=True, slots=True, eq=False)
class SquaredDifference(Layer):
    """SQUARED_DIFFERENCE."""

    kernel = "edgeml_squared_difference"
    structure = "edgeml_squared_difference_t"
    box: Box
    offset_a: int
    multiplier_a: int
    shift_a: int
    offset_b: int
    multiplier_b: int
    shift_b: int
    offset: int
    multiplier: int
    shift: int


@dataclass(frozen=True, slots=True, eq=False)
class Prelu(Layer):
    """PRELU: `a` is the input, `b` its slopes."""

    kernel = "edgeml_prelu"
    structure = "edgeml_prelu_t"
    box: Box
    offset_a: int
    offset_b: int
    offset: int
    multiplier: int
    shift: int
    slope_multiplier: int
    slope_shift: int
