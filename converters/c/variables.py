"""What a model keeps from one inference to the next: variables behind handles, and of recurrent layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from converters import rewrite
from edge_sdk.graph import Graph, Tensor

_OPERATOR = schema.BuiltinOperator


@dataclass(frozen=True, slots=True)
class Variables:
    """The variables of a model.

    Attributes:
        graph: with a tensor more for each variable that has a handle.
        handles: that tensor by the tensor of each handle.
        initial: value of every variable before the first inference, by its tensor.
    """

    graph: Graph
    handles: Mapping[int, int]
    initial: dict[int, NDArray[Any]] = field(default_factory=dict)


def find(graph: Graph, model: Any) -> Variables:
    """The variables of a model and what they hold at first.

    Args:
        graph: the model's main graph.
        model: the same model taken apart (`rewrite.unpack`).
    """
    names = _names(model, model.subgraphs[0])
    tensors, found = list(graph.tensors), {}
    for op in graph.ops:
        if op.name not in ("READ_VARIABLE", "ASSIGN_VARIABLE") or op.inputs[0] not in names:
            continue
        name = names[op.inputs[0]]
        if name not in found:
            value = tensors[op.outputs[0] if op.name == "READ_VARIABLE" else op.inputs[1]]
            found[name] = len(tensors)
            kept = replace(value, index=len(tensors), constant=False, data=None, variable=True)
            tensors.append(kept)
    handles = {handle: found[name] for handle, name in names.items() if name in found}
    given = _given(model)
    initial = {tensor.index: _at_first(tensor) for tensor in tensors if tensor.variable}
    for name, values in given.items():
        if name in found and values.size == initial[found[name]].size:
            initial[found[name]] = values
    return Variables(replace(graph, tensors=tensors), handles, initial)


def _names(model: Any, subgraph: Any) -> dict[int, tuple[Any, Any]]:
    """The variable that each handle of a subgraph stands for."""
    return {
        int(op.outputs[0]): (op.builtinOptions.container, op.builtinOptions.sharedName)
        for op in subgraph.operators or []
        if rewrite.code_of(model, op) == _OPERATOR.VAR_HANDLE
    }


def _given(model: Any) -> dict[tuple[Any, Any], NDArray[Any]]:
    """What graphs that run once assign."""
    values = {}
    for op in model.subgraphs[0].operators or []:
        if rewrite.code_of(model, op) != _OPERATOR.CALL_ONCE:
            continue
        once = model.subgraphs[op.builtinOptions.initSubgraphIndex]
        names = _names(model, once)
        for assign in once.operators or []:
            if rewrite.code_of(model, assign) == _OPERATOR.ASSIGN_VARIABLE:
                data = model.buffers[once.tensors[assign.inputs[1]].buffer].data
                name = names.get(int(assign.inputs[0]))
                if data is not None and name is not None:
                    values[name] = np.asarray(data, np.uint8)
    return values


def _at_first(tensor: Tensor) -> NDArray[Any]:
    """Zero, as the quantization has it: what TFLite Micro resets a variable to."""
    zero = int(tensor.zero_point[0]) if tensor.dtype == "int8" and tensor.zero_point.size else 0
    return np.full(tensor.elements, zero, tensor.dtype).view(np.uint8)
