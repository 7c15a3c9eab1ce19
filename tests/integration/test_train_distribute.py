"""One model, trained by several: what comes out is what one worker makes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_sdk import child
from edge_sdk.errors import ConfigError
from tests.folders import motion
from train_host.config import load
from train_host.fitting import members
from train_host.training import Request, train

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
#: Without normalisation over the batch, of which each replica sees a part only.
PLAIN = """
import keras

from train_host.architectures.normalization import normalization


def build(shape, head, statistics):
    x = inputs = keras.Input(shape, name="x")
    x = keras.layers.Flatten()(normalization(statistics)(x))
    return keras.Model(inputs, head(keras.layers.Dense(16, activation="relu")(x)), name="plain")
"""
#: 66 windows in batches of 9: the last one is of 3, and no batch can be halved.
TOML = "patience = 0\ncalibrate = false\nbatch = 9\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "plain.py").write_text(PLAIN)
    (tmp_path / "train.toml").write_text(TOML)
    motion(tmp_path / "data", groups=5)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def weights(models):
    """Of .keras files, in a process that has Keras."""
    import keras

    return [[v.numpy().ravel().tolist() for v in keras.saving.load_model(m).weights] for m in models]


def differences(*models):
    first, *others = child.call(f"{__name__}:weights", timeout_s=120, models=models)
    return [
        max(float(np.abs(np.array(a) - np.array(b)).max()) for a, b in zip(first, other, strict=True))
        for other in others
    ]


def one(place, name, **more):
    config = load(place / "train.toml", arch="plain:build", window=20, epochs=40, augment=[], **more)
    return train(Request(place / "data", config, place / name))


def test_two_devices_and_two_machines_equal_one_and_a_dead_worker_costs_only_time(place):
    one(place, "one.keras")
    one(place, "mirrored.keras", distribute="mirrored:2")
    command = [HERE / "loopback.sh", sys.executable, "-m", "tests.integration.two_workers"]
    done = subprocess.run([*command, place / "data", place], cwd=HERE.parents[1], check=False, timeout=560)
    said = "\n".join(path.read_text() for path in sorted(place.glob("worker-*.log")))
    assert done.returncode == 0, said
    assert "beginning again from the last checkpoint" in (place / "worker-0.log").read_text()
    assert "worker 1 of 2: the model is with worker 0" in said
    mirrored, team = differences("one.keras", "mirrored.keras", "team.keras")
    assert mirrored < 1e-6
    assert team < 1e-6
    assert not list(place.glob(".*training"))
    assert not list(place.glob("team.worker-1*"))


@pytest.mark.parametrize(
    ("distribute", "variable", "complaint"),
    [
        ("mirored", None, "distribute: expected mirrored, mirrored:N or multi-worker, found 'mirored'"),
        ("multi-worker:2", None, "distribute: expected"),
        ("multi-worker", None, "TF_CONFIG: expected who works together.*found nothing"),
        ("multi-worker", "{", "TF_CONFIG"),
        (
            "multi-worker",
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
            "TF_CONFIG",
        ),
        (
            "multi-worker",
            '{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}',
            "TF_CONFIG",
        ),
        ("multi-worker", '{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}', "TF_CONFIG"),
    ],
)
def test_what_is_wrong_is_said_before_tensorflow_starts(place, monkeypatch, distribute, variable, complaint):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if variable is not None:
        monkeypatch.setenv("TF_CONFIG", variable)
    with pytest.raises(ConfigError, match=complaint):
        one(place, "x.keras", distribute=distribute)
    assert not list(place.glob("*.keras"))


def test_who_is_who(monkeypatch):
    text = '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}'
    monkeypatch.setenv("TF_CONFIG", text)
    found = members.member("multi-worker")
    assert found == members.Member(("a:1", "b:2"), 1)
    assert not found.chief
    assert members.member("mirrored") is None
    assert members.member(None) is None
