"""A model that begins at its last float tensor: what prepares the input is left to whoever calls it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from converters import costs, rewrite
from edge_sdk.errors import ModelError, first_of, one_line
from edge_sdk.graph import Graph, read_graph

_DAMAGE = (struct.error, TypeError, ValueError, AttributeError, LookupError, RecursionError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a model may begin.

    Attributes:
        tensors: the last float tensor on each way from an input to QUANTIZE.
        inputs: of the model that begins there: those, and the inputs that are quantized as they are.
        ops: indices of the operators behind.
    """

    tensors: tuple[int, ...]
    inputs: tuple[int, ...]
    ops: frozenset[int]

    def names(self, graph: Graph) -> str:
        """The tensors for people: name, dtype, shape."""
        tensors = (graph.tensors[index] for index in self.tensors)
        return first_of([f"{t.name} ({t.dtype} {list(t.shape)})" for t in tensors])


def find(graph: Graph) -> Cut | None:
    """Where a model may begin; None where every input is quantized as it is, or nothing is."""
    floating = set(graph.inputs)  # what depends on no integer
    last: list[int] = []
    for op in graph.ops:
        sources = [index for index in op.inputs if index >= 0 and not graph.tensors[index].constant]
        if not sources or not floating.issuperset(sources):
            continue
        if op.name != "QUANTIZE":
            floating.update(op.outputs)
        elif graph.tensors[sources[0]].dtype == "float32":
            last.append(sources[0])
    tensors = tuple(dict.fromkeys(index for index in last if index not in graph.inputs))
    if not tensors:
        return None
    makers = {index: op for op in graph.ops for index in op.outputs}
    effects = [op for op in graph.ops if not op.outputs or op.name == "ASSIGN_VARIABLE"]
    behind = {op.index for op in effects}
    waiting = [*graph.outputs, *(index for op in effects for index in op.inputs)]
    seen = set(tensors)
    while waiting:
        index = waiting.pop()
        if index not in seen and index in makers:
            behind.add(makers[index].index)
            # A shape is known whatever the values are.
            waiting += makers[index].inputs if makers[index].name != "SHAPE" else ()
        seen.add(index)
    inputs = [index for index in graph.inputs if index in seen]
    return Cut(tensors, (*tensors, *inputs), frozenset(behind))


def cut(flatbuffer: bytes) -> bytes:
    """The part of a model that computes in integers, with its last float tensors as inputs.

    Raises:
        ModelError: damaged, or there is nothing to cut off.
    """
    graph = read_graph(flatbuffer)
    costs.check(graph)
    found = find(graph)
    if found is None:
        raise ModelError(
            "nothing can be cut off this model",
            expected="operators in float32 ahead of the first QUANTIZE",
            found=first_of([graph.tensors[index].name for index in graph.inputs]) + " quantized as it is",
            remedy="leave --cut out",
        )
    try:
        model = rewrite.unpack(flatbuffer)
        subgraph = model.subgraphs[0]
        subgraph.operators = [op for index, op in enumerate(subgraph.operators) if index in found.ops]
        subgraph.inputs = list(found.inputs)
        model.signatureDefs = []
        return rewrite.repack(model)
    except _DAMAGE as error:
        raise ModelError("the TFLite flatbuffer is damaged", found=one_line(error)) from error
