"""Recipes: what each makes of a real model, and which is chosen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from converters import convert, recipes
from converters.inspect import inspect
from converters.report import DropError, Report
from edge_sdk.errors import (
    UnknownNameError,
)
from edge_sdk.graph import read_graph
from edge_sdk.model import Model
from tests import mixed_units
from tests.integration.converters.convert.trained import Trained, edgeml, ops

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("kept_workers")]


@pytest.mark.parametrize("recipe", ["float32", "float16", "dynamic_int8"])
def test_float_recipes_keep_the_accuracy(trained: Trained, tmp_path: Path, recipe: str) -> None:
    found = convert(trained.file, tmp_path / "m.tflite", recipe=recipe, report=False)
    assert found.verdict.drop == 0.0
    assert found.verdict.difference.sqnr_db > {"float32": 100, "float16": 60, "dynamic_int8": 30}[recipe]
    facts = inspect(found.output)
    assert facts.inputs[0]["shape"][0] == -1
    kept = [name for name, _ in ops(found.output) if name != "DEQUANTIZE"]
    assert kept[:2] == ["SUB", "MUL"]
    if recipe == "float16":
        # 101 kPa is more than float16 holds, so the normalisation's constants must not have become float16.
        graph = read_graph(found.flatbuffer)
        assert {
            t.dtype for t in graph.tensors if t.constant and t.shape[-1:] == (7,) and len(t.shape) == 3
        } == {"float32"}
        assert len([t for t in graph.tensors if t.dtype == "float16"]) == 6
        assert not facts.boards["cortex-m4"].runs


def test_int8_that_ruins_a_model_is_rescued_by_keeping_what_is_at_fault(
    trained: Trained, tmp_path: Path
) -> None:
    found = convert(trained.folded, tmp_path / "m.tflite", recipe="mixed")
    plain, chosen = found.trials
    assert plain.failure is not None
    assert found.verdict.drop is not None
    assert found.verdict.drop <= 0.01
    # The first convolution sees unlike units: it stays float32 and little else does.
    assert 0 < len(chosen.kept) <= 4
    assert any("kept in float32" in note for note in found.notes)
    floats = [name for name, dtype in ops(found.output) if dtype == "float32"]
    assert floats.count("CONV_2D") == 1
    assert ("CONV_2D", "int8") in ops(found.output)
    assert found.size_bytes < convert(trained.folded, tmp_path / "f.tflite", recipe="float32").size_bytes
    assert {layer.dtype for layer in found.layers} == {"float32", "int8"}


def test_where_int8_passes_mixed_keeps_nothing(trained: Trained, result: Report, tmp_path: Path) -> None:
    found = convert(trained.file, tmp_path / "m.tflite", recipe="mixed", report=False)
    assert found.chosen.kept == ()
    assert ops(found.output) == ops(result.output)


@pytest.mark.parametrize("model", ["file", "folded"])
def test_auto_takes_what_passes_and_nothing_beats(trained: Trained, tmp_path: Path, model: str) -> None:
    done = edgeml(
        "convert", getattr(trained, model), "-o", tmp_path / "m.tflite", "--recipe", "auto", "--json"
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    trials = {trial["recipe"]: trial for trial in found["trials"]}
    assert {"float32", "float16", "weight_int8", "dynamic_int8", "int4_weights", "int8", "int16x8"} <= set(
        trials
    )
    assert ("mixed" in trials) is (model == "folded")
    (chosen,) = [trial for trial in found["trials"] if trial["chosen"]]
    assert chosen["pareto"]
    assert chosen["drop"] <= 0.01
    assert chosen["failure"] is None
    assert all(trial["latency_us"] > 0 for trial in found["trials"] if trial["accuracy"] is not None)
    if model == "folded":
        assert trials["int8"]["failure"] is not None
        assert trials["mixed"]["failure"] is None


def test_auto_for_a_microcontroller_takes_what_runs_there(trained: Trained, tmp_path: Path) -> None:
    found = convert(trained.file, tmp_path / "m.tflite", recipe="auto", board="cortex-m4")
    failures = {trial.recipe.name: trial.failure or "" for trial in found.trials}
    assert found.recipe.name == "int8"
    assert "does not run on cortex-m4" in failures["float16"]
    with pytest.raises(UnknownNameError, match="did you mean 'cortex-m4'"):
        convert(trained.file, tmp_path / "m.tflite", board="cortexm4")


def test_a_recipe_that_the_board_cannot_run_writes_nothing(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(DropError, match="does not run on cortex-m4"):
        convert(trained.file, tmp_path / "m.tflite", recipe="float16", board="cortex-m4")
    assert not list(tmp_path.iterdir())


def test_int8_in_and_out(trained: Trained, tmp_path: Path) -> None:
    data = tmp_path / "scaled.npz"
    scaled = (trained.x - mixed_units.MEAN) / mixed_units.STD
    with pytest.raises(DropError):  # raw units do not fit one int8 scale, and nothing in it is float
        convert(trained.file, tmp_path / "m.tflite", recipe="int8_io")
    np.savez(data, x=trained.x, labels=trained.y)
    assert scaled.shape == trained.x.shape
    with Model.load(
        convert(trained.file, tmp_path / "io.tflite", recipe="int8_io", max_drop=0.99).output
    ) as model:
        assert [port.dtype for port in (*model.runtime.inputs, *model.runtime.outputs)] == ["int8", "int8"]
        assert model.contract is not None
        assert {tensor.dtype for tensor in model.contract.tensors} == {"int8"}
        assert model.run(trained.x[0]).outputs.dtype == np.float32


@pytest.mark.parametrize("recipe", ["int16x8", "weight_int8", "int4_weights"])
def test_other_integer_recipes(trained: Trained, tmp_path: Path, recipe: str) -> None:
    found = convert(trained.file, tmp_path / "m.tflite", recipe=recipe, report=False)
    assert found.verdict.drop == pytest.approx(0, abs=0.01)
    assert found.verdict.difference.sqnr_db > recipes.find(recipe).least_sqnr_db + 10
    facts = read_graph(found.flatbuffer)
    weights = {t.dtype for t in facts.tensors if t.constant and len(t.shape) == 4}
    assert weights == {"int4" if recipe == "int4_weights" else "int8"}
    per_tensor = convert(trained.file, tmp_path / "t.tflite", recipe=recipe, per_tensor=True, report=False)
    assert {
        t.scale.size for t in read_graph(per_tensor.flatbuffer).tensors if len(t.shape) == 4 and t.constant
    } == {1}
    assert any(t.scale.size > 1 for t in facts.tensors if t.constant)
