"""``edgeml tune`` for real: trainings, conversions, a virtual board, and a Ray cluster of two machines."""

import base64
import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from edge_sdk import Model
from edge_sdk.dataset import Dataset
from edge_sdk.modelfile import RUN, read_members
from firmware_bridge.build import build
from firmware_bridge.emulator import Emulator
from firmware_bridge.terminal import Terminal
from tests.folders import motion
from train_host import config as configs
from train_host.tuning.measuring import Meter
from train_host.tuning.trial import CONVERTED, Result

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent
EDGEML = Path(sys.executable).with_name("edgeml")
TARGET = "virtual:cortex-m4"


class Searched(NamedTuple):
    """A search that has ended.

    Attributes:
        command: that began it, but for who does the work.
        folder: of it.
        said: the object that it printed.
        told: what it wrote on standard error.
    """

    command: list[Any]
    folder: Path
    said: dict[str, Any]
    told: str


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return motion(tmp_path_factory.mktemp("data") / "motion", groups=4, seconds=3.0).folder


@pytest.fixture(scope="module")
def searched(data, tmp_path_factory):
    """Two trials at a time on a cluster, measured on a virtual board by the machine that searches."""
    place = tmp_path_factory.mktemp("tuned")
    (place / "tune.toml").write_text(
        'window = 20\nepochs = 1\naugment = []\narch = "mlp"\n[search]\nbatch = [8, 16, 32]\n'
    )
    folder = place / "search"
    command = [EDGEML, "tune", data, "-o", folder, "--config", place / "tune.toml", "--json"]
    command += ["--target", TARGET, "--objective", "accuracy", "--objective", "instructions"]
    command += ["--limit", "arena_bytes=1M"]
    # Ray's sockets have long names, and a path to one may have 107 characters.
    short = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    try:
        done = subprocess.run(
            [
                HERE / "loopback.sh",
                HERE / "ray_cluster.sh",
                short,
                *command,
                "--trials",
                "2",
                "--ray",
                "auto",
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=560,
        )
    finally:
        shutil.rmtree(short, ignore_errors=True)
    assert done.returncode == 0, done.stderr
    return Searched(command, folder, json.loads(done.stdout), done.stderr)


@pytest.mark.timeout(600)
def test_a_cluster_tries_two_at_a_time(searched, data):
    assert searched.said["trials"] == 2
    assert searched.said["failed"] == 0
    assert "2/2  trial " in searched.told
    rows = list(csv.DictReader(io.StringIO((searched.folder / "trials.csv").read_text())))
    assert [row["trial"] for row in rows] == ["0", "1"]
    assert all(float(row["bytes"]) > 0 and row["failure"] == "" for row in rows)
    assert all(int(row["instructions"]) > 1000 and int(row["flash_bytes"]) > 1000 for row in rows)
    best = searched.said["best"]
    for key in ("model", "tflite", "report", "conversion_report", "record"):
        assert Path(best[key]).parent == searched.folder
        assert Path(best[key]).stat().st_size > 0
    assert 0 <= best["accuracy"] <= 1
    with Model.load(best["tflite"]) as model:
        assert model.labels == Dataset.load(data).labels
    # trials were judged on others than the final model is
    front = searched.said["front"][0]
    split = json.loads(read_members(Path(front["files"]) / "model.keras")[RUN])["split"]
    final = json.loads(Path(best["record"]).read_text())["split"]
    assert split["test"] == final["validation"]
    assert not set(split["train"]) & {*final["test"], *final["validation"]}
    # and what another one is trained from has the split of all
    again = configs.load(Path(front["files"]) / "config.json")
    assert (again.arch, again.batch, again.split) == ("mlp", front["values"]["batch"], None)


def test_ctrl_c_leaves_a_search_that_can_go_on(searched):
    with subprocess.Popen(
        [*searched.command, "--trials", "3"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        # A test run in the background has it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "goes on after 2 of 3 trials\n"
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"{searched.folder}: stopped; the same command goes on where it was" in told
    assert not (searched.folder / ".running").exists()
    # one that has ended has nothing to do, and says what it said
    before = Path(searched.said["best"]["model"]).stat().st_mtime_ns
    done = subprocess.run(
        [*searched.command, "--trials", "2"], capture_output=True, text=True, check=True, timeout=120
    )
    assert json.loads(done.stdout) == searched.said
    assert Path(searched.said["best"]["model"]).stat().st_mtime_ns == before


def test_each_model_is_put_onto_a_board_at_a_serial_port(searched, tmp_path):
    file = Path(searched.said["best"]["tflite"])
    firmware = build(file, "cortex-m4")
    content = base64.b64encode(file.read_bytes()).decode()
    result = Result(number=0, figures={"accuracy": 0.5}, files={CONVERTED: content})
    with Terminal(Emulator(firmware.elf, firmware.machine)) as board:
        meter = Meter(f"serial:{board.path}", f"cp {{model}} {tmp_path}/flashed.tflite")
        figures = meter.complete(result).figures
    assert (tmp_path / "flashed.tflite").read_bytes() == file.read_bytes()
    assert figures["accuracy"] == 0.5
    with Model.load(file, target=TARGET) as model:
        assert figures["arena_bytes"] == model.runtime.figures()["arena_bytes"]


def test_no_cluster_there(data, tmp_path):
    command = [EDGEML, "tune", data, "-o", tmp_path / "s", "--window", "20", "--ray", "127.0.0.1:1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 3
    assert "--ray 127.0.0.1:1: no cluster" in done.stderr
    assert len(done.stderr.splitlines()) == 1
