from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters import compare, metadata, pack, recipes
from converters.evidence import Evidence
from converters.verify import Verdict
from edge_sdk import modelfile
from edge_sdk.contract import Input, Lineage
from edge_sdk.graph import read_graph
from edge_sdk.modelfile import CONTRACT, GOLDEN, LABELS
from edge_sdk.runtimes.litert import Runtime
from edge_sdk.schema import parse_contract
from tests.models import Linear, contract, flatbuffer


def test_metadata_goes_in_before_the_digest_is_taken() -> None:
    whole, facts = pack.complete(flatbuffer(), replace(contract(), tensors=()))
    assert facts.digest == modelfile.digest_of(whole)
    assert facts.tensors == contract().tensors
    graph = read_graph(whole)
    assert graph.metadata[metadata.NAME][4:8] == b"M001"
    assert b"labels.txt" in graph.metadata[metadata.NAME]
    assert read_graph(flatbuffer()).ops == graph.ops


def test_metadata_is_replaced_not_added_twice() -> None:
    first, facts = pack.complete(flatbuffer(), contract())
    second, renamed = pack.complete(first, replace(facts, name="another"))
    assert len(read_graph(second).metadata) == len(read_graph(first).metadata) == 1
    assert b"another" in read_graph(second).metadata[metadata.NAME]
    assert renamed.digest != facts.digest


def test_an_image_model_without_labels_is_described() -> None:
    image = Input(contract().input.channels, None, 1, 1, layout="HWC")
    described = metadata.describe(
        replace(contract(), input=image, output=replace(contract().output, labels=()))
    )
    assert b"an image" in described
    assert b"labels.txt" not in described


def test_a_runtime_loads_the_result_with_the_same_outputs(linear: Linear) -> None:
    whole, facts = pack.complete(flatbuffer(), contract())
    runtime = Runtime(modelfile.pack(whole, pack.members(facts, None)), 1)
    window = np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32)
    assert runtime.invoke([window[None]])[0][0] == pytest.approx(linear.expected(window), abs=1e-6)


def test_the_members_are_read_back(linear: Linear, tmp_path: Path) -> None:
    whole, facts = pack.complete(flatbuffer(), contract())
    file = tmp_path / "m.tflite"
    file.write_bytes(whole)
    windows = np.random.default_rng(1).normal(size=(40, 8, 3)).astype(np.float32)
    vectors = pack.golden(file, Evidence(None, (windows,)), recipes.find("float32"))
    parts = modelfile.split(modelfile.pack(whole, pack.members(facts, vectors)))
    assert parse_contract(parts.members[CONTRACT]) == facts
    assert parts.members[LABELS] == b"x\ny\nz\n"
    golden = modelfile.Golden.from_bytes(parts.members[GOLDEN])
    assert np.array_equal(golden.inputs[0], windows[[0, 6, 11, 17, 22, 28, 33, 39]])
    assert golden.outputs[0][1] == pytest.approx(linear.expected(windows[6]), abs=1e-6)
    assert golden.tolerances == (1e-4,)


def test_a_foreign_model_carries_vectors_only(tmp_path: Path) -> None:
    assert pack.members(None, None) == {}
    file = tmp_path / "m.tflite"
    file.write_bytes(flatbuffer())
    vectors = pack.golden(file, Evidence(None, (np.zeros((3, 8, 3), np.float32),)), recipes.find("int8"))
    assert len(vectors) == 3
    assert list(pack.members(None, vectors)) == [GOLDEN]


def test_lineage_keeps_what_training_wrote_and_adds_the_figures() -> None:
    scores = np.eye(3, dtype=np.float32)
    before = compare.evaluate(scores, np.array([0, 1, 2]))
    after = compare.evaluate(scores, np.array([0, 1, 1]))
    verdict = Verdict(before, after, (compare.difference(scores, scores),), "test split", None)
    trained = replace(contract(), lineage=Lineage(dataset="sha256:d", seed=7, accuracy=0.5))
    found = pack.lineage(trained, recipes.find("int8"), "sha256:s", verdict)
    assert (found.dataset, found.seed, found.recipe, found.source) == ("sha256:d", 7, "int8", "sha256:s")
    assert (found.accuracy_original, found.accuracy, found.n) == (1.0, pytest.approx(2 / 3, abs=1e-6), 3)
    unlabelled = pack.lineage(trained, recipes.find("int8"), "s", replace_evaluations(verdict))
    assert (unlabelled.accuracy, unlabelled.accuracy_original, unlabelled.n) == (None, None, None)


def replace_evaluations(verdict: Verdict) -> Verdict:
    return Verdict(None, None, verdict.outputs, "random inputs", None)


def test_versions_are_sorted_and_name_both_processes() -> None:
    found = pack.versions({"tensorflow": "2.21.0"})
    assert list(found) == sorted(found)
    assert {"python", "numpy", "tensorflow"} <= set(found)
