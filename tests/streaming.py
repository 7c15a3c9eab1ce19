"""A network that remembers: the newest samples are in a variable, which a graph of its own sets up."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.kinds import Net, Scaled

_OPERATOR = schema.BuiltinOperator


def moving_window(scaled: Scaled, memory: int = 4, channels: int = 3) -> bytes:
    """int8 [1, 1, channels] → the mean of that sample and the `memory` before it, int8 [1, channels].

    Before the first inference the variable holds 1, 2, 3 and so on.
    """
    net = Net()
    kind: dict[str, Any] = {"dtype": "int8", "scaled": scaled}
    sample = net.input("x", [1, 1, channels], **kind)
    handle = _handle(net)
    past = net.op("READ_VARIABLE", [handle], [1, memory, channels], **kind)
    every = net.op("CONCATENATION", [past, sample], [1, memory + 1, channels], axis=1, **kind)
    bounds = [net.constant(np.array(n, np.int32)) for n in ([0, 1, 0], [1, memory + 1, channels], [1, 1, 1])]
    newest = net.op("STRIDED_SLICE", [every, *bounds], [1, memory, channels], **kind)
    net.op("ASSIGN_VARIABLE", [handle, newest], [1])
    net._graph.operators[-1].outputs = []
    axis = net.constant(np.array([1], np.int32))
    net.output(
        "y", net.op("MEAN", [every, axis], [1, channels], kind="ReducerOptions", keepDims=False, **kind)
    )
    _set_up(net, [1, memory, channels], scaled)
    net._graph.inputs, net._graph.outputs = list(net._inputs.values()), list(net._outputs.values())
    builder = flatbuffers.Builder(1024)
    builder.Finish(net._model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _handle(net: Net) -> int:
    handle = net.op("VAR_HANDLE", [], [1], container="", sharedName="past")
    net._graph.tensors[handle].type = schema.TensorType.RESOURCE
    return handle


def _set_up(net: Net, shape: list[int], scaled: Scaled) -> None:
    """A second graph, which the first one calls once."""
    other = Net()
    handle = _handle(other)
    values = np.arange(1, np.prod(shape) + 1).astype(np.int8).reshape(shape)
    first = other.constant(values, scaled)
    other.op("ASSIGN_VARIABLE", [handle, first], [1])
    other._graph.operators[-1].outputs = []
    other._graph.tensors.pop()
    other._graph.inputs, other._graph.outputs, other._graph.name = [], [], "once"
    other._graph.tensors[first].buffer = len(net._model.buffers)
    net._model.buffers.append(other._model.buffers[-1])
    for op in other._graph.operators:
        net._model.operatorCodes.append(other._model.operatorCodes[op.opcodeIndex])
        op.opcodeIndex = len(net._model.operatorCodes) - 1
    net._model.subgraphs.append(other._graph)
    net.op("CALL_ONCE", [], [1], initSubgraphIndex=1)
    call = net._graph.operators.pop()
    call.outputs = []
    net._graph.operators.insert(0, call)
