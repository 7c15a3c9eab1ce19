"""The recipe float16: learned constants are stored as float16 and widened when the model is loaded.

TensorFlow's own float16 conversion narrows every constant, those of the normalisation too: a mean of 101 kPa
is more than float16 holds and becomes infinity. Here, all that lies ahead of the first learned layer is kept.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters import rewrite
from converters.prefix import float_prefix, float_suffix
from edge_sdk.graph import read_graph

_LARGEST = float(np.finfo(np.float16).max)


def narrow(flatbuffer: bytes, preprocessing: Collection[str] = ()) -> bytes:
    """A float32 model with the constants of its learned part as float16, each behind a DEQUANTIZE.

    Runtimes fold that DEQUANTIZE when they load the model; the arithmetic stays float32.

    Args:
        flatbuffer: a float32 .tflite.
        preprocessing: as in `prefix.float_prefix`.

    Raises:
        ModelError: it has no learned layer.
    """
    graph = read_graph(flatbuffer)
    kept = {
        i
        for op in (*float_prefix(graph, preprocessing), *float_suffix(graph, preprocessing))
        for i in op.inputs
    }
    used = {i for op in graph.ops for i in op.inputs}
    chosen = [
        tensor.index
        for tensor in graph.tensors
        if tensor.index in used - kept
        and tensor.dtype == "float32"
        and tensor.data is not None
        and float(np.abs(tensor.data).max(initial=0.0)) <= _LARGEST
    ]
    model = rewrite.unpack(flatbuffer)
    main = model.subgraphs[0]
    code = _dequantize_code(model)
    widened = {index: _narrow_one(model, main, index) for index in chosen}
    for op in main.operators:
        op.inputs = [widened.get(int(i), int(i)) for i in op.inputs]
    main.operators = [_dequantize(code, index, wide) for index, wide in widened.items()] + list(
        main.operators
    )
    return rewrite.repack(model)


def _narrow_one(model: Any, main: Any, index: int) -> int:
    """Make one constant float16; returns the index of the float32 tensor that it is widened to."""
    tensor = main.tensors[index]
    wide = schema.TensorT()
    wide.name, wide.shape, wide.type = tensor.name + b"_float32", tensor.shape, schema.TensorType.FLOAT32
    main.tensors.append(wide)
    values = np.asarray(model.buffers[tensor.buffer].data, np.uint8).view(np.float32)
    # A buffer of its own: another constant may share the old one and stay float32. Else the old one goes.
    buffer = schema.BufferT()
    buffer.data = values.astype(np.float16).view(np.uint8)
    old, tensor.buffer, tensor.type = tensor.buffer, len(model.buffers), schema.TensorType.FLOAT16
    model.buffers.append(buffer)
    if not any(other.buffer == old for graph in model.subgraphs for other in graph.tensors):
        model.buffers[old].data = None
    return len(main.tensors) - 1


def _dequantize(code: int, narrow_index: int, wide_index: int) -> Any:
    op = schema.OperatorT()
    op.opcodeIndex, op.inputs, op.outputs = code, [narrow_index], [wide_index]
    return op


def _dequantize_code(model: Any) -> int:
    """Index of the operator code, added where the model has none; version 3 is the one that takes float16."""
    for index, code in enumerate(model.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == schema.BuiltinOperator.DEQUANTIZE:
            code.version = max(code.version, 3)
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    code.version = 3
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1
