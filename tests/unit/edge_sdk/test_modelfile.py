"""The zip tail carries the contract and harms nobody."""

import subprocess
import sys
import zipfile

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from edge_sdk import DeviceError, ModelError, modelfile
from edge_sdk.modelfile import Golden
from tests.models import Linear, flatbuffer, packed


def test_what_was_packed_is_split_again():
    raw = flatbuffer()
    whole = modelfile.pack(raw, {"labels.txt": b"a\nb\n", "edgeml/contract.json": b"{}"})
    parts = modelfile.split(whole)
    assert parts.flatbuffer == raw
    assert dict(parts.members) == {"labels.txt": b"a\nb\n", "edgeml/contract.json": b"{}"}
    assert parts.digest == modelfile.digest_of(raw)


def test_the_same_members_give_the_same_bytes():
    assert modelfile.pack(b"x" * 64, {"b": b"1", "a": b"2"}) == modelfile.pack(
        b"x" * 64, {"a": b"2", "b": b"1"}
    )


def test_a_file_without_a_tail_has_no_members():
    parts = modelfile.split(flatbuffer())
    assert len(parts.members) == 0
    assert parts.flatbuffer == flatbuffer()


def test_the_runtime_ignores_the_tail(linear):
    window = np.random.default_rng(0).normal(size=(1, 8, 3)).astype(np.float32)
    outputs = []
    for data in (flatbuffer(linear), packed(linear)):
        interpreter = Interpreter(model_content=data)
        interpreter.allocate_tensors()
        interpreter.set_tensor(0, window)
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    np.testing.assert_array_equal(*outputs)


def test_zip_tools_read_the_tail(linear_file):
    with zipfile.ZipFile(linear_file) as archive:
        assert archive.read("labels.txt") == b"x\ny\nz\n"
        assert archive.testzip() is None
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", linear_file], capture_output=True, text=True, check=True
    ).stdout
    assert "edgeml/contract.json" in listed


def test_a_cut_tail_is_an_error_not_a_model_without_contract():
    whole = packed(Linear())
    with pytest.raises(ModelError, match="contract behind the model is damaged"):
        modelfile.split(whole[:-30])


def test_a_damaged_member_is_named():
    whole = bytearray(packed(Linear()))
    start = whole.index(b"edgeml/golden.npz") + 60
    whole[start : start + 20] = bytes(20)
    with pytest.raises(ModelError, match="golden"):
        modelfile.split(bytes(whole)).members["edgeml/golden.npz"]


def test_a_member_that_unpacks_to_a_flood_is_refused(monkeypatch):
    whole = modelfile.pack(b"x" * 64, {"edgeml/contract.json": bytes(5000)})
    monkeypatch.setattr(modelfile, "MEMBER_LIMIT", 1000)
    with pytest.raises(ModelError, match="too large"):
        modelfile.split(whole).members["edgeml/contract.json"]


def test_golden_vectors_survive_their_bytes():
    golden = Golden(
        (np.ones((2, 3), np.float32),), (np.zeros((2, 1), np.float32), np.zeros((2, 4), np.int8)), (0.25, 1.0)
    )
    again = Golden.from_bytes(golden.to_bytes())
    np.testing.assert_array_equal(again.inputs[0], golden.inputs[0])
    assert [array.dtype for array in again.outputs] == [np.float32, np.int8]
    assert again.tolerances == (0.25, 1.0)
    assert golden.to_bytes() == again.to_bytes()


@pytest.mark.parametrize("data", [b"", b"PK", b"\x80\x04pickle", np.arange(3).tobytes()])
def test_golden_garbage_is_refused(data):
    with pytest.raises(ModelError, match="golden"):
        Golden.from_bytes(data)


def test_members_are_added_to_a_zip_and_replaced(tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    modelfile.add_members(path, {"labels.txt": b"a\n"})
    modelfile.add_members(path, {"labels.txt": b"b\n", "edgeml/run.json": b"{}"})
    assert modelfile.read_members(path) == {"labels.txt": b"b\n", "edgeml/run.json": b"{}"}
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == ["config.json", "edgeml/run.json", "labels.txt"]


def test_what_is_not_a_zip_is_not_a_keras_file(tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(ModelError, match="HDF5"):
        modelfile.read_members(path)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    target = tmp_path / "folder"
    target.mkdir()
    with pytest.raises(DeviceError, match="cannot write"):
        modelfile.write_atomic(target, b"data")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
    with pytest.raises(DeviceError):
        modelfile.write_atomic(tmp_path / "missing" / "file", b"data")
