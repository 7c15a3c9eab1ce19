"""Records of products of two matrices that are both computed."""

from __future__ import annotations

from dataclasses import dataclass

from converters.c.layers.layer import Box, Layer


@dataclass(frozen=True, slots=True, eq=False)
class BatchMatmul(Layer):
    """BATCH_MATMUL: `transposed` says that the second operand is [columns, inner]."""

    kernel = "edgeml_batch_matmul"
    structure = "edgeml_batch_matmul_t"
    box: Box
    rows: int
    inner: int
    columns: int
    transposed: int
    zero_a: int
    zero_b: int
    output_zero_point: int
    multiplier: int
    shift: int
