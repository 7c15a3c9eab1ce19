"""What 16-bit activations need: two gaps between TensorFlow's quantizer and TFLite's kernels.

Kernels with 16-bit activations know no zero point, and add biases of 64 bits. The quantizer gives zero points
of -1 and biases of 32 bits, which LiteRT reads as if they were 64 (measured: -13 dB behind one convolution).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters import rewrite

_CODE = schema.BuiltinOperator
#: Operators with a bias, and which input it is.
_BIAS = {
    _CODE.CONV_2D: 2,
    _CODE.DEPTHWISE_CONV_2D: 2,
    _CODE.FULLY_CONNECTED: 2,
    _CODE.TRANSPOSE_CONV: 3,
}


def symmetric(calibrated: bytes) -> bytes:
    """A calibrated model whose ranges are as wide below zero as above."""
    model = rewrite.unpack(calibrated)
    for tensor in model.subgraphs[0].tensors:
        found = tensor.quantization
        if found is not None and found.min is not None and len(found.min):
            largest = max(abs(float(found.min[0])), abs(float(found.max[0])))
            found.min, found.max = (
                [-largest * 32768 / 32767],
                [largest],
            )  # int16 reaches one step further down
    return rewrite.repack(model)


def fit_kernels(quantized: bytes) -> bytes:
    """A model quantized with such ranges: zero points at 0, where rounding missed it, and wide biases."""
    model = rewrite.unpack(quantized)
    main = model.subgraphs[0]
    for tensor in main.tensors:
        if tensor.type == schema.TensorType.INT16 and tensor.quantization is not None:
            tensor.quantization.zeroPoint = [0] * len(tensor.quantization.scale)
    for op in main.operators:
        place = _BIAS.get(_code(model, op))
        if place is not None and place < len(op.inputs) and int(op.inputs[place]) >= 0:
            _widen(model, main.tensors[int(op.inputs[place])])
    return rewrite.repack(model)


def _widen(model: Any, bias: Any) -> None:
    data = model.buffers[bias.buffer].data
    if bias.type != schema.TensorType.INT32 or data is None:
        return
    values = np.asarray(data, np.uint8).view(np.int32).astype(np.int64)
    # A buffer of its own: another constant with the same bytes may share the old one.
    buffer = schema.BufferT()
    buffer.data = values.view(np.uint8)
    old, bias.buffer, bias.type = bias.buffer, len(model.buffers), schema.TensorType.INT64
    model.buffers.append(buffer)
    if not any(tensor.buffer == old for graph in model.subgraphs for tensor in graph.tensors):
        model.buffers[old].data = None


def _code(model: Any, op: Any) -> int:
    code = model.operatorCodes[op.opcodeIndex]
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))
