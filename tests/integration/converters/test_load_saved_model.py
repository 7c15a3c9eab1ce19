"""SavedModels become float32 .tflite files, or are refused before anything in them runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.load.arrays import Runner
from edge_sdk.child import Worker
from edge_sdk.errors import ModelError
from edge_sdk.graph import Graph, read_graph
from tests import saved_models
from tests.integration.converters.test_load_keras import Bench

pytestmark = pytest.mark.integration

TIMEOUT_S = 240.0


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as worker:
        yield worker


class SavedBench(Bench):
    def save(self, name: str, trap: Path | None = None) -> Path:
        folder = self.folder / "saved"
        shutil.rmtree(folder, ignore_errors=True)
        self.build("write", name=name, folder=str(folder), trap=str(trap or ""))
        return folder

    def build(self, function: str, /, **arguments: Any) -> None:
        self.worker.call(f"tests.saved_models:{function}", timeout_s=TIMEOUT_S, **arguments)

    def quantized(self, file: Path, facts: dict[str, Any], module: str | None = None) -> list[str]:
        result = self.worker.call(
            f"{module or self.module}:quantized",
            timeout_s=TIMEOUT_S,
            model=str(file),
            output=str(self.output),
            loaded=facts,
        )
        return list(result["float_ops"])

    @property
    def graph(self) -> Graph:
        return read_graph(self.output.read_bytes())


@pytest.fixture
def bench(worker: Worker, tmp_path: Path) -> SavedBench:
    return SavedBench(worker, tmp_path, "converters.load.saved_model")


@pytest.mark.parametrize("name", ["dense", "other_name", "batch_of_one", "version_1"])
def test_one_signature(bench: SavedBench, name: str) -> None:
    folder = bench.save(name)
    loaded = bench.load(folder)
    assert [port.name for port in loaded.inputs] == ["x"]
    assert [port.name for port in loaded.outputs] == ["y"]
    assert loaded.signature == ("serving_default" if name in ("dense", "version_1") else "run")
    assert loaded.batch == (1 if name == "batch_of_one" else None)
    inputs = bench.random(9)
    assert np.allclose(bench.run(inputs)[0], bench.score(folder, loaded, inputs)[0], atol=1e-5)
    fixed = bench.load(folder, batch=1)
    assert fixed.batch == 1
    assert bench.graph.tensors[bench.graph.inputs[0]].shape_signature == (1, 4)
    assert np.allclose(bench.run(inputs)[0], bench.score(folder, fixed, inputs)[0], atol=1e-5)


def test_several_signatures_are_listed_and_chosen_by_name(bench: SavedBench) -> None:
    folder = bench.save("several")
    with pytest.raises(ModelError, match=r"found both, one; choose one with --signature both$"):
        bench.load(folder)
    with pytest.raises(
        ModelError, match="no signature 'bot': expected one of both, one; did you mean 'both'"
    ):
        bench.load(folder, signature="bot")
    loaded = bench.load(folder, signature="both")
    assert {port.name for port in loaded.inputs} == {"zeta", "alpha"}
    assert {port.name for port in loaded.outputs} == {"sum", "difference", "b"}
    inputs = bench.random()
    for ours, theirs in zip(bench.run(inputs), bench.score(folder, loaded, inputs), strict=True):
        assert np.allclose(ours, theirs, atol=1e-5)
    given = dict(zip((port.name for port in loaded.inputs), inputs, strict=True))
    ours = dict(zip((port.name for port in loaded.outputs), bench.run(inputs), strict=True))
    assert np.allclose((ours["sum"] - ours["difference"]) / 2, given["alpha"], atol=1e-5)
    assert np.allclose(ours["b"], given["zeta"].sum(1), atol=1e-5)


def test_open_sizes(bench: SavedBench) -> None:
    folder = bench.save("open_size")
    with pytest.raises(ModelError, match=r"x \[batch, \?, 4\]; give them with --shape x=1,…,4"):
        bench.load(folder)
    loaded = bench.load(folder, shapes={"x": [1, 7, 4]})
    assert bench.graph.tensors[bench.graph.inputs[0]].shape_signature == (-1, 7, 4)
    inputs = bench.random()
    assert np.allclose(bench.run(inputs)[0], bench.score(folder, loaded, inputs)[0], atol=1e-5)


@pytest.mark.parametrize("name", ["keras_gru_of_one", "keras_2_lstm"])
def test_loops_fix_the_batch(bench: SavedBench, name: str) -> None:
    folder = bench.save(name)
    loaded = bench.load(folder)
    assert loaded.batch == 1
    inputs = bench.random()
    assert np.abs(bench.run(inputs)[0] - bench.score(folder, loaded, inputs)[0]).max() < 1e-4
    assert ("UNIDIRECTIONAL_SEQUENCE_LSTM" if name == "keras_2_lstm" else "WHILE") in bench.ops


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("batch_of_eight", r"fixes the batch: .*found \[8, 4\]"),
        ("any_rank", "any number of axes"),
        ("scalar", "a single number"),
        ("text", "is string"),
        ("not_a_number", "NaN or infinity among the weights.*kernel"),
        ("no_signature", "expected a signature, found none"),
        ("keras_gru", "a loop with an open batch: expected a batch of 1"),
        ("unsupported", "cannot convert this model to plain TFLite"),
    ],
)
def test_what_cannot_be_converted_is_named(bench: SavedBench, name: str, message: str) -> None:
    folder = bench.save(name)
    with pytest.raises(ModelError, match=message) as caught:
        bench.load(folder)
    assert "\n" not in str(caught.value)
    assert not bench.output.exists()


@pytest.mark.parametrize("name", list(saved_models.HOSTILE))
def test_a_graph_that_does_more_than_compute_is_refused_unrun(bench: SavedBench, name: str) -> None:
    trap = bench.folder / "trap"
    folder = bench.save(name, trap)
    trap.unlink(missing_ok=True)
    with pytest.raises(ModelError, match=name.partition(",")[0]) as caught:
        bench.load(folder)
    assert "\n" not in str(caught.value)
    assert not trap.exists()
    assert not list(bench.folder.glob("trap*"))


def test_restoring_that_saves_is_refused(bench: SavedBench) -> None:
    folder = bench.save("dense")
    bench.build("redirect_restore", folder=str(folder))
    with pytest.raises(ModelError, match="reads or writes files by itself.*SaveV2"):
        bench.load(folder)


def test_an_unknown_operator_is_named(bench: SavedBench) -> None:
    folder = bench.save("dense")
    bench.build("rename_op", folder=str(folder), old="MatMul", new="SomebodysMatMul")
    with pytest.raises(ModelError, match="found SomebodysMatMul"):
        bench.load(folder)


def test_damaged_folders_end_in_one_line(bench: SavedBench) -> None:
    folder = bench.save("dense")
    file = folder / "saved_model.pb"
    data = file.read_bytes()
    for size in (0, 1, 50, len(data) // 2, len(data) - 3):
        file.write_bytes(data[:size])
        with pytest.raises(ModelError) as caught:
            bench.load(folder)
        assert "\n" not in str(caught.value)
    file.write_bytes(data)
    (weights,) = (folder / "variables").glob("*.data-*")
    weights.write_bytes(weights.read_bytes()[:20])
    with pytest.raises(ModelError, match="cannot load it"):
        bench.load(folder)
    shutil.rmtree(folder / "variables")
    with pytest.raises(ModelError, match="cannot load it"):
        bench.load(folder)


def test_a_quantization_aware_model_keeps_its_ranges_in_int8(bench: SavedBench) -> None:
    folder = bench.save("quantization_aware")
    loaded = bench.load(folder)
    assert loaded.ranges
    images, labels = saved_models.quarters(400, 2)
    original = bench.score(folder, loaded, [images])[0]
    assert (original.argmax(1) == labels).mean() > 0.8
    assert np.abs(bench.run([images])[0] - original).max() <= 11 / 255 + 1e-6  # a step of the scores
    assert bench.quantized(folder, loaded.as_dict()) == []
    graph = bench.graph
    scales = {float(t.scale[0]) for t in graph.tensors if t.dtype == "int8" and not t.constant}
    expected = {(high - low) / 255 for low, high in saved_models.RANGES.values()}
    assert np.allclose(sorted(scales), sorted(expected), rtol=1e-5)
    # Once into int8 and once out of it; one step between two scales.
    entered = [
        op for op in graph.ops if op.name == "QUANTIZE" and graph.tensors[op.inputs[0]].scale.size == 0
    ]
    assert len(entered) == 1
    assert [op.name for op in graph.ops].count("DEQUANTIZE") == 1
    ours = bench.run([images])[0]
    assert (ours.argmax(1) == labels).mean() >= (original.argmax(1) == labels).mean() - 0.005
    assert (ours.argmax(1) == original.argmax(1)).mean() > 0.98
    assert graph.tensors[graph.inputs[0]].shape_signature == (-1, 8, 8, 1)
    assert Runner(bench.output.read_bytes()).inputs[0].dtype == np.float32


def test_a_model_without_ranges_says_so(bench: SavedBench) -> None:
    folder = bench.save("dense")
    loaded = bench.load(folder)
    assert not loaded.ranges
    bench.output.unlink()
    with pytest.raises(ModelError, match="no ranges of its own.*use --recipe int8"):
        bench.quantized(folder, loaded.as_dict())
    assert not bench.output.exists()


def test_keras_own_fake_quantization(bench: SavedBench) -> None:
    file, keras = bench.folder / "fake.keras", "converters.load.keras"
    bench.build("write_fake_quantized_keras", file=str(file))
    keras_bench = Bench(bench.worker, bench.folder, keras)
    loaded = keras_bench.load(file)
    assert loaded.ranges
    left = bench.quantized(file, loaded.as_dict(), keras)
    inputs = keras_bench.random(50)
    ours, theirs = keras_bench.run(inputs)[0], keras_bench.score(file, loaded, inputs)[0]
    assert 10 * np.log10((theirs**2).mean() / ((ours - theirs) ** 2).mean()) > 20
    assert left == []
