"""Models on another machine: the same outputs, measured there."""

from __future__ import annotations

import json
import subprocess
import sys
from urllib.parse import quote

import numpy as np
import pytest

from edge_sdk import Model
from edge_sdk.errors import ModelError
from edge_sdk.targets import open_target
from tests.integration.target_ssh.reach import link, url, windows
from tests.models import Linear, flatbuffer, write_model

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("place", [None, "127.0.0.1:{port}", "127.0.0.1:{port}/"])
def test_outputs_are_those_of_this_machine(device, linear_file, place):
    place = place and place.format(port=device.port)
    with (
        Model.load(linear_file, target=url(device, place, threads=2)) as there,
        Model.load(linear_file) as here,
    ):
        assert there.runtime.version == here.runtime.version
        assert there.contract == here.contract
        assert there.labels == here.labels
        np.testing.assert_array_equal(there.scores(windows()), here.scores(windows()))
        assert len(device.workers()) == 2


def test_numpy_and_a_runtime_are_enough_there(device, bare, linear_file):
    there = url(device, python=bare["litert"])
    with Model.load(linear_file, target=there) as model, Model.load(linear_file) as here:
        np.testing.assert_array_equal(model.scores(windows()), here.scores(windows()))
    assert open_target(there).latency({0: linear_file}, [windows(1)])[0] > 0


def test_packages_may_lie_in_a_folder_there(device, bare, linear_file, tmp_path):
    """As in the runtime of a release: Python itself has nothing."""
    folder = tmp_path / "a release's runtime"
    folder.mkdir()
    link(folder, "numpy", "ai_edge_litert")
    older = folder / "edge_sdk"  # what travels counts, not what lies there
    older.mkdir()
    (older / "__init__.py").write_text("raise RuntimeError('of the release')")
    there = url(device, python=bare["nothing"], packages=quote(str(folder)))
    with Model.load(linear_file, target=there) as model, Model.load(linear_file) as here:
        np.testing.assert_array_equal(model.scores(windows()), here.scores(windows()))


def test_a_file_of_several_parts_arrives_whole(device, tmp_path):
    large = write_model(tmp_path / "large.tflite", Linear(window=50_000))
    assert large.stat().st_size > 1 << 20
    with Model.load(large, target=url(device)) as there, Model.load(large) as here:
        window = np.random.default_rng(0).normal(size=(50_000, 3)).astype(np.float32)
        np.testing.assert_array_equal(there.run(window).outputs, here.run(window).outputs)


def test_a_model_without_a_contract_has_its_labels(device, tmp_path):
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(flatbuffer())
    with Model.load(bare, target=url(device)) as there, Model.load(bare) as here:
        assert there.contract is None
        assert there.labels == here.labels
        assert there.digest == here.digest


def test_latency_is_measured_there_all_models_in_one_call(device, linear_file, tmp_path):
    slower = write_model(tmp_path / "slower.tflite", Linear(window=8, channels=3))
    found = open_target(url(device)).latency({"a": linear_file, "b": slower}, [windows(1)])
    assert set(found) == {"a", "b"}
    assert all(0 < latency < 10_000 for latency in found.values())


def test_models_that_are_refused_there_do_not_spoil_the_others(device, linear_file, tmp_path):
    damaged, crasher = tmp_path / "damaged.tflite", tmp_path / "crasher.tflite"
    damaged.write_bytes(flatbuffer()[:700])
    crasher.write_bytes(flatbuffer(Linear(custom_op="Mfcc")))
    files = {0: damaged, 1: linear_file, 2: crasher, 3: linear_file}
    found = open_target(url(device)).latency(files, [windows(1)])
    assert isinstance(found[0], ModelError)
    assert isinstance(found[2], ModelError)
    assert found[1] > 0
    assert found[3] > 0


def test_wrong_golden_outputs_are_refused_there(device, tmp_path, linear_file):
    from edge_sdk import modelfile

    parts = modelfile.split(linear_file.read_bytes())
    golden = modelfile.Golden.from_bytes(parts.members[modelfile.GOLDEN])
    golden.outputs[0][...] = 0.5
    members = {**parts.members, modelfile.GOLDEN: golden.to_bytes()}
    wrong = tmp_path / "wrong.tflite"
    wrong.write_bytes(modelfile.pack(parts.flatbuffer, members))
    with pytest.raises(ModelError, match=r"wrong.tflite on pi: .*golden outputs"):
        Model.load(wrong, target=url(device))


def test_auto_measures_on_the_device(device, linear_file, tmp_path):
    x = np.random.default_rng(0).normal(size=(300, 8, 3)).astype(np.float32)
    labels = np.array([np.argmax(Linear().expected(window)) for window in x])
    np.savez(tmp_path / "data.npz", window=x, labels=labels)
    command = [sys.executable, "-m", "edge_sdk", "convert", linear_file, "-o", tmp_path / "out.tflite"]
    options = ["--recipe", "auto", "--data", tmp_path / "data.npz", "--json", "--target", url(device)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    assert "on ssh://pi?" in done.stderr
    found = json.loads(done.stdout)
    assert all(trial["latency_us"] > 0 for trial in found["trials"] if trial["accuracy"] is not None)
    assert Model.load(tmp_path / "out.tflite", target=url(device)).close() is None


def test_auto_with_a_device_that_is_not_there_fails_with_one_line(device, linear_file, tmp_path):
    device.trust(None)
    x = np.random.default_rng(0).normal(size=(60, 8, 3)).astype(np.float32)
    np.savez(tmp_path / "data.npz", window=x, labels=np.arange(60) % 3)
    command = [sys.executable, "-m", "edge_sdk", "convert", linear_file, "-o", tmp_path / "out.tflite"]
    options = [
        "--recipe",
        "auto",
        "--data",
        tmp_path / "data.npz",
        "--max-drop",
        "90pt",
        "--target",
        url(device),
    ]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 3
    assert "the host key is not known" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out.tflite").exists()
