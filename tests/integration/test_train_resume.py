"""A training that is killed or interrupted goes on, and ends with the same weights to the last bit."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
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
from train_host import companions, resuming
from train_host import config as configs
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


#: In an epoch of these.
STEPS = 5


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


def test_a_training_goes_on_from_any_step_with_windows_in_memory_or_on_the_disk(
    folder: Path, tmp_path: Path, worker: Worker
) -> None:
    moments = {"memory": [STEPS, 3 * STEPS - 1], "disk": [STEPS + 3]}
    arguments = {"data": str(folder), "flags": FLAGS, "scratch": str(tmp_path), "moments": moments}
    found = do(worker, "interrupted", steps=STEPS, **arguments)
    assert found["memory"] == {"stops": [[1, 0], [3, 4]], "same": [True, True, True]}
    assert found["disk"] == {"stops": [[2, 3]], "same": [True, True, True]}


# --- kills and interrupts of the command


CONFIG = """
epochs = 800
batch = 8
patience = 0
seed = 5
augment = ["rotation", "jitter"]
[model]
filters = [4]
kernels = [3]
strides = [2]
"""


def weights(model: Path) -> dict[str, np.ndarray]:
    """Every array in a .keras file."""
    with zipfile.ZipFile(model) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        found: dict[str, np.ndarray] = {}
        file.visititems(
            lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
        )
    return found


def started(folder: Path, output: Path, *more: object) -> subprocess.Popen[str]:
    """`edgeml train` with SIGINT as a terminal gives it: tests in the background inherit an ignored one."""
    arguments = ["train", folder, "-o", output, "--checkpoint-s", 0.2, *more]
    return subprocess.Popen(
        [sys.executable, "-m", "edge_sdk", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def checkpoints(output: Path) -> list[Path]:
    return sorted((output.parent / f".{output.name}.training" / "checkpoints").glob("*.npz"))


@pytest.fixture(scope="module")
def undisturbed(folder: Path, tmp_path_factory: pytest.TempPathFactory, worker: Worker) -> Path:
    """A model whose training nobody disturbed."""
    place = tmp_path_factory.mktemp("undisturbed")
    (place / "train.toml").write_text(CONFIG)
    output = place / "m.keras"
    do(worker, "made", data=str(folder), config=str(place / "train.toml"), output=str(output))
    return output


@pytest.fixture(scope="module")
def stopped(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A training that got a Ctrl-C as soon as it trained: its model, which is not there, and what it said."""
    place = tmp_path_factory.mktemp("stopped")
    (place / "train.toml").write_text(CONFIG)
    with started(folder, place / "m.keras", "--config", place / "train.toml") as process:
        assert process.stderr is not None
        assert any("epoch " in line for line in process.stderr)
        pids = children(process.pid)
        assert pids
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(60) == 130
    wait_until_gone(pids)
    return place / "m.keras", said


def test_ctrl_c_leaves_a_checkpoint_and_nothing_else(stopped: tuple[Path, str]) -> None:
    output, said = stopped
    assert "--resume goes on from there" in said
    assert sorted(path.name for path in output.parent.iterdir()) == [".m.keras.training", "train.toml"]
    left = (output.parent / ".m.keras.training").rglob("*")
    assert {path.name for path in left if path.suffix != ".npz"} == {"checkpoints", "lock"}
    assert checkpoints(output)


def test_nothing_but_the_same_training_goes_on(
    folder: Path, tmp_path: Path, stopped: tuple[Path, str]
) -> None:
    output = stopped[0]
    before = resuming.interrupted(output)
    config = output.parent / "train.toml"
    with pytest.raises(ConfigError, match="cannot go on with another learning_rate: expected 0.002, as it"):
        train(Request(folder, configs.load(config, learning_rate=0.1), output, resume=True))
    other = motion(tmp_path / "other", groups=6, seed=1).folder
    with pytest.raises(ConfigError, match="cannot go on with another dataset"):
        train(Request(other, configs.load(config), output, resume=True))
    assert resuming.interrupted(output) == before


@pytest.mark.parametrize("kill", range(KILLS))
def test_after_a_kill_the_weights_are_those_of_a_training_that_nobody_disturbed(
    folder: Path, tmp_path: Path, stopped: tuple[Path, str], undisturbed: Path, kill: int
) -> None:
    output = tmp_path / "m.keras"
    shutil.copytree(stopped[0].parent / ".m.keras.training", tmp_path / ".m.keras.training")
    chance = random.Random(kill)
    fitting_s = json.loads((companions.path(undisturbed, companions.RECORD)).read_text())["seconds"]
    with started(folder, output, "--resume") as process:  # with the options that it began with
        assert process.stderr is not None
        assert "goes on in epoch" in process.stderr.readline()
        if chance.random() < 0.8:
            assert any("epoch " in line for line in process.stderr)
        time.sleep(chance.uniform(0, fitting_s))  # to be killed at any moment, not to wait for something
        pids = [process.pid, *children(process.pid)] if process.poll() is None else []
        process.kill()
        process.communicate()
    wait_until_gone(pids)  # the one that trains ends with the one that asked for it
    found = checkpoints(output)
    config = configs.load(stopped[0].parent / "train.toml")
    notes: list[dict[str, Any]] = []
    train(Request(folder, config, output, resume=True), notes.append)
    assert found == [] or "goes on in epoch" in notes[0]["note"]
    before, after = weights(undisturbed), weights(output)
    assert before.keys() == after.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(array, after[name], err_msg=name)
    histories = [
        json.loads(companions.path(path, companions.RECORD).read_text())["history"]
        for path in (undisturbed, output)
    ]
    assert histories[0] == histories[1]
    assert not list(tmp_path.glob(".*"))
