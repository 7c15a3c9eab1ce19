"""A training that is killed or interrupted goes on, and ends with the same weights to the last bit."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_sdk.child import Worker
from edge_sdk.errors import ConfigError
from tests.folders import motion
from tests.integration.training_work import STEPS
from train_host import config as configs
from train_host import resuming
from train_host.training import Request, train

pytestmark = pytest.mark.integration
h5py = pytest.importorskip("h5py", reason="pip install 'edgeml-kit[train]'")

#: Trainings that are killed at a random moment; each costs two starts of TensorFlow.
KILLS = int(os.environ.get("EDGEML_KILL_ROUNDS", "1"))
TINY = {"filters": [4], "kernels": [3], "strides": [2]}
FLAGS: dict[str, Any] = {
    "epochs": 4,
    "batch": 8,
    "patience": 2,
    "augment": ["rotation", "jitter"],
    "class_weights": {"shake": 2.0},
    "seed": 5,
    "model": TINY,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return motion(tmp_path_factory.mktemp("data") / "shaking", groups=6).folder


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """One process with TensorFlow for many fits."""
    with Worker() as worker:
        yield worker


def do(worker: Worker, function: str, **arguments: Any) -> Any:
    return worker.call(f"tests.integration.training_work:{function}", timeout_s=300, **arguments)


@pytest.mark.parametrize("stored", [False, True], ids=["memory", "disk"])
def test_a_training_goes_on_from_any_step(folder: Path, tmp_path: Path, worker: Worker, stored: bool) -> None:
    moments = [1, STEPS, 2 * STEPS + 3, 3 * STEPS - 1]
    found = do(
        worker,
        "interrupted",
        data=str(folder),
        flags=FLAGS,
        scratch=str(tmp_path),
        moments=moments,
        stored=stored,
    )
    assert found["stops"] == [[1, 1], [1, 0], [3, 3], [3, 4]]
    assert found["same"] == [True, True, True]


def test_windows_on_the_disk_teach_what_windows_in_memory_teach(folder: Path, worker: Worker) -> None:
    assert do(worker, "outcomes_of_both", data=str(folder), flags=FLAGS) == [True, True, True]
