"""Opens the batch of a graph that was converted for a batch of one.

Converters write the batch into constants (the shape of a RESHAPE, the end of a slice) or leave arithmetic on
shapes in the graph, which no microcontroller wants. So the loaders convert for one, and open the batch here:
the constants first, then every tensor whose first axis is seen to grow with the inputs'. What comes of it is
taken only if a batch of three gives what three times one gives.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters import rewrite
from converters.load.arrays import Runner, probe
from edge_sdk.errors import ModelError

_BATCH = 3
_CODE = schema.BuiltinOperator
#: Operators that take a shape in which -1 stands for any size, and which input it is.
_SHAPED = {_CODE.RESHAPE: 1, _CODE.SLICE: 2}


def open_batch(flatbuffer: bytes) -> bytes | None:
    """The model with a dynamic batch, whose default is one.

    Args:
        flatbuffer: all inputs have a first axis of one.

    Returns:
        None where the batch is part of the computation, as in recurrent layers with a state.
    """
    model = rewrite.unpack(flatbuffer)
    if len(model.subgraphs) != 1 or any(not _starts_with_one(t) for t in _inputs(model)):
        return None
    for op in model.subgraphs[0].operators:
        _free(model, op)
    try:
        runner = Runner(rewrite.repack(model), plain=True)
        runner.resize(_BATCH)
        grown = runner.shapes()
    except (RuntimeError, ValueError, ModelError):
        return None
    for index, tensor in enumerate(model.subgraphs[0].tensors):
        shape = grown.get(index, ())
        before = [] if tensor.shape is None else list(map(int, tensor.shape))
        is_open = before and shape and shape[0] == _BATCH * before[0] and _is_computed(model, tensor)
        tensor.shapeSignature = [-1, *before[1:]] if is_open else None
    if any(grown[int(i)][:1] != (_BATCH,) for i in model.subgraphs[0].outputs):
        return None
    opened = rewrite.repack(model)
    return opened if _scales(opened) else None


def _inputs(model: Any) -> list[Any]:
    return [model.subgraphs[0].tensors[int(i)] for i in model.subgraphs[0].inputs]


def _starts_with_one(tensor: Any) -> bool:
    return tensor.shape is not None and len(tensor.shape) > 0 and int(tensor.shape[0]) == 1


def _is_computed(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is None or not len(data)


def _free(model: Any, op: Any) -> None:
    """Let an operator that wants a batch of one take any."""
    graph = model.subgraphs[0]
    code = rewrite.code_of(model, op)
    if code == _CODE.STRIDED_SLICE and _starts_with_one(graph.tensors[int(op.inputs[0])]):
        op.builtinOptions.endMask |= 1
    if code not in _SHAPED or len(op.inputs) <= _SHAPED[code]:
        return
    source, output = (graph.tensors[int(i)] for i in (op.inputs[0], op.outputs[0]))
    wanted = graph.tensors[int(op.inputs[_SHAPED[code]])]
    if (
        wanted.type != schema.TensorType.INT32
        or _is_computed(model, wanted)
        or not _is_computed(model, source)
    ):
        return
    # A batch may also be folded into the first axis, as for a table that is looked up.
    if (
        output.shape is None
        or not len(output.shape)
        or (code == _CODE.SLICE and not _starts_with_one(output))
    ):
        return
    shape = [int(size) for size in output.shape]
    freed = np.array([-1, *shape[1:]], np.int32)
    # A tensor of its own: several operators may share the constant.
    buffer, tensor = schema.BufferT(), schema.TensorT()
    buffer.data = np.frombuffer(freed.tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor.name, tensor.shape, tensor.type = bytes(wanted.name or b"") + b"_any", [len(freed)], wanted.type
    tensor.buffer = len(model.buffers) - 1
    graph.tensors.append(tensor)
    if code == _CODE.SLICE:  # its kernel holds it to the shape of its output, where that has one
        output.shapeSignature = freed
    inputs = [int(i) for i in op.inputs]
    inputs[_SHAPED[code]] = len(graph.tensors) - 1
    op.inputs = inputs
    if code == _CODE.RESHAPE and op.builtinOptions is not None:
        op.builtinOptions.newShape = freed


def _scales(flatbuffer: bytes) -> bool:
    """Whether a batch gives what its windows give one by one, as a device runs it."""
    try:
        runner = Runner(flatbuffer)
        inputs = probe(runner.inputs, seed=7, batch=_BATCH)
        singly = [[np.array(y) for y in runner([x[n : n + 1] for x in inputs])] for n in range(_BATCH)]
        runner.resize(_BATCH)
        together = runner(inputs)
    except (RuntimeError, ValueError, ModelError):
        return False
    for place, whole in enumerate(together):
        parts = [each[place] for each in singly]
        if any(part.ndim == 0 or part.shape[0] != 1 for part in parts) or len(whole) != _BATCH:
            return False
        spread = max(float(np.abs(whole.astype(np.float64)).max(initial=0)), 1e-6)
        if np.abs(whole.astype(np.float64) - np.concatenate(parts)).max(initial=0) > 1e-4 * spread:
            return False
    return True
