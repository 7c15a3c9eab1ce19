"""What the fused LSTM needs on its way to int8: three gaps between TensorFlow's tools and TFLite's kernels.

The operator UNIDIRECTIONAL_SEQUENCE_LSTM is 16 times smaller than an unrolled layer, and keeps its state in
two variable tensors. Integer kernels compute with five intermediate tensors that the converter does not
write, and trust scales that the quantizer does not guarantee.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters import rewrite
from edge_sdk.graph import Graph

FUSED = "UNIDIRECTIONAL_SEQUENCE_LSTM"
#: Inputs of the operator: its last output, and its cell; of its intermediates, its output before projection.
_STATE, _CELL, _HIDDEN = 18, 19, 4


def is_fused(graph: Graph) -> bool:
    """Whether the model has a fused LSTM, whose state must be reset before each window."""
    return any(op.name == FUSED for op in graph.ops)


def with_intermediates(flatbuffer: bytes) -> bytes:
    """A float model as the calibrator wants it; runs in TensorFlow's process.

    Without them the calibrator fails: "node->intermediates->size != 5".
    """
    from converters.tensorflow import load_tensorflow

    load_tensorflow()
    from tensorflow.lite.python.optimize.calibrator import add_intermediate_tensors

    return bytes(add_intermediate_tensors(flatbuffer))


def widen_cells(calibrated: bytes) -> bytes:
    """A calibrated model whose cells are taken to reach 1 at least.

    The quantizer gives a cell that stays below 0.5 a scale of 2**-16, for which LiteRT's integer kernel has
    no hyperbolic tangent: it leaves it out and says nothing (measured: 45 dB become 14 dB; TFLM is right).
    """
    model = rewrite.unpack(calibrated)
    for tensors, op in _fused(model):
        found = tensors[op.inputs[_CELL]].quantization
        if found is not None and found.min is not None and len(found.min):
            found.min = np.minimum(found.min, np.float32(-1))
            found.max = np.maximum(found.max, np.float32(1))
    return rewrite.repack(model)


def align_states(quantized: bytes) -> bytes:
    """A quantized model whose LSTMs remember in the scale that they write.

    The kernel copies its output to its state as it is, so both must have one scale; the quantizer forgets the
    state where a concatenation behind the layer changes the output's (measured: 38 dB become 12 dB).
    """
    model = rewrite.unpack(quantized)
    for tensors, op in _fused(model):
        written = tensors[op.outputs[0]]
        remembered = [tensors[op.inputs[_STATE]], tensors[op.intermediates[_HIDDEN]]]
        for tensor in remembered:
            if written.type == tensor.type and written.quantization is not None:
                tensor.quantization.scale = written.quantization.scale
                tensor.quantization.zeroPoint = written.quantization.zeroPoint
    return rewrite.repack(model)


def _fused(model: Any) -> Iterator[tuple[Any, Any]]:
    """The tensors and each fused LSTM that has its five intermediates."""
    graph = model.subgraphs[0]
    for op in graph.operators:
        fused = rewrite.code_of(model, op) == schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM
        if fused and op.intermediates is not None and len(op.intermediates) > _HIDDEN:
            yield graph.tensors, op
