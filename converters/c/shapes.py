"""Shapes that a file leaves open, worked out for one input.

A writer that keeps the batch open does not know what a RESHAPE gives whose shape is computed as the model
runs; it puts 1 for every axis that it leaves open. Keras' Dense on sequences and UpSampling2D become such.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.graph import Op, Tensor

Shape = tuple[int, ...]
#: Elements of an activation, at most; a file that asks for more keeps the shape that it has.
_MOST = 1 << 28
#: Operators whose output has the shape of their inputs, broadcast to each other.
# fmt: off
_ELEMENTWISE = frozenset(
    (
        "ABS", "ADD", "DEQUANTIZE", "DIV", "ELU", "EXP",
        "GELU", "HARD_SWISH", "LEAKY_RELU", "LOG", "LOGISTIC", "MAXIMUM",
        "MINIMUM", "MUL", "NEG", "PRELU", "QUANTIZE", "RELU",
        "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "RSQRT", "SOFTMAX", "SQRT",
        "SQUARE", "SQUARED_DIFFERENCE", "SUB", "TANH",
    )
)
# fmt: on


def of_output(op: Op, tensors: Sequence[Tensor], options: Any) -> Shape:
    """The shape of an operator's first output: that of the file unless it is open and known here.

    Args:
        op: the operator; whatever its inputs' shapes are computed from is a constant by now.
        tensors: of the graph, with the shapes of the inputs worked out.
        options: of the operator, as the schema has them.
    """
    output = tensors[op.outputs[0]]
    inputs = [tensors[index] for index in op.inputs if index >= 0]
    found = _worked_out(op.name, inputs, options) if -1 in output.shape_signature else None
    return output.shape if found is None or math.prod(found) > _MOST else found


def _worked_out(name: str, inputs: Sequence[Tensor], options: Any) -> Shape | None:
    if name == "RESHAPE":
        return _reshaped(inputs, options)
    if name == "FULLY_CONNECTED":
        return _multiplied(inputs[0].shape, inputs[1].shape, bool(getattr(options, "keepNumDims", False)))
    if name in _ELEMENTWISE:
        with contextlib.suppress(ValueError):
            return np.broadcast_shapes(*(tensor.shape for tensor in inputs))
    return None


def _reshaped(inputs: Sequence[Tensor], options: Any) -> Shape | None:
    """What RESHAPE was asked for; one axis may be whatever is left."""
    wanted: NDArray[Any] | None = inputs[1].data if len(inputs) > 1 else getattr(options, "newShape", None)
    if wanted is None:
        return None
    sizes = [int(size) for size in np.asarray(wanted).reshape(-1)]
    rest = math.prod(size for size in sizes if size != -1)
    if sizes.count(-1) == 1 and rest > 0:
        sizes[sizes.index(-1)] = inputs[0].elements // rest
    return tuple(sizes) if math.prod(sizes) == inputs[0].elements and min(sizes, default=1) >= 0 else None


def _multiplied(data: Shape, weights: Shape, keep: bool) -> Shape:
    """What FULLY_CONNECTED gives: rows of outputs, whose leading axes may be those of the input."""
    outputs, inputs = weights
    return (*data[:-1], outputs) if keep else (math.prod(data) // max(inputs, 1), outputs)
