"""How large an arena TFLite Micro needs, from the file alone: an upper estimate that holds and wastes little.

Activations are planned as TFLite Micro plans them, which gives its figure to the byte. What it keeps beside
them was measured with its reference kernels on a 64-bit host (tflite_micro 0.dev20261023), whose pointers are
twice as large as a microcontroller's; every constant below is such a figure. The scratch memory of CMSIS-NN
is that of its buffer size functions. tests/integration/converters/test_arena.py measures again.
"""

from __future__ import annotations

import math

from converters.plan import plan
from edge_sdk.graph import Graph, Op

#: The interpreter, its allocator and planner, bytes.
_BASE = 1024
#: One TfLiteEvalTensor, bytes.
_A_TENSOR = 24
#: One node with what its kernel keeps between preparation and invocation, bytes; more for a learned one.
_AN_OPERATOR = 112
_A_LEARNED_ONE = 176
#: Multiplier and shift of one output channel, bytes.
_A_CHANNEL = 8
#: A table of 513 int16 for each of exp(x) and 1/(1+x), bytes.
_INT16_SOFTMAX = 2 * 513 * 2 + 16
_CONVOLUTIONS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"})
#: What an LSTM keeps: parameters of its gates, bytes.
_AN_LSTM = 640


def tflm_bytes(graph: Graph) -> int:
    """An arena that is large enough for TFLite Micro with its reference kernels or CMSIS-NN, bytes."""
    activations = plan(graph, tflm=True, scratch=_scratch(graph)).arena_bytes
    kept = sum(_kept_bytes(graph, op) for op in graph.ops)
    whole = activations + kept + _BASE + _A_TENSOR * len(graph.tensors)
    return -(-whole // 16) * 16


def _kept_bytes(graph: Graph, op: Op) -> int:
    """Memory that one operator holds for as long as the model is loaded."""
    if op.name == "UNIDIRECTIONAL_SEQUENCE_LSTM":
        return _AN_OPERATOR + _AN_LSTM
    if op.name == "SOFTMAX" and op.outputs and graph.tensors[op.outputs[0]].dtype == "int16":
        return _AN_OPERATOR + _INT16_SOFTMAX
    if op.name in _CONVOLUTIONS:
        return _A_LEARNED_ONE + _A_CHANNEL * _channels(graph, op)
    return _AN_OPERATOR


def _channels(graph: Graph, op: Op) -> int:
    """Output channels with a multiplier of their own."""
    weights = graph.tensors[op.inputs[1]]
    if op.name == "FULLY_CONNECTED":
        return int(weights.scale.size) if weights.scale.size > 1 else 0
    if not weights.shape:
        return 0
    return weights.shape[-1] if op.name == "DEPTHWISE_CONV_2D" else weights.shape[0]


def _scratch(graph: Graph) -> dict[int, int]:
    return {op.index: size for op in graph.ops if (size := _scratch_bytes(graph, op))}


def _scratch_bytes(graph: Graph, op: Op) -> int:
    """Memory that one kernel needs while it runs, the larger of the reference kernel's and CMSIS-NN's."""
    if not op.outputs or len(op.inputs) < 2 or op.inputs[1] < 0:
        return 0
    output, weights = graph.tensors[op.outputs[0]], graph.tensors[op.inputs[1]]
    wide = 8 if output.dtype == "int16" else 4
    if op.name == "UNIDIRECTIONAL_SEQUENCE_LSTM":
        return 16 * (output.shape[-1] if output.shape else 1)
    if output.dtype not in ("int8", "int16"):
        return 0
    if op.name == "TRANSPOSE_CONV":
        return wide * output.elements
    if op.name == "CONV_2D" and math.prod(weights.shape[1:3]) > 1:
        return 4 * math.prod(weights.shape[1:])
    if op.name == "DEPTHWISE_CONV_2D":
        return 2 * math.prod(weights.shape[1:])
    return wide * weights.shape[0] if op.name == "FULLY_CONNECTED" and weights.shape else 0
