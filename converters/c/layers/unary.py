"""Records of operators on one tensor."""

from __future__ import annotations

from dataclasses import dataclass

from converters.c.layers.layer import Bytes, Ints, Layer


@dataclass(frozen=True, slots=True, eq=False)
class _Affine(Layer):
    structure = "edgeml_affine_t"
    elements: int
    zero_point: int
    scale: float


class Dequantize(_Affine):
    """DEQUANTIZE."""

    kernel = "edgeml_dequantize"


class Quantize(_Affine):
    """QUANTIZE of float32."""

    kernel = "edgeml_quantize"


@dataclass(frozen=True, slots=True, eq=False)
class Lookup(Layer):
    """A function of one int8."""

    kernel = "edgeml_lookup"
    structure = "edgeml_lookup_t"
    elements: int
    table: Bytes


@dataclass(frozen=True, slots=True, eq=False)
class Softmax(Layer):
    """SOFTMAX."""

    kernel = "edgeml_softmax"
    structure = "edgeml_softmax_t"
    rows: int
    depth: int
    exponential: Ints


@dataclass(frozen=True, slots=True, eq=False)
class L2Normalization(Layer):
    """L2_NORMALIZATION."""

    kernel = "edgeml_l2_normalization"
    structure = "edgeml_l2_normalization_t"
    rows: int
    depth: int
    zero_point: int
