"""Records of what makes one of several elements."""

from __future__ import annotations

from dataclasses import dataclass

from converters.c.layers.layer import Layer


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
    """MEAN, and SUM, whose multiplier does not divide."""

    kernel = "edgeml_mean"


class ReduceMax(_Reduce):
    """REDUCE_MAX."""

    kernel = "edgeml_reduce_max"


class ReduceMin(_Reduce):
    """REDUCE_MIN."""

    kernel = "edgeml_reduce_min"
