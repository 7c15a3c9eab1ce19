from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters import boards, costs
from edge_sdk.errors import ModelError
from edge_sdk.graph import Graph, Op
from tests.models import flatbuffer
from tests.spectrograms import Spectrogram
from tests.unit.converters.graphs import Builder


def convolution(dtype: str = "int8", weights: str = "int8") -> tuple[Builder, int]:
    b = Builder((1, 8, 8, 4), dtype)
    return b, b.op("CONV_2D", [0, b.constant((16, 3, 3, 4), weights)], (1, 8, 8, 16), dtype)


def test_a_layer_has_its_share() -> None:
    b, last = convolution()
    end = b.op("MEAN", [last, b.constant((2,), "int32")], (1, 16), "int8", "mean")
    first, second = costs.layers_of(b.graph(end))
    assert (first.op, first.shape, first.dtype) == ("CONV_2D", (1, 8, 8, 16), "int8")
    assert (first.macs, first.parameters, first.weight_bytes) == (64 * 16 * 36, 576, 576)
    assert first.alive_bytes == 256 + 1024
    assert (second.op, second.name, second.macs, second.weight_bytes) == ("MEAN", "mean", 0, 0)
    assert second.alive_bytes == 1024 + 16


def test_the_cost_of_a_flatbuffer_and_of_its_graph_is_the_same() -> None:
    from edge_sdk.graph import read_graph

    whole = costs.cost_of(flatbuffer())
    assert whole == costs.cost_of(read_graph(flatbuffer()), len(flatbuffer()))
    assert whole.flash_bytes == len(flatbuffer())
    assert whole.ops == {"RESHAPE", "FULLY_CONNECTED", "SOFTMAX"}
    assert whole.weights == whole.activations == {"float32"}
    assert whole.arena_bytes < whole.tflm_bytes
    assert whole.unknown == ()


def test_the_peak_is_named() -> None:
    b, last = convolution()
    assert costs.cost_of(b.graph(last)).peak == "operator 0 CONV_2D [1, 8, 8, 16]"


@pytest.mark.parametrize(
    ("dtype", "weights", "traits"),
    [("int8", "int8", set()), ("float32", "float32", set()), ("float32", "int8", {"hybrid"})],
)
def test_int8_weights_under_float_activations_are_a_trait(dtype: str, weights: str, traits: set[str]) -> None:
    b, last = convolution(dtype, weights)
    assert costs.cost_of(b.graph(last)).traits == traits


def test_weights_behind_a_dequantize_are_widened_not_hybrid() -> None:
    b = Builder((1, 16))
    wide = b.op("DEQUANTIZE", [b.constant((4, 16), "int8")], (4, 16))
    found = costs.cost_of(b.graph(b.op("FULLY_CONNECTED", [0, wide], (1, 4))))
    assert found.traits == {"widened"}
    assert found.weights == {"int8"}


def test_a_mixed_model_is_not_hybrid() -> None:
    """One int8 layer beside one float layer is no layer with int8 weights and float activations."""
    b, last = convolution()
    wide = b.op("DEQUANTIZE", [last], (1, 8, 8, 16))
    end = b.op("CONV_2D", [wide, b.constant((2, 1, 1, 16))], (1, 8, 8, 2))
    found = costs.cost_of(b.graph(end))
    assert found.activations == {"int8", "float32"}
    assert found.traits == frozenset()


def test_axes_that_are_known_at_run_time_only_are_named() -> None:
    b, last = convolution()
    b.tensors[last] = replace(b.tensors[last], shape_signature=(-1, -1, 8, 16))
    assert costs.cost_of(b.graph(last)).unknown == (f"t{last} [-1, -1, 8, 16]",)


def damaged(*ops: Op) -> Graph:
    b, last = convolution()
    return replace(b.graph(last), ops=list(ops))


@pytest.mark.parametrize(
    "op",
    [
        Op(0, "CONV_2D", None, (0,), (2,)),
        Op(0, "CONV_2D", None, (0, -1), (2,)),
        Op(0, "CONV_2D", None, (0, 1), ()),
        Op(0, "TRANSPOSE_CONV", None, (0, 1, -1), (2,)),
        Op(0, "DEQUANTIZE", None, (), (2,)),
        Op(0, "RESHAPE", None, (-1,), (2,)),
        Op(0, "RELU", None, (0,), (-1,)),
    ],
)
def test_what_no_writer_makes_is_damage(op: Op) -> None:
    with pytest.raises(ModelError, match="damaged"):
        costs.cost_of(damaged(op))


def test_an_absurd_size_is_damage() -> None:
    b, last = convolution()
    b.tensors[0] = replace(b.tensors[0], shape=(2**31 - 1, 2**31 - 1, 2**31 - 1, 2))
    with pytest.raises(ModelError, match="damaged: found tensor 0 of shape"):
        costs.cost_of(b.graph(last))


def test_operators_without_output_are_fine() -> None:
    b, last = convolution()
    b.ops.append(Op(1, "ASSIGN_VARIABLE", None, (0, last), ()))
    b.ops.append(Op(2, "CALL_ONCE", None, (), ()))
    assert len(costs.layers_of(b.graph(last))) == 3
    assert costs.cost_of(b.graph(last)).ops == {"CONV_2D", "ASSIGN_VARIABLE", "CALL_ONCE"}


@given(st.lists(st.integers(1, 64), min_size=1, max_size=6))
def test_the_shares_add_up(widths: list[int]) -> None:
    b, last, size = Builder((1, 8), "int8"), 0, 8
    for width in widths:
        last = b.op("FULLY_CONNECTED", [last, b.constant((width, size), "int8")], (1, width), "int8")
        size = width
    graph = b.graph(last)
    layers = costs.layers_of(graph)
    assert sum(layer.macs for layer in layers) == costs.macs_of(graph) == sum(costs.macs_by_op(graph))
    assert sum(layer.parameters for layer in layers) == costs.parameters_of(graph)


def test_a_spectrogram_is_one_kernel_of_the_c_library() -> None:
    model = Spectrogram().flatbuffer()
    cost = costs.cost_of(model)
    assert "RFFT2D" in cost.ops
    assert cost.fused is not None
    assert cost.fused.ops == {"QUANTIZE", "ADD", "DEQUANTIZE"}
    assert cost.fused.arena_bytes < cost.arena_bytes
    fit = boards.judge(boards.load()["cortex-m4"], cost)
    assert not fit.runs
    assert "RFFT2D" in fit.reasons[0]
    against = " ".join(fit.others["edgeml-c"].reasons)
    assert "RFFT2D" not in against
    assert costs.cost_of(Spectrogram(uneven=True).flatbuffer()).fused is None
