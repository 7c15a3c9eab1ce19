"""What is refused, in one line, with nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from converters import convert
from converters.report import DropError
from edge_sdk.errors import (
    ChildTimeoutError,
    ConfigError,
    DatasetError,
    DeviceError,
    MissingExtraError,
    ModelError,
    UnknownNameError,
)
from tests.integration.converters.convert.trained import Trained, edgeml

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("kept_workers")]


def test_a_drop_writes_nothing_and_leaves_the_old_file(trained: Trained, tmp_path: Path) -> None:
    output = tmp_path / "m.tflite"
    output.write_bytes(b"the model from last week")
    with pytest.raises(DropError, match=r"expected a drop of at most 1 points, found .* points") as caught:
        convert(trained.folded, output)
    assert caught.value.exit_code == 1
    assert not caught.value.report.passed
    assert caught.value.report.verdict.drop is not None
    assert caught.value.report.verdict.drop > 0.3
    assert output.read_bytes() == b"the model from last week"
    assert [path.name for path in tmp_path.iterdir()] == ["m.tflite"]


def test_the_command_prints_figures_and_fails_with_one_object(trained: Trained, tmp_path: Path) -> None:
    done = edgeml("convert", trained.folded, "-o", tmp_path / "m.tflite", "--max-drop", "0.5pt", "--json")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert found["passed"] is False
    assert found["output"] is None
    assert found["accuracy"] < found["accuracy_original"] - 0.3
    assert found["max_drop"] == pytest.approx(0.005)
    assert found["error"]
    assert "not good enough" in done.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("m.keras", b"garbage", "not a .keras file"),
        ("m.keras", b"", "not a .keras file"),
        ("m.h5", b"\x89HDF\r\n", "damaged"),
        ("m.tflite", b"\x1c\0\0\0TFL3", "not a TFLite model|damaged"),
        ("m.onnx", b"garbage", "damaged|is not installed"),
        ("m.pt", b"PK", "may hold a pickle"),
        ("m.xyz", b"garbage!", "unknown kind of model"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, name: str, content: bytes, complaint: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises((ModelError, MissingExtraError), match=complaint) as raised:
        convert(tmp_path / name, tmp_path / "out.tflite", recipe="float32")
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_wrong_requests_are_refused_before_anything_is_converted(trained: Trained, tmp_path: Path) -> None:
    output = tmp_path / "m.tflite"
    with pytest.raises(ModelError, match="no such file"):
        convert(tmp_path / "none.keras", output)
    with pytest.raises(UnknownNameError, match="did you mean 'int8'"):
        convert(trained.file, output, recipe="int88")
    with pytest.raises(ConfigError, match=r"give one with --data"):
        convert(trained.foreign, output)
    with pytest.raises(DeviceError, match="cannot write"):
        convert(trained.file, tmp_path / "none" / "m.tflite")
    with pytest.raises(DeviceError, match="cannot write"):
        convert(trained.file, Path("/proc/m.tflite"))
    with pytest.raises(ConfigError, match=r"a name ending in \.tflite"):
        convert(trained.file, tmp_path / "m.bin")
    (tmp_path / "folder.tflite").mkdir()
    with pytest.raises(DeviceError, match="a folder of that name"):
        convert(trained.file, tmp_path / "folder.tflite")
    with pytest.raises(DatasetError, match="no such folder"):
        convert(trained.file, output, data=tmp_path / "nowhere")
    assert not output.exists()


def test_a_truncated_model_is_refused(trained: Trained, tmp_path: Path) -> None:
    cut = tmp_path / "cut.keras"
    data = trained.file.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError, match="truncated or damaged"):
        convert(cut, tmp_path / "m.tflite")


def test_a_conversion_that_takes_too_long_is_ended(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(ChildTimeoutError, match=r"did not finish.*give more with --timeout"):
        convert(trained.file, tmp_path / "m.tflite", timeout_s=0.2)
    assert not list(tmp_path.iterdir())


def test_without_tensorflow_the_extra_is_named(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"edgeml-kit\[convert\]"):
        convert(trained.file, tmp_path / "m.tflite")
