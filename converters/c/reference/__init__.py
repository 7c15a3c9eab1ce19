"""The kernels once more, in numpy and as their formulas read: slow, plain, and shared with nothing in C.

A function takes a kernel's record, its flat inputs, and the flat output that it writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from converters.c.reference import (
    affine,
    arithmetic,
    convolution,
    log_mel,
    lookup,
    lstm,
    matrices,
    movement,
    normalization,
    pooling,
    reduction,
    softmax,
)

if TYPE_CHECKING:
    from converters.c.lower import Program

#: Operators that have no effect on tensors here.
_SILENT = frozenset({"VAR_HANDLE", "CALL_ONCE"})
Arrays = Sequence[NDArray[Any]]
KERNELS: Mapping[str, Callable[[Any, Arrays, NDArray[Any]], None]] = {
    "edgeml_add": arithmetic.add,
    "edgeml_average_pool_2d": pooling.average_pool_2d,
    "edgeml_batch_matmul": matrices.batch_matmul,
    "edgeml_conv_2d": convolution.conv_2d,
    "edgeml_copy": movement.copy,
    "edgeml_depthwise_conv_2d": convolution.depthwise_conv_2d,
    "edgeml_dequantize": affine.dequantize,
    "edgeml_fill": movement.fill,
    "edgeml_float_add": arithmetic.float_add,
    "edgeml_float_div": arithmetic.float_div,
    "edgeml_float_mul": arithmetic.float_mul,
    "edgeml_float_sub": arithmetic.float_sub,
    "edgeml_fully_connected": convolution.fully_connected,
    "edgeml_l2_normalization": normalization.l2_normalization,
    "edgeml_log_mel": log_mel.log_mel,
    "edgeml_lookup": lookup.lookup,
    "edgeml_lstm": lstm.lstm,
    "edgeml_max_pool_2d": pooling.max_pool_2d,
    "edgeml_maximum": arithmetic.maximum,
    "edgeml_mean": reduction.mean,
    "edgeml_minimum": arithmetic.minimum,
    "edgeml_mul": arithmetic.mul,
    "edgeml_prelu": arithmetic.prelu,
    "edgeml_power_spectrum": log_mel.power_spectrum,
    "edgeml_quantize": affine.quantize,
    "edgeml_reduce_max": reduction.reduce_max,
    "edgeml_reduce_min": reduction.reduce_min,
    "edgeml_resize_bilinear": movement.resize_bilinear,
    "edgeml_resize_nearest": movement.resize_nearest,
    "edgeml_softmax": softmax.softmax,
    "edgeml_squared_difference": arithmetic.squared_difference,
    "edgeml_transpose_conv": convolution.transpose_conv,
}


def first_state(program: Program) -> dict[int, NDArray[Any]]:
    """The variables of a model before its first inference, by tensor."""
    tensors = program.graph.tensors
    return {index: values.view(tensors[index].dtype).copy() for index, values in program.state.items()}


def run(program: Program, inputs: Arrays, state: dict[int, NDArray[Any]] | None = None) -> list[NDArray[Any]]:
    """One inference of a model, operator by operator, every tensor in memory of its own.

    Args:
        program: the model.
        inputs: its inputs, in its order and of their dtypes.
        state: its variables, which are changed; `first_state` if None.

    Returns:
        Its outputs.
    """
    graph = program.graph
    values = {tensor.index: tensor.data.reshape(-1) for tensor in graph.tensors if tensor.data is not None}
    values.update(first_state(program) if state is None else state)
    values.update(
        {index: array.reshape(-1).copy() for index, array in zip(graph.inputs, inputs, strict=True)}
    )
    steps = {op.index: [step for step in program.steps if step.op == op.index] for op in graph.ops}
    for op in graph.ops:
        if op.name in _SILENT or not op.outputs + op.inputs:
            continue
        if not steps[op.index]:  # the same values under another shape
            values[op.outputs[0]] = values[op.inputs[0]]
        for step in steps[op.index]:
            tensor = graph.tensors[step.output]
            output = values.setdefault(step.output, np.zeros(tensor.elements, tensor.dtype))
            KERNELS[step.layer.kernel](
                step.layer, [values[index] for index in (*step.inputs, *step.state)], output
            )
    return [values[index].reshape(graph.tensors[index].shape) for index in graph.outputs]
