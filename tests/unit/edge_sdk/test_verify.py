"""No file, however damaged, takes the calling process down."""

import random
import shutil

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edge_sdk import Model, ModelError, verify
from edge_sdk.errors import EdgeError
from edge_sdk.modelfile import CONTRACT, GOLDEN, Golden, pack, split
from tests.models import Linear, flatbuffer, packed, write_model


def test_a_good_file_is_verified_once_and_then_trusted(linear_file, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert not verify.verify(linear_file, "litert").cached
    assert verify.verify(linear_file, "litert").cached
    copy = shutil.copy(linear_file, tmp_path / "other-name.tflite")
    assert verify.verify(copy, "litert").cached


def test_a_changed_file_is_not_trusted_for_the_digest_of_its_flatbuffer(linear_file, tmp_path):
    Model.load(linear_file).close()
    changed = tmp_path / "changed.tflite"
    changed.write_bytes(linear_file.read_bytes() + b"#")
    assert verify.verify(changed, "litert").digest == verify.verify(linear_file, "litert").digest
    changed.write_bytes(linear_file.read_bytes() + b"##")
    assert not verify.verify(changed, "litert").cached


def test_a_cache_that_cannot_be_written_only_costs_time(linear_file, tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert not verify.verify(linear_file, "litert").cached
    assert not verify.verify(linear_file, "litert").cached


BAD_FILES = {
    "empty": (b"", "empty file"),
    "tiny": (b"TFL3", "not a TFLite model"),
    "text": (b"<html><body>404 not found</body></html>", "HTML"),
    "onnx": (b"\x08\x07\x12\x07pytorch\x1a\x051.9.0" + bytes(50), "ONNX"),
    "keras": (b"PK\x03\x04" + bytes(100), "zip"),
    "garbage": (random.Random(1).randbytes(4000), "not a TFLite model"),
    "truncated": (flatbuffer()[:700], "damaged|truncated"),
    "flex": (flatbuffer(Linear(custom_op="FlexErf")), "TensorFlow's own operators"),
    "custom": (flatbuffer(Linear(custom_op="MyOp")), "custom operators.*MyOp"),
    "crasher": (flatbuffer(Linear(custom_op="Mfcc")), "crashes the runtime|refuses the model"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_is_a_one_line_error(tmp_path, kind):
    data, message = BAD_FILES[kind]
    path = tmp_path / "bad.tflite"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=message) as raised:
        Model.load(path)
    assert "\n" not in str(raised.value)
    assert "bad.tflite" in str(raised.value)


def test_a_missing_file_or_a_folder_is_a_one_line_error(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        Model.load(tmp_path / "none.tflite")
    with pytest.raises(ModelError, match="is a folder"):
        Model.load(tmp_path)


def test_a_contract_of_another_model_is_refused(tmp_path):
    path = write_model(tmp_path / "wrong.tflite", digest="sha256:0000")
    with pytest.raises(ModelError, match="not the model its contract was made for"):
        Model.load(path)


def test_wrong_golden_outputs_are_refused(tmp_path):
    parts = split(packed())
    golden = Golden.from_bytes(parts.members[GOLDEN])
    wrong = Golden(golden.inputs, (golden.outputs[0][::-1],), golden.tolerances)
    path = tmp_path / "wrong.tflite"
    path.write_bytes(pack(parts.flatbuffer, {**parts.members, GOLDEN: wrong.to_bytes()}))
    with pytest.raises(ModelError, match="golden outputs"):
        Model.load(path)
    nan = Golden(golden.inputs, (np.full_like(golden.outputs[0], np.nan),), golden.tolerances)
    path.write_bytes(pack(parts.flatbuffer, {**parts.members, GOLDEN: nan.to_bytes()}))
    with pytest.raises(ModelError, match="golden outputs"):
        Model.load(path)


def test_a_malformed_contract_is_refused(tmp_path):
    path = tmp_path / "wrong.tflite"
    path.write_bytes(pack(flatbuffer(), {CONTRACT: b'{"name": 3}'}))
    with pytest.raises(EdgeError, match="name"):
        Model.load(path)


def reverse(graph):
    graph.operators.reverse()


def write_twice(graph):
    graph.operators.append(graph.operators[-1])


def write_a_constant(graph):
    graph.operators[0].outputs = [1]


def leave_the_output(graph):
    graph.operators.pop()


def take_one_input_twice(graph):
    graph.inputs = [0, 0]


def give_a_thousand_outputs(graph):
    graph.outputs = [5] * 1001


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (reverse, "SOFTMAX reads before anything writes it: 'logits'"),
        (write_twice, "SOFTMAX writes what has its value: 'scores'"),
        (write_a_constant, "RESHAPE writes what has its value: 'weights'"),
        (leave_the_output, "nothing writes the output 'scores'"),
        (take_one_input_twice, "one tensor as two inputs"),
        (give_a_thousand_outputs, "at most 1,000 each, found 1 and 1,001"),
    ],
)
def test_a_graph_that_reads_what_lies_in_the_memory_is_refused(change, says):
    model = schema.ModelT.InitFromPackedBuf(flatbuffer(), 0)
    change(model.subgraphs[0])
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    with pytest.raises(ModelError, match=says):
        verify.check_file(split(bytes(builder.Output())), "m.tflite")
