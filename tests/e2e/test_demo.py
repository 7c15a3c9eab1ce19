from __future__ import annotations

import importlib.util
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_sdk import modelfile
from edge_sdk.dataset import Dataset

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
if not all(importlib.util.find_spec(name) for name in ("tensorflow", "seglearn")):
    pytest.skip("pip install 'edgeml-kit[host]'", allow_module_level=True)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    folder = tmp_path_factory.mktemp("demo") / "edgeml-demo"
    arguments = [sys.executable, "-m", "edge_sdk", "demo", "-o", str(folder), "--json"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout), done.stderr


def test_the_demo_reaches_what_it_promises(shown: tuple[Path, dict[str, Any], str]) -> None:
    _, facts, _ = shown
    assert facts["accuracy_float"] > 0.75
    assert abs(facts["accuracy_int8"] - facts["accuracy_float"]) <= 0.02
    assert facts["agreement"] > 0.95
    assert facts["n"] > 700
    assert 0 < facts["latency_us"]["p50"] <= facts["latency_us"]["p99"]
    assert "BSD-3" in facts["licence"]


def test_every_sample_and_prediction_is_accounted_for(shown: tuple[Path, dict[str, Any], str]) -> None:
    folder, facts, _ = shown
    ledger = facts["ledger"]
    assert ledger["balanced"]
    assert ledger["lost"] == ledger["queued"] == 0
    dataset = Dataset.load(folder / "dataset")
    replayed = [
        r for r in dataset.recordings if r.group == facts["tested"][0] and r.file.endswith("_right.csv")
    ]
    assert len(replayed) == 7
    assert ledger["read"] == sum(len(dataset.read(recording).samples) for recording in replayed)
    with sqlite3.connect(facts["database"]) as database:
        (rows,) = database.execute("select count(*) from predictions").fetchone()
        named = {label for (label,) in database.execute("select distinct label from predictions")}
    assert rows == ledger["predictions"] > 200
    assert named <= set(dataset.labels)


def test_everything_that_the_screen_names_is_there(shown: tuple[Path, dict[str, Any], str]) -> None:
    folder, facts, err = shown
    for key in ("model", "database", "report", "pipeline", "dataset"):
        assert Path(facts[key]).exists()
    assert {"motion.keras", "run.json", "history.png", "confusion.png"} <= {
        path.name for path in folder.iterdir()
    }
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    contract = json.loads(modelfile.split(Path(facts["model"]).read_bytes()).members[modelfile.CONTRACT])
    assert contract["input"]["window"] == 100
    assert contract["lineage"]["accuracy"] == facts["accuracy_int8"]
    assert "start" in err  # the console, which went to standard error
    split = json.loads((folder / "run.json").read_text())["split"]
    assert not set(split["train"]) & set(facts["tested"])
