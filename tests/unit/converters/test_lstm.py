from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters import lstm, rewrite
from edge_sdk.graph import read_graph
from tests.models import flatbuffer


def fused(cell: tuple[float, float] = (-0.3, 0.4), intermediates: int = 5) -> bytes:
    """One fused LSTM whose tensors have ranges and scales, as far as `converters.lstm` looks at them."""
    model = schema.ModelT()
    model.version, model.buffers = 3, [schema.BufferT()]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM
    model.operatorCodes = [code]
    graph = schema.SubGraphT()
    graph.tensors = [tensor(f"t{i}", 0.01 * (i + 1), i) for i in range(26)]
    found = graph.tensors[19].quantization
    found.min, found.max = np.array([cell[0]], np.float32), np.array([cell[1]], np.float32)
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = list(range(20)), [20]
    operator.intermediates = list(range(21, 21 + intermediates))
    graph.operators, graph.inputs, graph.outputs = [operator], [0], [20]
    model.subgraphs = [graph]
    return rewrite.repack(model)


def tensor(name: str, scale: float, zero_point: int) -> Any:
    made = schema.TensorT()
    made.name, made.shape, made.type = name.encode(), [1, 4], schema.TensorType.INT8
    made.quantization = schema.QuantizationParametersT()
    made.quantization.scale = np.array([scale], np.float32)
    made.quantization.zeroPoint = np.array([zero_point], np.int64)
    return made


def quantization(data: bytes, index: int) -> Any:
    return rewrite.unpack(data).subgraphs[0].tensors[index].quantization


def test_a_fused_lstm_is_known() -> None:
    assert lstm.is_fused(read_graph(fused()))
    assert not lstm.is_fused(read_graph(flatbuffer()))


def test_a_cell_reaches_one_at_least() -> None:
    found = quantization(lstm.widen_cells(fused()), 19)
    assert (found.min[0], found.max[0]) == (-1.0, 1.0)
    found = quantization(lstm.widen_cells(fused(cell=(-3.0, 0.5))), 19)
    assert (found.min[0], found.max[0]) == (-3.0, 1.0)


def test_the_state_has_the_scale_of_the_output() -> None:
    aligned = lstm.align_states(fused())
    output = quantization(aligned, 20)
    for index in (18, 25):
        assert quantization(aligned, index).scale == output.scale
        assert quantization(aligned, index).zeroPoint == output.zeroPoint
    assert quantization(aligned, 17).zeroPoint[0] == 17


def test_a_float_lstm_and_other_models_stay_as_they_are() -> None:
    plain = fused(intermediates=0)
    assert quantization(lstm.align_states(plain), 18).zeroPoint[0] == 18
    assert rewrite.repack(rewrite.unpack(flatbuffer())) == lstm.align_states(flatbuffer())
