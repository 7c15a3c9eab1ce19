"""What a conversion is calibrated and judged with: a model's own data, given data, or none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from converters import convert
from converters.inspect import inspect
from converters.report import Report
from edge_sdk import modelfile
from edge_sdk.child import Worker
from edge_sdk.errors import (
    DatasetError,
    ModelError,
)
from edge_sdk.model import Model
from tests import mixed_units
from tests.integration.converters.convert.trained import TIMEOUT_S, Trained, edgeml, ops

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("kept_workers")]


def test_a_foreign_model_is_compared_on_random_inputs(trained: Trained, tmp_path: Path) -> None:
    done = edgeml(
        "convert",
        trained.foreign,
        "-o",
        tmp_path / "m.tflite",
        "--recipe",
        "float32",
        "--no-report",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    keys = {"recipe", "bytes", "accuracy_original", "accuracy", "agreement", "sqnr_db", "passed", "output"}
    assert keys <= set(found)
    assert (found["accuracy"], found["accuracy_original"]) == (None, None)
    assert found["basis"] == "random inputs"
    assert any("random normal inputs" in note for note in found["notes"])
    assert found["bytes"] == (tmp_path / "m.tflite").stat().st_size
    assert [path.name for path in tmp_path.iterdir()] == ["m.tflite"]
    with Model.load(tmp_path / "m.tflite") as model:
        assert model.contract is None
        assert model.scores(trained.x[:2]).shape == (2, 4)


def test_a_foreign_model_gets_its_contract_from_data(trained: Trained, tmp_path: Path) -> None:
    # The folder has moved as well: what counts is what --data says.
    moved = tmp_path / "moved"
    shutil.copytree(trained.data.folder, moved)
    done = edgeml("convert", trained.foreign, "-o", tmp_path / "m.tflite", "--data", moved)
    assert done.returncode == 0, done.stderr
    assert "split anew" in done.stdout
    assert "int8" in done.stdout
    with Model.load(tmp_path / "m.tflite") as model:
        contract = model.contract
    assert contract is not None
    assert contract.name == "foreign"
    assert contract.input.names == mixed_units.NAMES
    assert (contract.input.window, contract.input.hop) == (40, 20)
    assert contract.reference is not None
    assert contract.reference.input.mean[6] == pytest.approx(101_000, abs=50)
    assert contract.lineage is not None
    assert contract.lineage.dataset == trained.data.digest
    assert contract.lineage.accuracy is not None
    assert contract.lineage.accuracy > 0.95


def test_odd_models_are_converted_from_an_npz(tensorflow: Worker, tmp_path: Path) -> None:
    tensorflow.call("tests.mixed_units:build_odd", timeout_s=TIMEOUT_S, folder=str(tmp_path))
    rng = np.random.default_rng(0)

    def attempt(name: str, **inputs: tuple[int, ...]) -> tuple[Report, list[str]]:
        data, output = tmp_path / f"{name}.npz", tmp_path / f"{name}.tflite"
        arrays = {key: rng.normal(size=(40, *shape)).astype(np.float32) for key, shape in inputs.items()}
        np.savez(data, **arrays)
        found = convert(tmp_path / f"{name}.keras", output, data=data, report=False)
        assert found.verdict.original is None
        assert found.contract is None
        assert found.verdict.basis == f"{data.name}, half of the samples"
        return found, [name for name, dtype in ops(output) if dtype in {"float32", "complex64"}]

    found, floats = attempt("plain", x=(8, 3))
    assert floats == ["DEQUANTIZE"]
    assert inspect(found.output).inputs[0]["shape"] == [-1, 8, 3]
    # The spectrogram's matrix product is a FULLY_CONNECTED like any other, but nothing in it was learned.
    found, floats = attempt("mel", x=(512,))
    assert {"RFFT2D", "FULLY_CONNECTED", "LOG"} <= set(floats)
    assert any("batch fixed to 1" in note for note in found.notes)
    found, _ = attempt("lstm", x=(8, 3))
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" in inspect(found.output).ops
    names = [port["name"] for port in inspect(convert_two(tmp_path).output).inputs]
    found, _ = attempt("two", **dict.fromkeys(names, (4,)))
    with Model.load(found.output) as model:  # its golden vectors have two inputs
        assert len(model.runtime.inputs) == 2
    with pytest.raises(ModelError, match="custom layer 'Doubled'"):
        attempt("custom", x=(4,))
    with pytest.raises(DatasetError, match=f"input {names[1]!r} is missing"):
        attempt("two", **{names[0]: (4,)})


def convert_two(folder: Path) -> Report:
    return convert(folder / "two.keras", folder / "two.tflite", recipe="float32", report=False)


def test_a_moved_or_changed_dataset_asks_for_data(trained: Trained, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for change, complaint in (
        ("moved", "is not there; say where it is with --data"),
        ("changed", "has changed"),
    ):
        model = tmp_path / f"{change}.keras"
        shutil.copy(trained.file, model)
        run = json.loads(modelfile.read_members(model)[modelfile.RUN])
        run["dataset"]["path"] = str(folder)
        modelfile.add_members(model, {modelfile.RUN: json.dumps(run).encode()})
        if change == "changed":
            shutil.copytree(trained.data.folder, folder)
            recording = folder / trained.data.recordings[0].file
            shutil.copy(folder / trained.data.recordings[1].file, recording)
        with pytest.raises(DatasetError, match=complaint):
            convert(model, tmp_path / "m.tflite")
