"""The reader sees what is in the file, and damaged files raise ModelError and nothing else."""

import random

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from edge_sdk import ModelError
from edge_sdk.graph import Tensor, read_graph
from tests.models import Linear, amplified, flatbuffer


def test_ops_tensors_and_signatures_are_read():
    graph = read_graph(flatbuffer())
    assert [op.name for op in graph.ops] == ["RESHAPE", "FULLY_CONNECTED", "SOFTMAX"]
    window = graph.tensors[graph.inputs[0]]
    assert (window.name, window.dtype, window.shape, window.shape_signature) == (
        "window",
        "float32",
        (1, 8, 3),
        (-1, 8, 3),
    )
    assert graph.signatures["serving_default"].outputs == {"scores": graph.outputs[0]}
    assert graph.ops[1].inputs[2] == -1


def test_constants_are_the_weights():
    spec = Linear()
    graph = read_graph(flatbuffer(spec))
    np.testing.assert_array_equal(graph.tensors[1].data, spec.weights)
    assert graph.tensors[0].data is None


def test_custom_operators_are_named():
    assert read_graph(flatbuffer(Linear(custom_op="FlexErf"))).custom_ops == ["FlexErf"]


@pytest.mark.parametrize("name", ["kws_dscnn_int8", "ad01_autoencoder_int8", "sine_int8"])
def test_public_models_read_as_litert_reads_them(public_data, name):
    data = (public_data / "models" / f"{name}.tflite").read_bytes()
    graph = read_graph(data)
    interpreter = Interpreter(model_content=data)
    for detail in interpreter.get_tensor_details()[: len(graph.tensors)]:
        tensor = graph.tensors[detail["index"]]
        assert tensor.name == detail["name"]
        assert tensor.dtype == detail["dtype"].__name__
        assert list(tensor.shape) == detail["shape"].tolist()
        if tensor.scale.size == 1:
            assert tensor.scale[0] == np.float32(detail["quantization"][0])
            assert tensor.zero_point[0] == detail["quantization"][1]


def test_a_short_or_foreign_file_is_named_for_what_it_is():
    for data, kind in [(b"", "empty"), (b"PK\x03\x04aaaaaaaa", "zip"), (b"\x08\x07\x12\x07pytorch", "ONNX")]:
        with pytest.raises(ModelError, match=kind):
            read_graph(data)


def test_mutated_files_raise_model_error_or_read():
    good = flatbuffer()
    chance = random.Random(11)
    refused = 0
    for _ in range(1500):
        data = bytearray(good)
        for _ in range(chance.randint(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            read_graph(bytes(data[: chance.choice([len(data), chance.randrange(len(data))])]))
        except ModelError:
            refused += 1
    assert refused > 500


def test_a_size_past_64_bits_is_told_as_it_is():
    empty = np.empty(0)
    tensor = Tensor(0, "x", (1 << 16,) * 4, (1 << 16,) * 4, "float32", empty, empty, 0, None, constant=False)
    assert tensor.elements == 1 << 64
    assert tensor.bytes == 1 << 66


def test_one_name_in_sixty_thousand_places_does_not_fill_the_memory():
    with pytest.raises(ModelError, match="one part of it in many places"):
        read_graph(amplified(1 << 20, 60_000))
    with pytest.raises(ModelError, match="at most 65,536 parts, found 70,000"):
        read_graph(amplified(10, 70_000))
