"""``edgeml hil`` on another machine, over a real ssh server: LiteRT there against LiteRT here."""

import json
import sys

import numpy as np
import pytest

from edge_sdk.cli import main
from tests.integration.ssh_server import running_device
from tests.models import write_model

pytestmark = pytest.mark.integration


def test_the_same_within_what_interpreters_may_differ(tmp_path, monkeypatch, capfd):
    file = write_model(tmp_path / "linear.tflite")
    x = np.random.default_rng(1).normal(size=(6, 8, 3)).astype(np.float32)
    np.savez(tmp_path / "test.npz", x=x, labels=x.sum(axis=1).argmax(axis=1))
    options = ["--data", str(tmp_path / "test.npz"), "--min-accuracy", "1", "--max-latency-us", "1e6"]
    (tmp_path / "device").mkdir()
    with running_device(tmp_path / "device") as device:
        monkeypatch.setenv("EDGEML_SSH_CONFIG", str(device.config))
        target = f"ssh://{device.alias}?python={sys.executable}"
        with pytest.raises(SystemExit) as ended:
            main(["hil", str(file), "--target", target, *options, "--json"])
    said = capfd.readouterr()
    assert ended.value.code == 0, said.err
    found = json.loads(said.out)
    assert (found["reference"], found["cases"], found["mismatches"], found["accuracy"]) == ("host:", 10, 0, 1)
    assert found["tolerance"] > 0
    assert 0 < found["latency_us"] <= found["latency_max_us"]
    assert found["instructions"] is found["arena_bytes"] is None
