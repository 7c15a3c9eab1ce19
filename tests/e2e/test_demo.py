"""The main job, end to end, on real data."""

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from edge_sdk import Model, open_source
from edge_sdk.dataset import Dataset
from edge_sdk.windows import cut
from tests.e2e.conftest import edgeml

pytestmark = pytest.mark.e2e

KEYS = {"accuracy_float", "accuracy_int8", "n", "agreement", "latency_us", "ledger", "model", "database"}
LEDGER = {
    "read", "used", "pending", "dropped", "predictions", "delivered", "queued", "lost", "sinks", "balanced",
}  # fmt: skip


def test_the_promised_keys_are_there_and_hold(demo):
    assert set(demo.result) >= KEYS
    assert set(demo.result["ledger"]) >= LEDGER
    assert set(demo.result["latency_us"]) >= {"p50", "p99"}
    assert demo.result["accuracy_float"] > 0.7
    assert demo.result["accuracy_int8"] > demo.result["accuracy_float"] - 0.02
    assert demo.result["agreement"] > 0.95
    assert demo.result["n"] > 300


def test_the_books_balance_and_the_database_holds_what_was_delivered(demo):
    ledger = demo.result["ledger"]
    assert ledger["balanced"]
    assert ledger["lost"] == ledger["queued"] == 0
    with sqlite3.connect(demo.result["database"]) as database:
        (rows,) = database.execute("SELECT count(*) FROM predictions").fetchone()
    assert rows == ledger["predictions"] > 100


def test_nobody_is_on_both_sides(demo):
    record = json.loads((demo.folder / "motion.run.json").read_text())
    train, validation, test = (set(record["split"][side]) for side in ("train", "validation", "test"))
    assert not train & test
    assert not train & validation
    assert not validation & test
    assert len(train | validation | test) == 10


def test_pictures_and_report_are_there(demo):
    for name in ("motion.history.png", "motion.confusion.png"):
        assert (demo.folder / name).read_bytes().startswith(b"\x89PNG")
    pages = [Path(demo.result[key]) for key in ("training_report", "report")]
    assert [page.name for page in pages] == ["motion.training.html", "motion.report.html"]
    for page in pages:
        assert "http://" not in page.read_text().replace("http://www.w3.org", "")


def test_python_command_line_and_bare_runtime_give_identical_outputs(demo, tmp_path):
    """The same recording three ways, to the last bit."""
    data = Dataset.load(demo.folder / "dataset")
    recording = next(r for r in data.recordings if r.label == "ROW" and r.group == "s01")
    file = demo.folder / "dataset" / recording.file
    model = Model.load(demo.model)

    interpreter = Interpreter(model_path=str(demo.model), num_threads=1)
    interpreter.allocate_tensors()
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    bare = []
    for window in cut(data.read(recording).samples, model.window, model.hop):
        interpreter.set_tensor(source["index"], np.ascontiguousarray(window)[None])
        interpreter.invoke()
        bare.append(interpreter.get_tensor(result["index"])[0])

    with open_source(f"replay:{file}?speed=max") as replay:
        streamed = [prediction.outputs for prediction in model.stream(replay)]

    database = tmp_path / "out.db"
    finished = edgeml(
        "run",
        str(demo.model),
        "--source",
        f"replay:{file}?speed=max",
        "--sink",
        f"sqlite:{database}",
        "--json",
    )
    assert finished.returncode == 0, finished.stderr
    with sqlite3.connect(database) as rows:
        stored = [
            json.loads(row) for (row,) in rows.execute("SELECT outputs FROM predictions ORDER BY sequence")
        ]

    assert len(bare) > 10
    assert [o.tobytes() for o in streamed] == [o.tobytes() for o in bare]
    assert np.array(stored, np.float32).tobytes() == np.stack(bare).tobytes()


def test_the_screen_says_what_to_do_next(demo, tmp_path):
    finished = edgeml("demo", "-o", str(tmp_path / "again"), "--seed", "1", timeout=280)
    assert finished.returncode == 0, finished.stderr
    for word in ("float", "int8", "p99", "balanced", "motion.tflite", "events.db", "edgeml train", "BSD"):
        assert word in finished.stdout, word
