import os
from pathlib import Path

import pytest

from converters import load
from converters.load import Loaded, Port
from edge_sdk.errors import ModelError


@pytest.mark.parametrize(
    ("name", "loader"),
    [
        ("m.keras", load.KERAS),
        ("m.KERAS", load.KERAS),
        ("m.h5", load.KERAS),
        ("m.hdf5", load.KERAS),
        ("m.tflite", load.TFLITE),
        ("m.onnx", load.ONNX),
        ("m.pt2", load.TORCH),
    ],
)
def test_a_file_is_known_by_its_suffix(tmp_path: Path, name: str, loader: load.Loader) -> None:
    file = tmp_path / name
    file.write_bytes(b"x")
    assert load.find(str(file)) is loader


def test_a_saved_model_is_a_folder_with_its_graph(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is a folder: .*no saved_model\.pb in it"):
        load.find(str(tmp_path))
    (tmp_path / "saved_model.pb").write_bytes(b"")
    assert load.find(str(tmp_path)) is load.SAVED_MODEL


def test_a_function_is_named_with_its_module() -> None:
    assert load.find("package.models:gesture") is load.TORCH
    for name in ("package.models", "package.models:", ":gesture", "a b:c", "../x:y", "m.keras"):
        with pytest.raises(ModelError, match="no such file"):
            load.find(name)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pkl", ".ckpt", ".bin"])
def test_a_pickle_is_refused_unread(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"m{suffix}"
    file.write_bytes(b"\x80\x04")
    with pytest.raises(ModelError, match=r"may hold a pickle.*torch\.export\.save"):
        load.find(str(file))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"PK\x03\x04", "a zip archive"),
        (b"\x89HDF\r\n", "an HDF5 file"),
        (b"", "an empty file"),
        (b"hi", "text"),
    ],
)
def test_an_unknown_kind_says_what_it_looks_like(tmp_path: Path, data: bytes, found: str) -> None:
    file = tmp_path / "model.dat"
    file.write_bytes(data)
    with pytest.raises(ModelError, match=f"unknown kind of model: .*found {found}"):
        load.find(str(file))


def test_every_loader_has_its_functions_in_a_module_of_its_own() -> None:
    root = Path(load.__file__).parent
    for loader in load.LOADERS.values():
        text = (root / f"{loader.module.rpartition('.')[2]}.py").read_text(encoding="utf-8")
        assert "\ndef load(" in text
        assert "\ndef score(" in text


def test_facts_survive_the_way_through_a_child() -> None:
    loaded = Loaded(
        inputs=(Port(name="x", permute=(0, 2, 1)),),
        outputs=(Port(name="y", dtype="int64"), Port(name="z")),
        versions={"keras": "3"},
        batch=1,
        preprocessing=("norm",),
        notes=("a note",),
    )
    assert Loaded.from_dict(loaded.as_dict()) == loaded


def test_what_no_device_could_hold_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "sparse.tflite"
    file.touch()
    os.truncate(file, (2 << 30) + 1)
    with pytest.raises(ModelError, match=r"too large: expected at most 2,147,483,648 bytes"):
        load.find(str(file))
    folder = tmp_path / "saved"
    (folder / "assets").mkdir(parents=True)
    (folder / "saved_model.pb").touch()
    assert load.find(str(folder)) is load.SAVED_MODEL
    (folder / "assets" / "link").symlink_to(file)
    with pytest.raises(ModelError, match="too large"):
        load.find(str(folder))


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    for name in ("x" * 5000 + ".h5", str(tmp_path / "loop.h5"), "a\0.h5"):
        (tmp_path / "loop.h5").is_symlink() or (tmp_path / "loop.h5").symlink_to("loop.h5")
        with pytest.raises(ModelError, match="cannot be read") as raised:
            load.find(name)
        assert len(str(raised.value)) < 1500
