"""Hostile Keras files, made by hand: no Keras is needed to refuse them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.load import foreign
from edge_sdk.errors import ModelError

h5py = pytest.importorskip("h5py", reason="comes with TensorFlow: make host")

CONFIG = {"class_name": "Sequential", "module": "keras", "config": {"layers": []}}


def weights(change: Callable[[Any], None] | None = None) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["layers/dense/vars/0"] = np.ones((4, 3), np.float32)
        if change is not None:
            change(file)
    return buffer.getvalue()


def archive(file: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(file, "w", method) as opened:
        for name, data in members.items():
            opened.writestr(name, data)
    return file


def keras_file(folder: Path, config: Any = CONFIG, **more: bytes) -> Path:
    members = {"config.json": json.dumps(config).encode(), "model.weights.h5": weights(), **more}
    return archive(folder / "m.keras", members)


def refused(file: Path) -> str:
    before = set(file.parent.iterdir())
    with pytest.raises(ModelError) as caught:
        foreign.check_keras(file)
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)
    assert set(file.parent.iterdir()) == before
    return str(caught.value)


def test_a_plain_file_passes_and_says_who_wrote_it(tmp_path: Path) -> None:
    assert foreign.check_keras(keras_file(tmp_path)) == ""
    version = json.dumps({"keras_version": "3.15.1"}).encode()
    assert foreign.check_keras(keras_file(tmp_path, **{"metadata.json": version})) == "3.15.1"

    def write(file: Any) -> None:
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(CONFIG), "2.4.0"

    h5 = tmp_path / "m.h5"
    h5.write_bytes(weights(write))
    assert foreign.check_h5(h5) == "2.4.0"


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../../x", "assets/../../x", "C:\\x", "..\\x", "\\\\host\\share", "a/..\\..\\b"]
)
def test_members_that_lead_out_of_the_archive(tmp_path: Path, name: str) -> None:
    assert "leads out of it" in refused(keras_file(tmp_path, **{name: b"x"}))


def test_a_symbolic_link(tmp_path: Path) -> None:
    file = keras_file(tmp_path)
    with zipfile.ZipFile(file, "a") as opened:
        info = zipfile.ZipInfo("assets/link")
        info.external_attr = 0o120777 << 16
        opened.writestr(info, "/etc/passwd")
    assert "is a symbolic link" in refused(file)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice(tmp_path: Path) -> None:
    file = keras_file(tmp_path)
    with zipfile.ZipFile(file, "a") as opened:
        opened.writestr("config.json", "{}")
    assert "is there twice" in refused(file)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "m.keras"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("config.json", json.dumps(CONFIG))
        with opened.open("model.weights.h5", "w") as member:
            for _ in range(300):
                member.write(bytes(1 << 20))
    assert file.stat().st_size < 1 << 20
    assert "unpacks to more than a model of its size could" in refused(file)


def test_a_declared_size_that_is_a_lie(tmp_path: Path) -> None:
    file = keras_file(tmp_path)
    data = bytearray(file.read_bytes())
    size = len(weights()).to_bytes(4, "little")
    at = data.rindex(size)
    data[at : at + 4] = (7).to_bytes(4, "little")
    file.write_bytes(data)
    assert "damaged" in refused(file)


@pytest.mark.parametrize("flag", [0x1])
def test_an_encrypted_member(tmp_path: Path, flag: int) -> None:
    file = keras_file(tmp_path)
    data = bytearray(file.read_bytes())
    at = data.index(b"PK\x01\x02") + 8
    data[at] |= flag
    file.write_bytes(data)
    assert "cannot read 'config.json'" in refused(file)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 and no more", b"\x89HDF\r\n\x1a\n", b"plain text"])
def test_what_is_no_archive(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "m.keras"
    file.write_bytes(data)
    refused(file)


def test_an_archive_of_something_else(tmp_path: Path) -> None:
    assert "without config.json" in refused(archive(tmp_path / "m.keras", {"word/document.xml": b""}))
    text = archive(tmp_path / "m.keras", {"config.json": b"[" * 100_000})
    assert "configuration is damaged" in refused(text)
    assert "found a list" in refused(archive(tmp_path / "m.keras", {"config.json": b"[]"}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.__setitem__("x", h5py.ExternalLink("/etc/hostname", "/")), "refers to something else"),
        (lambda f: f.__setitem__("x", h5py.SoftLink("/layers")), "refers to something else"),
        (
            lambda f: f.create_dataset("x", (16,), "u1", external=[("/etc/hostname", 0, 16)]),
            "refers to something else",
        ),
        (
            lambda f: f.create_virtual_dataset("x", h5py.VirtualLayout((4,), "f4")),
            "refers to something else|unpacks",
        ),
        (
            lambda f: f.create_dataset("x", (1 << 40,), "f4", chunks=(1 << 20,)),
            "unpacks to more than a model of its size could",
        ),
    ],
)
def test_weights_that_are_elsewhere_or_too_many(
    tmp_path: Path, change: Callable[[Any], None], message: str
) -> None:
    file = keras_file(tmp_path, **{"model.weights.h5": weights(change)})
    with pytest.raises(ModelError, match=message):
        foreign.check_keras(file)
    h5 = tmp_path / "m.h5"
    h5.write_bytes(weights(change))
    with pytest.raises(ModelError, match=message):
        foreign.check_h5(h5)


def test_damaged_weights(tmp_path: Path) -> None:
    data = weights()
    for size in (0, 8, len(data) // 2):
        assert "damaged" in refused(keras_file(tmp_path, **{"model.weights.h5": data[:size]}))


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"class_name": "Lambda", "config": {"function": ["4wE=", None, None]}}, "a Lambda layer holds code"),
        ({"class_name": "__lambda__", "config": {"value": "4wE="}}, "a Lambda layer holds code"),
        ({"class_name": "TorchModuleWrapper", "config": {}}, "holds code"),
        ({"class_name": "TFSMLayer", "config": {"filepath": "/tmp/x"}}, "reads another file"),
        ({"class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}}, "reads another file"),
        ({"class_name": "function", "module": "keras.utils", "config": "get_file"}, "refers to keras.utils"),
        ({"class_name": "system", "module": "os"}, "custom layer 'system'"),
        ({"class_name": "function", "module": "my.code", "config": "f"}, "custom layer 'f'"),
        ({"class_name": "function", "module": "builtins", "config": "eval"}, "refers to builtins.eval"),
        ({"class_name": "exec", "module": "builtins"}, "refers to builtins.exec"),
        ({"class_name": "load_model", "module": "keras.src.saving"}, "refers to keras.src.saving"),
        ({"class_name": "TFOpLambda", "config": {"function": "io.write_file"}}, "calls tf.io.write_file"),
        ({"class_name": "TFOpLambda", "config": {}}, "calls tf."),
    ],
)
def test_code_and_other_files_however_deep(tmp_path: Path, part: dict[str, Any], message: str) -> None:
    deep: Any = part
    for level in range(200):
        deep = {"config": deep} if level % 2 else [deep]
    assert message in refused(keras_file(tmp_path, {**CONFIG, "config": {"layers": deep}}))
    file = tmp_path / "m.h5"
    file.write_bytes(weights(lambda f: f.attrs.__setitem__("model_config", json.dumps({"layers": deep}))))
    with pytest.raises(ModelError, match=message):
        foreign.check_h5(file)


def test_functions_that_only_compute_pass(tmp_path: Path) -> None:
    for name in ("math.add", "nn.relu", "__operators__.getitem", "reshape", "clip_by_value"):
        part = {"class_name": "TFOpLambda", "config": {"function": name}}
        foreign.check_keras(keras_file(tmp_path, {**CONFIG, "config": {"layers": [part]}}))


def test_weights_alone(tmp_path: Path) -> None:
    file = tmp_path / "m.h5"
    file.write_bytes(weights())
    with pytest.raises(ModelError, match="no model in it: .*found weights only"):
        foreign.check_h5(file)


@pytest.mark.parametrize("name", ["units", "filters", "output_dim"])
def test_layers_larger_than_their_weights(tmp_path: Path, name: str) -> None:
    layer = {"class_name": "Dense", "config": {name: 1 << 45}}
    message = refused(keras_file(tmp_path, {**CONFIG, "config": {"layers": [layer]}}))
    assert f"{name} of a Dense layer are more than the weights" in message
