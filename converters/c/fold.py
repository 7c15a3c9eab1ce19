"""Sizes that a model computes as it runs are known here: such operators become constants.

Keras' Flatten of an open batch asks for the shape of its input, takes the batch out and packs a new one.
What a recurrent layer starts from is filled with zeros as often as such a batch asks for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c import shapes
from converters.c.operation import Operation
from edge_sdk.graph import Graph

_Values = Sequence[NDArray[Any]]
#: Elements of a constant that is made, at most.
_MOST = 1 << 20


def slices(o: Operation, rank: int, bounds: _Values) -> tuple[slice, ...]:
    """What STRIDED_SLICE takes of each axis; of one that it drops, one index.

    Args:
        o: the operator, for its masks.
        rank: axes of its input.
        bounds: its begins, ends and strides.
    """
    begins, ends, strides = ([int(n) for n in values.reshape(-1)] for values in bounds)
    found = []
    for axis in range(rank):
        bit = 1 << axis
        if axis >= len(begins):
            found.append(slice(None))
        elif o.option("shrinkAxisMask") & bit:
            found.append(slice(begins[axis], begins[axis] + 1 or None))
        else:
            begin = None if o.option("beginMask") & bit else begins[axis]
            end = None if o.option("endMask") & bit else ends[axis]
            found.append(slice(begin, end, strides[axis]))
    return tuple(found)


def _slice(o: Operation, values: _Values) -> NDArray[Any]:
    return values[0][slices(o, values[0].ndim, values[1:4])]


def _filled(values: _Values) -> NDArray[Any]:
    sizes = [int(size) for size in values[0].reshape(-1)]
    if math.prod(sizes) > _MOST:
        raise ValueError(f"FILL of {sizes}")
    return np.full(sizes, values[1].reshape(-1)[0])


_FOLDED: Mapping[str, Callable[[Operation, _Values], NDArray[Any]]] = {
    "ADD": lambda _, values: values[0] + values[1],
    "CAST": lambda _, values: values[0],
    "CONCATENATION": lambda o, values: np.concatenate(values, axis=o.option("axis")),
    "EXPAND_DIMS": lambda _, values: values[0],
    "FILL": lambda _, values: _filled(values),
    "GATHER": lambda o, values: np.take(values[0], values[1], axis=o.option("axis")),
    "MUL": lambda _, values: values[0] * values[1],
    "PACK": lambda o, values: np.stack(values, axis=o.option("axis")),
    "REDUCE_PROD": lambda _, values: np.asarray(np.prod(values[0])),
    "RESHAPE": lambda _, values: values[0],
    "SQUEEZE": lambda _, values: values[0],
    "STRIDED_SLICE": _slice,
}
#: Of which dtypes the results become constants; FILL of any.
_SIZES = ("int32", "int64")


def fold(graph: Graph, options: Sequence[Any]) -> Graph:
    """The same graph without its arithmetic on sizes; what is left of it has neither input nor output.

    Shapes that the file leaves open are worked out on the way.

    Args:
        graph: a model whose sizes are all known.
        options: of each operator, as the schema has them.
    """
    tensors, ops = list(graph.tensors), []
    for op in graph.ops:
        values = [tensors[index].data for index in op.inputs if index >= 0]
        made: NDArray[Any] | None = None
        if op.name == "SHAPE":
            made = np.array(tensors[op.inputs[0]].shape)
        elif op.name in _FOLDED and (op.name == "FILL" or tensors[op.outputs[0]].dtype in _SIZES):
            known = [value for value in values if value is not None]
            if len(known) == len(values):
                operation = Operation(op, replace(graph, tensors=tensors), options[op.index])
                made = _FOLDED[op.name](operation, known)
        if made is None:
            ops.append(op)
            for index in op.outputs[:1]:
                shape = shapes.of_output(op, tensors, options[op.index])
                tensors[index] = replace(tensors[index], shape=shape)
        else:
            output = tensors[op.outputs[0]]
            data = np.asarray(made, output.dtype)
            data = data if op.name == "FILL" else data.reshape(output.shape)
            tensors[output.index] = replace(output, data=data, shape=data.shape, constant=True)
            ops.append(replace(op, inputs=(), outputs=()))  # kept, so that every operator keeps its number
    return replace(graph, tensors=tensors, ops=ops)
