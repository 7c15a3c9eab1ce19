"""``edgeml tune`` for real: trainings, conversions, and a Ray cluster of two machines."""

import csv
import io
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from edge_sdk import Model
from edge_sdk.dataset import Dataset
from edge_sdk.modelfile import RUN, read_members
from tests.folders import motion

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent
EDGEML = Path(sys.executable).with_name("edgeml")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return motion(tmp_path_factory.mktemp("data") / "motion", groups=4, seconds=3.0).folder


@pytest.fixture
def short():
    """Ray's sockets have long names, and a path to one may have 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.timeout(600)
def test_a_cluster_tries_two_at_a_time(data, tmp_path, short):
    (tmp_path / "tune.toml").write_text(
        'window = 20\nepochs = 1\naugment = []\narch = "mlp"\n[search]\nbatch = [8, 16]\n'
    )
    search = tmp_path / "search"
    command = [
        HERE / "loopback.sh",
        HERE / "ray_cluster.sh",
        short,
        EDGEML,
        "tune",
        data,
        "-o",
        search,
        "--config",
        tmp_path / "tune.toml",
    ]
    command += ["--trials", "2", "--ray", "auto", "--limit", "arena_bytes=1M", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=560)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["trials"] == 2
    assert "2/2  accuracy" in done.stderr
    rows = list(csv.DictReader(io.StringIO((search / "trials.csv").read_text())))
    assert [row["trial"] for row in rows] == ["0", "1"]
    assert all(float(row["bytes"]) > 0 and row["failure"] == "" for row in rows)
    best = said["best"]
    with Model.load(best["tflite"]) as model:
        assert model.labels == Dataset.load(data).labels
    # trials were judged on others than the final model is
    trial = said["front"][0]["trial"]
    split = json.loads(read_members(search / "trials" / str(trial) / "model.keras")[RUN])["split"]
    final = json.loads((search / "run.json").read_text())["split"]
    assert split["test"] == final["validation"]
    assert not set(split["train"]) & {*final["test"], *final["validation"]}


def test_no_cluster_there(data, tmp_path):
    command = [EDGEML, "tune", data, "-o", tmp_path / "s", "--window", "20", "--ray", "127.0.0.1:1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 3
    assert "--ray 127.0.0.1:1: no cluster" in done.stderr
    assert len(done.stderr.splitlines()) == 1
