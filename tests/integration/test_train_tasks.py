"""Several labels, values and anomalies, the whole way: folder, training, conversion, device, C library."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from converters import convert, workshop
from converters.report import Report
from edge_sdk import Model, modelfile
from edge_sdk.dataset import Dataset
from edge_sdk.modelfile import CONTRACT, RUN
from edge_sdk.schema import parse_contract
from tests import task_folders
from tests.shared_workers import started
from train_host import config as configs
from train_host import training
from train_host.training import Request, train
from train_host.tuning.trial import CONVERTED, Order, Result, judged, work

pytestmark = pytest.mark.integration
pytest.importorskip("tensorflow", reason="pip install 'edgeml-kit[train]'")

#: Folder, window, further settings.
KINDS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "multilabel": ("kitchen", 100, {"epochs": 25, "batch": 16, "model": {"filters": [8, 8, 8]}}),
    "regression": ("pump", 100, {"epochs": 60, "batch": 16, "learning_rate": 0.005}),
    "gmm": ("bearing", 200, {"arch": "gmm", "model": {"centres": 2}}),
    "kmeans": ("bearing", 200, {"arch": "kmeans", "model": {"centres": 4}}),
    "autoencoder": (
        "bearing",
        200,
        {"epochs": 10, "batch": 16, "model": {"looks_at": "samples", "units": [32], "code": 4}},
    ),
}


@dataclass(frozen=True)
class Made:
    """A model and what was said of it."""

    dataset: Dataset
    keras: Path
    tflite: Path
    result: dict[str, Any]
    report: Report

    @property
    def test(self) -> Any:
        split = json.loads(modelfile.read_members(self.keras)[RUN])["split"]
        expect = parse_contract(modelfile.read_members(self.keras)[CONTRACT]).input
        return self.dataset.windows(split["test"], expect.window, expect.hop)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    where = tmp_path_factory.mktemp("data")
    return {name: getattr(task_folders, name)(where / name) for name in ("kitchen", "pump", "bearing")}


@pytest.fixture(scope="module")
def one_process() -> Iterator[None]:
    """TensorFlow starts once: all trainings and conversions here are done by the same process."""
    worker = started(None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workshop, "_start", lambda environment, memory_bytes: worker)
        patch.setattr(training.child, "call", worker.call)
        yield
    worker.end()


@pytest.fixture(scope="module", params=list(KINDS))
def made(
    one_process: None,
    request: pytest.FixtureRequest,
    folders: dict[str, Dataset],
    tmp_path_factory: pytest.TempPathFactory,
) -> Made:
    folder, window, more = KINDS[request.param]
    dataset, where = folders[folder], tmp_path_factory.mktemp(request.param)
    keras, tflite = where / f"{request.param}.keras", where / f"{request.param}.tflite"
    settings = configs.load(None, window=window, hop=50, seed=1, patience=0, augment=[], **more)
    result = train(Request(dataset.folder, settings, keras))
    # one of some thirty windows is three points
    report = convert(keras, tflite, recipe="int8", max_drop=0.04, max_growth=0.1)
    return Made(dataset, keras, tflite, result, report)


def test_it_learns_what_its_task_is(made: Made) -> None:
    result = made.result
    if made.dataset.task == "multilabel":
        assert result["accuracy"] > 0.8
        assert result["f1_macro"] > 0.85
        assert [label["label"] for label in result["per_label"]] == ["fan", "mixer"]
    elif made.dataset.task == "regression":
        assert result["error"] < 0.4
        assert [target["unit"] for target in result["targets"]] == ["l/min", "Pa"]
        assert all(target["r2"] > 0.7 for target in result["targets"])
    else:
        assert result["auc"] > 0.7
        assert result["false_alarms"]["value"] < 0.2
        assert set(result["per_label"]) == {"bearing", "imbalance"}
    low, high = result["interval"]
    assert low <= result[_figure(made)] <= high
    assert set(result["per_group"]) == set(made.test.group)
    assert result["n"] == len(made.test)


def test_the_contract_says_what_its_numbers_are(made: Made) -> None:
    for file in (made.keras, made.tflite):
        read = (
            modelfile.read_members
            if file is made.keras
            else lambda f: modelfile.split(f.read_bytes()).members
        )
        contract = parse_contract(read(file)[CONTRACT])
        assert contract.task == made.dataset.task
        assert contract.lineage is not None
        assert getattr(contract.lineage, _figure(made)) is not None
        assert contract.lineage.n == len(made.test)
    if contract.task == "regression":
        assert contract.output.values is not None
        assert [(v.name, v.unit) for v in contract.output.values] == [("flow", "l/min"), ("pressure", "Pa")]
        assert contract.output.values[0].range == (0.0, 40.0)
        low, high = contract.output.values[1].range or (0.0, 0.0)
        assert 100_800 <= low < high <= 101_200
    elif contract.task == "anomaly":
        assert contract.output.labels == ("normal", "anomaly")
        assert contract.decision.threshold == 0.5
    else:
        assert contract.output.labels == ("fan", "mixer")


def test_int8_stays_within_its_bounds_and_the_device_reaches_the_same(made: Made) -> None:
    judged, windows = made.report.verdict.judged, made.test
    assert judged is not None
    assert made.report.passed
    with Model.load(made.tflite) as model:
        said = np.stack([model.run(window).outputs.ravel() for window in windows.x])
    np.testing.assert_array_equal(said, made.report.chosen.outputs[0].reshape(said.shape))
    truth = made.report.evidence.truth
    assert truth is not None
    assert truth.evaluate(said).value == judged.after.value
    told = made.report.as_dict()
    assert told[_figure(made)] == judged.after.value
    assert told["figures_original"]["n"] == len(windows)


def test_pressure_far_from_zero_keeps_its_precision_in_int8(made: Made) -> None:
    if made.dataset.task != "regression":
        return
    judged = made.report.verdict.judged
    assert judged is not None
    before, after = (figures.as_dict()["targets"][1] for figures in (judged.before, judged.after))
    assert after["mae"] < 1.15 * before["mae"] + 1.0  # one step from 0 to the values would be 400 Pa


def test_predictions_and_events_of_a_stream(made: Made, tmp_path: Path) -> None:
    split = json.loads(modelfile.read_members(made.keras)[RUN])["split"]
    label = {"multilabel": "fan+mixer", "anomaly": "bearing"}.get(made.dataset.task)
    recording = next(r for r in made.dataset.recordings if r.group in split["test"] and r.label == label)
    signal = made.dataset.read(recording)
    file = tmp_path / "one.csv"
    rows = "\n".join(",".join(f"{v:.5f}" for v in row) for row in signal.samples)
    file.write_text("vx,vy\n" + rows + "\n")
    pipeline = tmp_path / "edgeml.toml"
    pipeline.write_text(
        f'[model]\nfile = "{made.tflite}"\n[[source]]\nurl = "replay:one.csv"\nrate_hz = 100\nspeed = "max"\n'
        '[[sink]]\nurl = "jsonl:out.jsonl"\n'
    )
    command = [sys.executable, "-m", "edge_sdk"]
    subprocess.run([*command, "check", pipeline], check=True, capture_output=True, timeout=120)
    done = subprocess.run(
        [*command, "run", pipeline, "--json"], capture_output=True, text=True, timeout=120, check=True
    )
    assert json.loads(done.stdout)["ledger"]["balanced"]
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    if made.dataset.task == "regression":
        assert recording.target is not None
        assert abs(found[0]["value"] - recording.target[0]) < 8
        assert len(found[0]["outputs"]) == 2
    elif made.dataset.task == "multilabel":
        started = {one["label"] for one in found if one["event"] == "start"}
        assert started == {"fan", "mixer"}
    else:
        assert all(0 <= one["value"] <= 1 for one in found)
        assert {one["label"] for one in found} <= {"normal", "anomaly"}


def test_it_becomes_a_c_library(made: Made, tmp_path: Path) -> None:
    from converters.c import export

    features = made.dataset.task == "anomaly" and made.keras.stem != "autoencoder"
    exported = export.export(str(made.tflite), tmp_path / "c", cut=features)
    assert exported.figures["kernel_calls"] > 3
    source = (tmp_path / "c/src/model.h").read_text()
    labels = {"multilabel": 2, "anomaly": 2}.get(made.dataset.task)
    assert (f"_LABELS {labels}" in source) is (labels is not None)


def test_inspect_and_the_page_tell_of_it(made: Made) -> None:
    from converters.commands.inspect import lines
    from converters.inspect import inspect

    text = "\n".join(lines(inspect(made.tflite)))
    assert made.dataset.task in text
    expected = {"regression": "pressure [Pa]", "multilabel": "fan, mixer", "anomaly": "normal, anomaly"}
    assert expected[made.dataset.task] in text
    assert {"regression": "error", "multilabel": "accuracy", "anomaly": "AUC"}[made.dataset.task] in text
    page = made.tflite.with_suffix(".report.html").read_text()
    assert "There are no labels to measure accuracy with" not in page
    assert made.keras.with_suffix(".training.html").exists()


def test_a_search_finds_the_figures_of_its_task(made: Made) -> None:
    found = judged(made.report.as_dict(), made.dataset.task)
    assert next(iter(found)) == _figure(made)
    assert found[_figure(made)] == made.report.verdict.judged.after.value  # type: ignore[union-attr]
    assert all(isinstance(value, float) for value in found.values())


def test_a_trial_of_a_search_is_trained_converted_and_looked_at(
    one_process: None, folders: dict[str, Dataset], tmp_path: Path
) -> None:
    dataset = folders["bearing"]
    config = configs.load(None, window=200, arch="kmeans", model={"centres": 2}, test=0.4)
    order = Order(
        number=3, dataset=str(dataset.folder), config=config.as_dict(), recipe="int8", board="cortex-m4"
    )
    done = msgspec.convert(work(msgspec.to_builtins(order), str(tmp_path), None), Result)
    assert (done.number, done.failure) == (3, None)
    assert done.figures.keys() >= {"auc", "detection", "false_alarms", "bytes", "macs", "arena_bytes"}
    assert done.seconds > 0
    (tmp_path / CONVERTED).write_bytes(base64.b64decode(done.files[CONVERTED]))
    with Model.load(tmp_path / CONVERTED) as model:
        assert model.labels == ("normal", "anomaly")
    assert [path.name for path in tmp_path.iterdir()] == [CONVERTED]


def _figure(made: Made) -> str:
    return {"multilabel": "accuracy", "regression": "error", "anomaly": "auc"}[made.dataset.task]
