"""A flatbuffer becomes a flat list of kernel calls with every constant computed."""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters import costs, rewrite
from converters.c import chains, cut, front_end, variables
from converters.c.batches import fix_batch
from converters.c.fold import fold
from converters.c.layers import Lookup
from converters.c.operation import Operation, Step, UnsupportedError
from converters.c.operators import (
    blocks,
    convolution,
    elementwise,
    matrices,
    movement,
    pooling,
    recurrent,
    unary,
)
from converters.c.refusal import Refusal, told
from edge_sdk.errors import ModelError, first_of, one_line
from edge_sdk.graph import Graph, read_graph

_DAMAGE = (struct.error, TypeError, ValueError, AttributeError, LookupError, RecursionError, ArithmeticError)
_Lowering = Callable[[Operation], list[Step]]
OPERATORS: Mapping[str, _Lowering] = {
    "ABS": unary.abs_,
    "ADD": elementwise.add,
    "ASSIGN_VARIABLE": movement.assign_variable,
    "AVERAGE_POOL_2D": pooling.average_pool_2d,
    "BATCH_MATMUL": matrices.batch_matmul,
    "BATCH_TO_SPACE_ND": blocks.batch_to_space_nd,
    "CALL_ONCE": movement.nothing,
    "CONCATENATION": movement.concatenation,
    "CONV_2D": convolution.conv_2d,
    "DEPTHWISE_CONV_2D": convolution.depthwise_conv_2d,
    "DEPTH_TO_SPACE": blocks.depth_to_space,
    "DEQUANTIZE": unary.dequantize,
    "DIV": elementwise.div,
    "ELU": unary.elu,
    "EXP": unary.exp,
    "EXPAND_DIMS": movement.reshape,
    "FULLY_CONNECTED": convolution.fully_connected,
    "GATHER": movement.gather,
    "GELU": unary.gelu,
    "HARD_SWISH": unary.hard_swish,
    "L2_NORMALIZATION": unary.l2_normalization,
    "LEAKY_RELU": unary.leaky_relu,
    "LOG": unary.log,
    "LOGISTIC": unary.logistic,
    "MAXIMUM": elementwise.maximum,
    "MAX_POOL_2D": pooling.max_pool_2d,
    "MEAN": pooling.mean,
    "MINIMUM": elementwise.minimum,
    "MIRROR_PAD": movement.mirror_pad,
    "MUL": elementwise.mul,
    "PACK": movement.pack,
    "PAD": movement.pad,
    "PADV2": movement.pad,
    "PRELU": elementwise.prelu,
    "QUANTIZE": unary.quantize,
    "READ_VARIABLE": movement.read_variable,
    "REDUCE_MAX": pooling.reduce_max,
    "REDUCE_MIN": pooling.reduce_min,
    "RELU": unary.relu,
    "RELU6": unary.relu6,
    "RESHAPE": movement.reshape,
    "RESIZE_BILINEAR": movement.resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": movement.resize_nearest_neighbor,
    "REVERSE_V2": movement.reverse_v2,
    "RSQRT": unary.rsqrt,
    "SLICE": movement.slice_,
    "SOFTMAX": unary.softmax,
    "SPACE_TO_BATCH_ND": blocks.space_to_batch_nd,
    "SPACE_TO_DEPTH": blocks.space_to_depth,
    "SPLIT": movement.split,
    "SPLIT_V": movement.split_v,
    "SQRT": unary.sqrt,
    "SQUARED_DIFFERENCE": elementwise.squared_difference,
    "SQUEEZE": movement.reshape,
    "STRIDED_SLICE": movement.strided_slice,
    "SUB": elementwise.sub,
    "SUM": pooling.sum_,
    "TANH": unary.tanh,
    "TILE": movement.tile,
    "TRANSPOSE": movement.transpose,
    "TRANSPOSE_CONV": convolution.transpose_conv,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": recurrent.unidirectional_sequence_lstm,
    "UNPACK": movement.unpack,
    "VAR_HANDLE": movement.nothing,
}


#: Of an activation, bytes; kernels count in 32 bits.
_LARGEST = 1 << 28


@dataclass(frozen=True, slots=True)
class Program:
    """A model as kernel calls, in the order of execution.

    Attributes:
        graph: the model's; variables behind handles are tensors of it.
        steps: the calls.
        state: bytes of every variable before the first inference, by its tensor.
    """

    graph: Graph
    steps: tuple[Step, ...]
    state: Mapping[int, NDArray[Any]]


def lower(flatbuffer: bytes) -> Program:
    """The kernel calls of a model. A dynamic axis counts as 1.

    Raises:
        ModelError: damaged, or it has operators that are no kernel here; all of them are named.
    """
    graph = read_graph(flatbuffer)
    costs.check(graph)
    graph = fix_batch(graph)
    large = [tensor.name for tensor in graph.tensors if tensor.bytes > _LARGEST and not tensor.constant]
    if large:
        raise ModelError(
            "this model cannot become a C library",
            expected=f"tensors of at most {_LARGEST:,} bytes",
            found=first_of(large),
        )
    try:
        model = rewrite.unpack(flatbuffer)
        operators = model.subgraphs[0].operators or []
        graph = fold(graph, [raw.builtinOptions for raw in operators])
        kept = variables.find(graph, model)
        sound = front_end.find(kept.graph, [raw.builtinOptions for raw in operators])
    except _DAMAGE as error:
        raise ModelError("the TFLite flatbuffer is damaged", found=one_line(error)) from error
    graph = kept.graph if sound is None else front_end.fuse(kept.graph, sound)
    chained = chains.find(graph, [raw.builtinOptions for raw in operators], OPERATORS)
    graph = chained.graph
    steps: list[Step] = []
    against: list[Refusal] = []
    for op in graph.ops:
        if not op.inputs and not op.outputs:
            continue  # folded
        if sound is not None and op.index in sound.ops:
            steps.append(sound.step())
            continue
        operation = Operation(op, graph, operators[op.index].builtinOptions, kept.handles)
        try:
            steps += _steps(operation, chained.tables.get(op.index))
        except UnsupportedError as refused:
            against.append(Refusal(costs.title(op), op.index, refused.reason, refused.at_fault))
        except _DAMAGE as error:
            against.append(Refusal(costs.title(op), op.index, f"is malformed: {one_line(error)}"))
    if against:
        raise ModelError(
            "this model cannot become a C library",
            expected="an int8 model of the operators in docs/c-library.md",
            found=told(against),
            remedy=_remedy(graph, {refusal.number for refusal in against}),
        )
    used = {i for step in steps for i in (*step.inputs, step.output, *step.state)}
    return Program(graph, tuple(steps), {i: v for i, v in kept.initial.items() if i in used})


def _steps(o: Operation, table: NDArray[np.int8] | None) -> list[Step]:
    """What one operator becomes, which may be a chain with its table."""
    if table is not None:
        return [o.step(Lookup(o.output().elements, table), 0, in_place=True)]
    lowering = OPERATORS.get(o.op.name)
    if lowering is None:
        raise UnsupportedError("has no kernel", *(o.graph.tensors[index] for index in o.op.outputs))
    return lowering(o)


def _remedy(graph: Graph, refused: Collection[int]) -> str:
    """What helps: to leave out what has no kernel, where all of that only prepares the input."""
    begin = cut.find(graph)
    if begin is None or begin.ops.intersection(refused):
        return "convert it with --recipe int8, or use --to c-array with TFLite Micro"
    return f"compute {begin.names(graph)} in your own code, and give --cut: the library begins there"
