"""A real model as C."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from converters import convert
from edge_sdk import modelfile
from edge_sdk.errors import (
    ModelError,
)
from tests.integration.converters.convert.trained import Trained

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("kept_workers")]


def test_a_contract_whose_name_is_a_path_leads_nowhere(trained: Trained, tmp_path: Path) -> None:
    model, inside = tmp_path / "m.keras", tmp_path / "inside"
    shutil.copy(trained.file, model)
    contract = json.loads(modelfile.read_members(model)[modelfile.CONTRACT])
    inside.mkdir()
    for name in ("../../escaped", str(tmp_path / "escaped")):
        contract["name"] = name
        modelfile.add_members(model, {modelfile.CONTRACT: json.dumps(contract).encode()})
        found = convert(model, inside / "out", to="c-array", report=False)
        assert {path.suffix for path in found.output.iterdir()} == {".c", ".h", ".tflite"}
        shutil.rmtree(found.output)
    assert not list(tmp_path.rglob("*escaped*"))


def test_a_c_array_is_the_verified_model(trained: Trained, tmp_path: Path) -> None:
    found = convert(trained.file, tmp_path / "out", to="c-array")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"mixed.h", "mixed.c", "mixed.tflite", "report.html"} <= names
    text = (tmp_path / "out" / "mixed.c").read_text()
    numbers = bytes(int(byte, 16) for byte in re.findall(r"0x([0-9a-f]{2})\b", text))
    assert numbers == found.flatbuffer
    assert found.digest in text


def test_a_c_library_is_the_verified_model(trained: Trained, tmp_path: Path) -> None:
    found = convert(trained.file, tmp_path / "out", to="c")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"src", "CMakeLists.txt", "library.properties", "mixed.tflite", "report.html"} <= names
    assert found.digest in (tmp_path / "out" / "src" / "model.c").read_text()


def test_a_c_library_of_a_float_model_is_refused_and_nothing_is_written(
    trained: Trained, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="this model cannot become a C library"):
        convert(trained.file, tmp_path / "out", to="c", recipe="float32")
    assert list(tmp_path.iterdir()) == []
