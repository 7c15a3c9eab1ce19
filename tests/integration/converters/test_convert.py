"""`edgeml convert` on a real trained model; TensorFlow runs in child processes only."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from flatbuffers import Table, encode, number_types

from converters import compare, convert, metadata, recipes
from converters.inspect import inspect
from converters.report import DropError, Report
from edge_sdk import modelfile, read_contract
from edge_sdk.child import Worker
from edge_sdk.dataset import Dataset
from edge_sdk.errors import (
    ChildTimeoutError,
    ConfigError,
    DatasetError,
    DeviceError,
    MissingExtraError,
    ModelError,
    UnknownNameError,
)
from edge_sdk.graph import read_graph
from edge_sdk.model import Model
from edge_sdk.modelfile import GOLDEN, Golden
from tests import mixed_units

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("kept_workers")]

TIMEOUT_S = 240.0


@dataclass(frozen=True)
class Trained:
    """A trained model, its data, and the windows it was not trained on."""

    file: Path
    folded: Path
    foreign: Path
    data: Dataset
    x: np.ndarray
    y: np.ndarray


@pytest.fixture(scope="module")
def tensorflow() -> Iterator[Worker]:
    """One process with TensorFlow for all that is not converted through the command."""
    with Worker() as worker:
        yield worker


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tensorflow: Worker) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    data = mixed_units.write_dataset(folder / "data")
    file, folded = folder / "mixed.keras", folder / "folded.keras"
    tensorflow.call("tests.mixed_units:train", timeout_s=TIMEOUT_S, file=str(file), folder=str(data.folder))
    tensorflow.call(
        "tests.mixed_units:fold_normalisation", timeout_s=TIMEOUT_S, file=str(file), target=str(folded)
    )
    foreign = mixed_units.without_members(file, folder / "foreign.keras")
    test = data.windows(data.split(7).test, mixed_units.WINDOW, mixed_units.HOP)
    return Trained(file, folded, foreign, data, test.x, test.y)


@pytest.fixture(scope="module")
def result(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The model as int8."""
    return convert(trained.file, tmp_path_factory.mktemp("int8") / "mixed.tflite")


def ops(file: Path) -> list[tuple[str, str]]:
    """Operators and the dtypes of their outputs, in order."""
    graph = read_graph(modelfile.split(file.read_bytes()).flatbuffer)
    return [(op.name, graph.tensors[op.outputs[0]].dtype) for op in graph.ops]


def edgeml(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge_sdk", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env={**os.environ, **environment},
    )


def test_unlike_units_survive_int8_and_naive_conversion_destroys_them(
    trained: Trained, result: Report, tensorflow: Worker, tmp_path: Path
) -> None:
    assert result.verdict.original is not None
    assert result.verdict.original.accuracy > 0.95
    with Model.load(result.output) as model:
        ours = compare.accuracy(model.scores(trained.x), trained.y)
    assert ours >= result.verdict.original.accuracy - 0.005
    training = trained.data.windows(trained.data.split(7).train, mixed_units.WINDOW, mixed_units.HOP)
    np.save(tmp_path / "calibration.npy", training.x[::10])
    tensorflow.call(
        "tests.mixed_units:convert_naively",
        timeout_s=TIMEOUT_S,
        file=str(trained.file),
        calibration=str(tmp_path / "calibration.npy"),
        target=str(tmp_path / "naive.tflite"),
    )
    with Model.load(tmp_path / "naive.tflite") as model:
        naive = compare.accuracy(model.scores(trained.x), trained.y)
    assert naive < ours - 0.3


def test_normalisation_is_float_then_one_quantize_then_int8(result: Report) -> None:
    found = ops(result.output)
    assert found[:3] == [("SUB", "float32"), ("MUL", "float32"), ("QUANTIZE", "int8")]
    assert [name for name, _ in found].count("QUANTIZE") == 1
    assert {dtype for _, dtype in found[3:-1]} == {"int8"}
    assert found[-1] == ("DEQUANTIZE", "float32")


def test_the_interface_is_float_with_a_dynamic_batch(result: Report) -> None:
    facts = inspect(result.output)
    assert facts.inputs[0]["shape"] == [-1, 40, 7]
    assert facts.outputs[0]["shape"] == [-1, 4]
    assert {port["dtype"] for port in (*facts.inputs, *facts.outputs)} == {"float32"}
    assert facts.boards["cortex-m4"].runs


def test_the_contract_is_complete(trained: Trained, result: Report) -> None:
    parts = modelfile.split(result.output.read_bytes())
    with Model.load(result.output) as model:
        contract = model.contract
    assert contract is not None
    assert contract.digest == parts.digest == result.digest
    assert [(t.role, t.name, t.dtype, t.shape) for t in contract.tensors] == [
        ("input", "window", "float32", (1, 40, 7)),
        ("output", "output_0", "float32", (1, 4)),
    ]
    lineage = contract.lineage
    assert lineage is not None
    assert lineage.recipe == "int8"
    assert lineage.dataset == trained.data.digest
    assert lineage.source == modelfile.digest_of(trained.file.read_bytes())
    assert lineage.n == len(trained.y)
    assert lineage.accuracy is not None
    assert lineage.interval is not None
    assert lineage.interval[0] <= lineage.accuracy <= lineage.interval[1]
    assert lineage.versions is not None
    assert {"tensorflow", "keras", "numpy", "ai-edge-litert"} <= set(lineage.versions)


