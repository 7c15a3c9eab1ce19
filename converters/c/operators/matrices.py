"""BATCH_MATMUL: products of two matrices that are both computed, as attention has them."""

from __future__ import annotations

from converters.c import boxes
from converters.c.fixed_point import quantize_multiplier
from converters.c.layers import BatchMatmul
from converters.c.operation import Operation, Step, UnsupportedError, scaled

#: Products of two differences of int8 whose sum stays within 32 bits.
_MOST_PRODUCTS = 1 << 15
#: Of a sum, bytes.
_SUM = 4


def batch_matmul(o: Operation) -> list[Step]:
    """Leading axes are broadcast. Source: BatchMatMulPrepare of micro/kernels/batch_matmul.cc."""
    a, b, output = o.input(), o.input(1), o.output()
    o.need("int8", a, b, output)
    if o.option("adjX"):
        raise UnsupportedError("transposes its first operand", a)
    o.fit(min(len(a.shape), len(b.shape), len(output.shape)) > 1, a, b, output)
    rows, inner = a.shape[-2:]
    columns = b.shape[-2 if o.option("adjY") else -1]
    o.fit(b.shape[-1 if o.option("adjY") else -2] == inner < _MOST_PRODUCTS, a, b)
    o.fit(output.shape[-2:] == (rows, columns), a, b, output)
    (scale_a, zero_a), (scale_b, zero_b), (scale, zero_point) = map(scaled, (a, b, output))
    multiplier, shift = quantize_multiplier(float(scale_a) * float(scale_b) / float(scale))
    layer = BatchMatmul(
        box=boxes.broadcast((1, *a.shape[:-2]), (1, *b.shape[:-2]), (1, *output.shape[:-2])),
        rows=rows,
        inner=inner,
        columns=columns,
        transposed=int(bool(o.option("adjY"))),
        zero_a=zero_a,
        zero_b=zero_b,
        output_zero_point=zero_point,
        multiplier=multiplier,
        shift=shift,
    )
    return [o.step(layer, 0, 1, scratch_bytes=_SUM * rows + inner)]
