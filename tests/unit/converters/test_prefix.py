import dataclasses

import pytest

from converters.prefix import check_float_prefix, float_prefix, float_suffix
from edge_sdk.errors import ModelError
from edge_sdk.graph import Graph
from tests.unit.converters.graphs import Builder


def names(graph: Graph, preprocessing: tuple[str, ...] = ()) -> list[str]:
    return [op.name for op in float_prefix(graph, preprocessing)]


def normalised(dtype: str = "float32") -> Builder:
    """SUB and MUL with constants, then EXPAND_DIMS."""
    b = Builder((1, 20, 3))
    centred = b.op("SUB", [0, b.constant((3,))], (1, 20, 3), dtype)
    scaled = b.op("MUL", [centred, b.constant((3,))], (1, 20, 3), dtype)
    b.op("EXPAND_DIMS", [scaled, b.constant((1,), "int32")], (1, 1, 20, 3), dtype)
    return b


def test_normalisation_stays_float_and_the_move_before_the_convolution_does_not() -> None:
    b = normalised()
    end = b.op("CONV_2D", [len(b.tensors) - 1, b.constant((8, 1, 3, 3))], (1, 1, 18, 8))
    assert names(b.graph(end)) == ["SUB", "MUL"]


def test_without_preprocessing_nothing_stays_float() -> None:
    b = Builder((1, 20, 3))
    moved = b.op("RESHAPE", [0], (1, 60))
    end = b.op("FULLY_CONNECTED", [moved, b.constant((4, 60))], (1, 4))
    assert names(b.graph(end)) == []


def test_a_move_that_is_computed_with_stays_float() -> None:
    b = Builder((1, 20, 3))
    part = b.op("STRIDED_SLICE", [0], (1, 20, 1))
    scaled = b.op("MUL", [part, b.constant((1,))], (1, 20, 1))
    end = b.op("FULLY_CONNECTED", [scaled, b.constant((4, 20))], (1, 4))
    assert names(b.graph(end)) == ["STRIDED_SLICE", "MUL"]


def test_what_lies_behind_a_learned_layer_is_not_preprocessing_even_beside_the_input() -> None:
    b = Builder((1, 8))
    scaled = b.op("MUL", [0, b.constant((8,))], (1, 8))
    dense = b.op("FULLY_CONNECTED", [scaled, b.constant((8, 8))], (1, 8))
    end = b.op("ADD", [dense, scaled], (1, 8))
    assert names(b.graph(end)) == ["MUL"]


def test_a_spectrogram_made_by_convolution_is_preprocessing_by_its_layer_name() -> None:
    b = Builder((1, 100, 1))
    spectrum = b.op(
        "CONV_2D", [0, b.constant((8, 1, 16, 1))], (1, 10, 8), title="net/stft_1/conv;net/stft_1/Reshape"
    )
    log = b.op("LOG", [spectrum], (1, 10, 8))
    end = b.op("FULLY_CONNECTED", [log, b.constant((4, 80))], (1, 4), title="net/dense_1/MatMul")
    assert names(b.graph(end)) == []
    assert names(b.graph(end), ("stft",)) == ["CONV_2D", "LOG"]
    assert names(b.graph(end), ("stf",)) == []


def test_a_model_without_learned_layers_cannot_be_quantized() -> None:
    b = Builder((1, 8))
    with pytest.raises(ModelError, match=r"nothing in this model.*found MUL"):
        float_prefix(b.graph(b.op("MUL", [0, b.constant((8,))], (1, 8))))


def quantized(*, early: bool = False, learned: str = "int8") -> Graph:
    b = Builder((1, 20, 3))
    if early:
        start = b.op("QUANTIZE", [0], (1, 20, 3), "int8")
        last = b.op("SUB", [start, b.constant((3,), "int8")], (1, 20, 3), "int8")
    else:
        last = b.op("SUB", [0, b.constant((3,))], (1, 20, 3))
        if learned == "int8":
            last = b.op("QUANTIZE", [last], (1, 20, 3), "int8")
    last = b.op("RESHAPE", [last], (1, 60), learned)
    return b.graph(b.op("FULLY_CONNECTED", [last, b.constant((4, 60), "int8")], (1, 4), learned))


def test_float_preprocessing_then_quantize_passes() -> None:
    check_float_prefix(quantized())


def test_int8_before_the_normalisation_is_found() -> None:
    with pytest.raises(ModelError, match=r"SUB \(t3\) ahead of the first learned layer lost precision"):
        check_float_prefix(quantized(early=True))


def test_a_learned_layer_that_stayed_float_is_found() -> None:
    with pytest.raises(
        ModelError, match=r"FULLY_CONNECTED .* was not quantized: expected int8, found float32"
    ):
        check_float_prefix(quantized(learned="float32"))


def test_a_detour_through_int8_is_found() -> None:
    b = Builder((1, 8))
    there = b.op("QUANTIZE", [0], (1, 8), "int8")
    back = b.op("DEQUANTIZE", [there], (1, 8))
    scaled = b.op("MUL", [back, b.constant((8,))], (1, 8))
    again = b.op("QUANTIZE", [scaled], (1, 8), "int8")
    end = b.op("FULLY_CONNECTED", [again, b.constant((4, 8), "int8")], (1, 4), "int8")
    with pytest.raises(ModelError, match="found DEQUANTIZE"):
        check_float_prefix(b.graph(end))


def in_units(*, learned_between: bool = False) -> Graph:
    """A dense layer, then SUB and MUL of a layer that gives units; the last is named by the output."""
    b = Builder((1, 8))
    y = b.op("FULLY_CONNECTED", [0, b.constant((2, 8))], (1, 2))
    shift, scale = (b.constant((2,)) for _ in range(2))
    shifted = b.op("SUB", [y, shift], (1, 2))
    scaled = b.op("MUL", [shifted, scale], (1, 2))
    for index, name in ((shift, "m/units_1/Const"), (shifted, "m/units_1/Sub"), (scale, "m/units_1/Const_1")):
        b.tensors[index] = dataclasses.replace(b.tensors[index], name=name)
    end = b.op("FULLY_CONNECTED", [scaled, b.constant((1, 2))], (1, 1)) if learned_between else scaled
    return b.graph(end)


def test_what_gives_numbers_their_units_stays_float_behind_the_last_learned_layer() -> None:
    assert [op.name for op in float_suffix(in_units(), ("units",))] == ["SUB", "MUL"]
    assert float_suffix(in_units(), ()) == []
    assert float_suffix(in_units(learned_between=True), ("units",)) == []


def test_a_score_that_is_read_twice_by_its_layer_stays_float() -> None:
    b = Builder((1, 8))
    distance = b.op("FULLY_CONNECTED", [0, b.constant((1, 8))], (1, 1))
    more = b.op("ADD", [distance, b.constant((1,))], (1, 1))
    b.tensors[more] = dataclasses.replace(b.tensors[more], name="m/score/Add")
    end = b.op("DIV", [distance, more], (1, 1))
    assert [op.name for op in float_suffix(b.graph(end), ("score",))] == ["ADD", "DIV"]
