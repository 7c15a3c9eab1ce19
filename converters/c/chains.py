"""Chains of operators that are functions of one int8: what each gives for all 256 inputs is one table.

Keras' ELU is DEQUANTIZE, ELU and QUANTIZE; its swish is LOGISTIC and MUL; its SELU is GREATER, MUL, EXP, SUB,
MUL and SELECT. A chain begins at a tensor of int8 and ends at another; between them every operator works on
one element at a time, with that tensor, what was made of it, and numbers alone. Its table is made by numpy
kernels, one operator after another: the same bits, with none of what lies between in memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c import reference
from converters.c.functions import FUNCTIONS
from converters.c.operation import Operation, Step, UnsupportedError
from edge_sdk.graph import Graph, Op, Tensor

#: Operators on one element at a time that have kernels in some dtype.
_BY_ELEMENT = frozenset({
    "ABS", "ADD", "DEQUANTIZE", "DIV", "ELU", "EXP", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOG", "LOGISTIC",
    "MAXIMUM", "MINIMUM", "MUL", "PRELU", "QUANTIZE", "RELU", "RELU6", "RSQRT", "SQRT", "SQUARED_DIFFERENCE",
    "SUB", "TANH",
})  # fmt: skip
#: The name of an operator inside of a chain: nothing is left of it.
_INSIDE = "CHAINED"
#: Places that a chain may begin at, as seen from its end.
_MOST_STARTS = 16
_STARTS = np.arange(-128, 128).astype(np.int8)
_Values = NDArray[Any]
#: Values for all 256 of each tensor that this one is a function of, the nearest first.
_Made = dict[int, _Values]
_Lowering = Callable[[Operation], list[Step]]


@dataclass(frozen=True, slots=True)
class Chains:
    """A graph whose chains are operators of one input.

    Attributes:
        graph: what lies inside of chains has neither input nor output.
        tables: int8 [256], for inputs from -128, by the index of the chain's last operator.
    """

    graph: Graph
    tables: Mapping[int, NDArray[np.int8]]


def find(graph: Graph, options: Sequence[Any], lowerings: Mapping[str, _Lowering]) -> Chains:
    """The chains of a model.

    Args:
        graph: the model's.
        options: of each operator, as the schema has them.
        lowerings: what each operator becomes, by its name.
    """
    made: dict[int, _Made] = {}
    for op in graph.ops:
        for index in (*op.inputs, *op.outputs):
            if index >= 0 and index not in made:
                made[index] = {index: _STARTS} if _is_start(graph.tensors[index]) else {}
        if len(op.outputs) == 1 and (op.name in _BY_ELEMENT or op.name in FUNCTIONS):
            values = _values(graph, Operation(op, graph, options[op.index]), made, lowerings.get(op.name))
            made[op.outputs[0]].update(values)
    return _cut(graph, made)


def _is_start(tensor: Tensor) -> bool:
    return tensor.dtype == "int8" and tensor.scale.size == 1 and not (tensor.constant or tensor.variable)


def _values(
    graph: Graph, o: Operation, made: Mapping[int, _Made], lowering: _Lowering | None
) -> Iterator[tuple[int, _Values]]:
    """What an operator gives, by each tensor that all of its inputs are functions of."""
    inputs = [graph.tensors[index] for index in o.op.inputs if index >= 0]
    moving = [tensor for tensor in inputs if tensor.data is None]
    numbers = len(inputs) == len(o.op.inputs) and all(t.elements == 1 for t in inputs if t.data is not None)
    if not moving or not numbers or any(tensor.shape != o.output().shape for tensor in moving):
        return
    common = [index for index in made[moving[0].index] if all(index in made[t.index] for t in moving)]
    for start in common[:_MOST_STARTS]:
        given = [t.data.reshape(-1) if t.data is not None else made[t.index][start] for t in inputs]
        with contextlib.suppress(UnsupportedError, ArithmeticError, LookupError, TypeError, ValueError):
            yield start, _evaluated(_alone(o), given, lowering)


def _alone(o: Operation) -> Operation:
    """The same operator in a graph of its own, on 256 elements."""
    tensors: list[Tensor] = []
    for index in (*o.op.inputs, *o.op.outputs):
        tensor = replace(o.graph.tensors[index], index=len(tensors))
        if tensor.data is None:
            tensor = replace(tensor, shape=(_STARTS.size,), shape_signature=(_STARTS.size,))
        tensors.append(tensor)
    count = len(o.op.inputs)
    op = replace(o.op, inputs=tuple(range(count)), outputs=(count,))
    return Operation(op, replace(o.graph, tensors=tensors), o.options)


def _evaluated(o: Operation, given: Sequence[_Values], lowering: _Lowering | None) -> _Values:
    """The output for 256 inputs at once: by the numpy kernels, or by the function of what has none."""
    output = np.zeros(_STARTS.size, o.output().dtype)
    try:
        steps = [] if lowering is None else lowering(o)
    except UnsupportedError:
        if o.op.name not in FUNCTIONS:
            raise
        steps = []
    for step in steps:
        reference.KERNELS[step.layer.kernel](step.layer, [given[index] for index in step.inputs], output)
    if not steps:
        with np.errstate(all="ignore"):
            output[:] = FUNCTIONS[o.op.name](o, given)
    return output


def _cut(graph: Graph, made: Mapping[int, _Made]) -> Chains:
    """Chains end where a tensor is read by what is no function of one int8."""
    functions = {op.index for op in graph.ops if op.outputs and set(made[op.outputs[0]]) - {op.outputs[0]}}
    read = {index for op in graph.ops if op.index not in functions for index in op.inputs}
    needed = {*graph.outputs, *read}
    tables: dict[int, NDArray[np.int8]] = {}
    ops = {op.index: op for op in graph.ops}
    writers = {index: op for op in graph.ops for index in op.outputs}
    for op in reversed(graph.ops):
        if op.index not in functions:
            continue
        if op.outputs[0] not in needed:
            ops[op.index] = replace(op, name=_INSIDE, inputs=(), outputs=())
            continue
        start = _start(op, made, needed)
        if start is None or all(index == start for index in op.inputs):  # a table by itself, if it is one
            needed.update(op.inputs)
            continue
        needed.add(start)
        tables[op.index] = made[op.outputs[0]][start].astype(np.int8)
        ops[op.index] = replace(op, name=_name(writers, op, start), inputs=(start,))
    return Chains(replace(graph, ops=[ops[op.index] for op in graph.ops]), tables)


def _start(op: Op, made: Mapping[int, _Made], needed: set[int]) -> int | None:
    """The nearest tensor that is there anyway, else the farthest."""
    output = op.outputs[0]
    if output not in made[output]:
        return None  # it is not int8
    starts = [index for index in made[output] if index != output]
    return next((index for index in starts if index in needed), starts[-1])


def _name(writers: Mapping[int, Op], op: Op, start: int) -> str:
    """The names of a chain's operators in their order."""
    waiting, found = [op], {op.index: op}
    while waiting:
        for index in waiting.pop().inputs:
            writer = writers.get(index)
            if index != start and writer is not None and writer.index not in found:
                found[writer.index] = writer
                waiting.append(writer)
    return " ".join(found[index].name for index in sorted(found))
