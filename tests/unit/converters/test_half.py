import numpy as np
import pytest

from converters import half, rewrite
from edge_sdk.errors import ModelError
from edge_sdk.graph import read_graph
from edge_sdk.runtimes.litert import Runtime
from tests.models import Linear, flatbuffer


def test_weights_become_float16_and_outputs_stay_close(linear: Linear) -> None:
    narrow = half.narrow(flatbuffer())
    graph = read_graph(narrow)
    weights = next(t for t in graph.tensors if t.name == "weights")
    assert weights.dtype == "float16"
    assert weights.data is not None
    assert np.array_equal(weights.data, linear.weights.astype(np.float16))
    assert [op.name for op in graph.ops] == ["DEQUANTIZE", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"]
    runtime = Runtime(narrow, 1)
    window = np.random.default_rng(2).normal(size=(8, 3)).astype(np.float32)
    assert runtime.invoke([window[None]])[0][0] == pytest.approx(linear.expected(window), abs=1e-3)


def test_the_old_constants_are_gone_and_the_file_is_smaller() -> None:
    large = Linear(window=400)
    whole = flatbuffer(large)
    assert len(half.narrow(whole)) < len(whole) - large.weights.nbytes / 2 + 1000


def test_what_float16_cannot_hold_stays_float32() -> None:
    model = rewrite.unpack(flatbuffer())
    weights = model.buffers[1].data.view(np.float32).copy()
    weights[0] = 1e6
    model.buffers[1].data = weights.view(np.uint8)
    graph = read_graph(half.narrow(rewrite.repack(model)))
    assert next(t for t in graph.tensors if t.name == "weights").dtype == "float32"


def test_a_model_that_learned_nothing_is_refused() -> None:
    model = rewrite.unpack(flatbuffer())
    main = model.subgraphs[0]
    main.operators = [op for op in main.operators if op.opcodeIndex != 1]
    main.operators[-1].inputs = main.operators[0].outputs
    with pytest.raises(ModelError, match="nothing in this model can be quantized"):
        half.narrow(rewrite.repack(model))


def test_rewriting_changes_nothing_but_the_layout(linear: Linear) -> None:
    once = rewrite.repack(rewrite.unpack(flatbuffer()))
    assert rewrite.repack(rewrite.unpack(once)) == once
    before, after = read_graph(flatbuffer()), read_graph(once)
    assert [t.name for t in after.tensors] == [t.name for t in before.tensors]
    assert after.ops == before.ops
    assert after.signatures == before.signatures
    weights = next(t.data for t in after.tensors if t.name == "weights")
    assert weights is not None
    assert np.array_equal(weights, linear.weights)