def test_golden_vectors_are_real_windows_and_this_files_outputs(trained: Trained, result: Report) -> None:
    golden = Golden.from_bytes(modelfile.split(result.output.read_bytes()).members[GOLDEN])
    assert len(golden) == 8
    assert all(any(np.array_equal(vector, window) for window in trained.x) for vector in golden.inputs[0])
    with Model.load(result.output) as model:
        assert np.array_equal(model.scores(golden.inputs[0]), golden.outputs[0])
    assert golden.tolerances == (recipes.find("int8").tolerance,)


def test_other_tools_read_labels_and_metadata(result: Report) -> None:
    with zipfile.ZipFile(result.output) as archive:
        assert archive.read("labels.txt").decode().splitlines() == list(mixed_units.LABELS)
    graph = read_graph(modelfile.split(result.output.read_bytes()).flatbuffer)
    facts = Metadata(graph.metadata[metadata.NAME])
    assert facts.identifier == b"M001"
    assert facts.text(facts.root, 0) == "mixed"
    assert facts.text(facts.root, 7) == "1.0.0"
    (subgraph,) = facts.tables(facts.root, 3)
    (source,) = facts.tables(subgraph, 2)
    (scores,) = facts.tables(subgraph, 3)
    assert facts.text(source, 0) == "window"
    assert "wx [dps]" in facts.text(source, 1)
    (unit,) = facts.tables(source, 4)
    options = facts.table(unit, 1)
    assert (facts.floats(options, 0), facts.floats(options, 1)) == ([0.0], [1.0])
    assert facts.floats(facts.table(source, 5), 0) == [c.range[1] for c in mixed_units.CHANNELS if c.range]
    (labels,) = facts.tables(scores, 6)
    assert facts.text(labels, 0) == "labels.txt"
    assert facts.byte(labels, 2) == 2  # TENSOR_AXIS_LABELS


def test_litert_and_tf_lite_give_the_same_outputs_for_the_packed_file(
    trained: Trained, result: Report, tensorflow: Worker, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", trained.x[:50])
    theirs = tensorflow.call(
        "tests.mixed_units:run_in",
        timeout_s=TIMEOUT_S,
        runtime="tensorflow",
        file=str(result.output),
        windows=str(tmp_path / "x.npy"),
    )
    with Model.load(result.output) as model:
        assert np.array_equal(model.scores(trained.x[:50]), np.array(theirs, np.float32))


def test_constants_start_at_multiples_of_16(result: Report) -> None:
    flatbuffer = modelfile.split(result.output.read_bytes()).flatbuffer
    graph = read_graph(flatbuffer)
    weights = [t for t in graph.tensors if t.data is not None and t.data.nbytes >= 64]
    assert len(weights) >= 3
    base = np.frombuffer(flatbuffer, np.uint8).__array_interface__["data"][0]
    for tensor in weights:
        assert tensor.data is not None
        assert (tensor.data.__array_interface__["data"][0] - base) % 16 == 0


def test_the_same_input_gives_the_same_bytes(trained: Trained, result: Report, tmp_path: Path) -> None:
    again = convert(trained.file, tmp_path / "again.tflite", report=False)
    assert again.output.read_bytes() == result.output.read_bytes()
    assert not list(tmp_path.glob("*.html"))


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


def test_the_examples_of_the_documents_run(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(trained.file, tmp_path / "motion.keras")
    monkeypatch.chdir(tmp_path)
    docs = Path(__file__).parents[3] / "docs"
    for name in ("conversion.md", "contract.md"):
        for code in re.findall(
            r"^```python\n(.*?)^```", (docs / name).read_text(encoding="utf-8"), re.M | re.S
        ):
            if "import torch" not in code:  # that one runs in test_load_torch's environment
                exec(compile(code, name, "exec"), {})
    accuracy, described, labels = capsys.readouterr().out.splitlines()
    assert float(accuracy.split()[0]) > 0.95
    assert described.startswith("40 ('ax', 'ay',")
    assert labels == str(read_contract("motion.tflite").output.labels)


def test_the_report_stands_alone(result: Report) -> None:
    assert result.page is not None
    assert result.page.name == "mixed.report.html"
    text = result.page.read_text(encoding="utf-8")
    assert text == result.html()
    assert not re.search(r"(src|href)=.?https?:", text)
    for needed in ("turn_and_rise", "DEQUANTIZE", result.digest, "tensorflow", "<svg"):
        assert needed in text
    assert text.count('class="confusion"') == 2


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


class Metadata:
    """A reader of TFLite Metadata that shares nothing with the writer."""

    def __init__(self, data: bytes) -> None:
        self.data, self.identifier = data, data[4:8]
        self.root = Table(data, encode.Get(number_types.UOffsetTFlags.packer_type, data, 0))

    def _at(self, table: Table, field: int) -> int:
        offset = int(table.Offset(4 + 2 * field))
        assert offset, f"field {field} is absent"
        return table.Pos + offset

    def text(self, table: Table, field: int) -> str:
        return bytes(table.String(self._at(table, field))).decode()

    def byte(self, table: Table, field: int) -> int:
        return self.data[self._at(table, field)]

    def table(self, table: Table, field: int) -> Table:
        return Table(self.data, table.Indirect(self._at(table, field)))

    def tables(self, table: Table, field: int) -> list[Table]:
        start, count = self._vector(table, field)
        return [Table(self.data, table.Indirect(start + 4 * i)) for i in range(count)]

    def floats(self, table: Table, field: int) -> list[float]:
        start, count = self._vector(table, field)
        return np.frombuffer(self.data, "<f4", count, start).tolist()

    def _vector(self, table: Table, field: int) -> tuple[int, int]:
        offset = self._at(table, field) - table.Pos
        return table.Vector(offset), table.VectorLen(offset)
