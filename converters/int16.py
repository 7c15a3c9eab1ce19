"""What 16-bit activations need: two gaps between TensorFlow's quantizer and TFLite's kernels.

Kernels with 16-bit activations know no zero point, and add biases of 64 bits. The quantizer gives zero points
of -1 and biases of 32 bits, which LiteRT reads as if they were 64 (measured: -13 dB behind one convolution).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters import rewrite
from converters.prefix import title
from edge_sdk.errors import ModelError
from edge_sdk.graph import Graph

_CODE = schema.BuiltinOperator
#: Operators with a bias, and which input it is.
_BIAS = {
    _CODE.CONV_2D: 2,
    _CODE.DEPTHWISE_CONV_2D: 2,
    _CODE.FULLY_CONNECTED: 2,
    _CODE.TRANSPOSE_CONV: 3,
}
#: Operators whose 16-bit kernels write steps of 1/32768 and no other.
_UNIT = frozenset({_CODE.TANH, _CODE.SOFTMAX})
#: Operators without a 16-bit kernel in LiteRT, and those whose constants the quantizer leaves in 8 bits.
_NONE = frozenset({"UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN", "RFFT2D"})
_ELEMENTWISE = frozenset({"ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM"})


def check(graph: Graph, kept: Collection[str]) -> None:
    """Refuse what no kernel computes with 16-bit activations.

    Args:
        graph: the float model.
        kept: names of the outputs of operators that stay float32.

    Raises:
        ModelError: an operator has no such kernel, or TensorFlow gives its constant 8 bits.
    """
    for op in graph.ops:
        if graph.tensors[op.outputs[0]].name in kept:
            continue
        constant = any(i >= 0 and graph.tensors[i].constant for i in op.inputs)
        if op.name in _NONE or (op.name in _ELEMENTWISE and constant):
            what = f"{op.name} with a constant" if op.name in _ELEMENTWISE else op.name
            raise ModelError(
                f"{what} ({title(graph.tensors[op.outputs[0]].name)}) cannot compute in int16",
                expected="layers that have 16-bit kernels",
                found=what,
                remedy="take --recipe int8, mixed or weight_int8",
            )


def symmetric(calibrated: bytes) -> bytes:
    """A calibrated model whose ranges are as wide below zero as above."""
    model = rewrite.unpack(calibrated)
    main = model.subgraphs[0]
    unit = {int(op.outputs[0]) for op in main.operators if rewrite.code_of(model, op) in _UNIT}
    for index, tensor in enumerate(main.tensors):
        found = tensor.quantization
        if found is not None and found.min is not None and len(found.min):
            largest = max(abs(float(found.min[0])), abs(float(found.max[0])))
            largest = 32767 / 32768 if index in unit else largest
            # int16 reaches one step further down than up.
            found.min, found.max = [-largest * 32768 / 32767], [largest]
    return rewrite.repack(model)


def fit_kernels(quantized: bytes) -> bytes:
    """A model quantized with such ranges: zero points at 0, where rounding missed it, and wide biases."""
    model = rewrite.unpack(quantized)
    main = model.subgraphs[0]
    for tensor in main.tensors:
        if tensor.type == schema.TensorType.INT16 and tensor.quantization is not None:
            tensor.quantization.zeroPoint = [0] * len(tensor.quantization.scale)
    for op in main.operators:
        if rewrite.code_of(model, op) == _CODE.LOGISTIC and _may_rescale(model, int(op.outputs[0])):
            # The quantizer gives it 0 to 1 in all 16 bits.
            main.tensors[int(op.outputs[0])].quantization.scale = [1 / 32768]
        place = _BIAS.get(rewrite.code_of(model, op))
        if place is not None and place < len(op.inputs) and int(op.inputs[place]) >= 0:
            _widen(model, main.tensors[int(op.inputs[place])])
    return rewrite.repack(model)


def _may_rescale(model: Any, tensor: int) -> bool:
    """Whether all that read a tensor take any scale, and keep nothing that depends on it."""
    readers = [op for op in model.subgraphs[0].operators if tensor in map(int, op.inputs)]
    return all(rewrite.code_of(model, op) in (_CODE.DEQUANTIZE, _CODE.QUANTIZE, _CODE.MUL) for op in readers)


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
