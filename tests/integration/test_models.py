"""Models as people bring them say on the device what they said in TensorFlow, alone and in batches."""

import json
import re
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge_sdk import Block, Config, Model, child
from edge_sdk.contract import Tensor
from edge_sdk.schema import parse_contract
from tests import device_models
from tests.device_models import CHANNELS, CONTRACTS, MEMORY, recorded
from tests.integration.ssh_server import running_device
from tests.kinds import MovingAverage, TwoSensors, contract, doubled, loading, open_time, write
from tests.models import write_model

pytestmark = pytest.mark.integration
PAGE = Path(__file__).parents[2] / "docs" / "models.md"


@pytest.fixture(scope="module")
def tensorflow():
    """A process that has it."""
    with child.Worker() as worker:
        yield worker


@pytest.fixture(scope="module")
def folder(tensorflow, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    tensorflow.call("tests.device_models:build", timeout_s=120, folder=str(folder))
    return folder


@pytest.fixture(scope="module")
def load(folder):
    with loading() as load:
        yield lambda name, facts=None: load(folder / f"{name}.tflite", facts or CONTRACTS.get(name))


def rows(arrays):
    return [dict(zip(arrays, row, strict=True)) for row in zip(*arrays.values(), strict=True)]


def test_two_inputs_and_two_outputs_of_keras(load, folder):
    model = load("two_inputs")
    inputs, outputs = recorded(folder / "two_inputs.tflite")
    for given, expected in zip(rows(inputs), rows(outputs), strict=True):
        said = model.run_all(given)
        assert said.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_allclose(said[name], values, atol=1e-5)
    assert model.batches
    labelled = load("two_inputs", contract(["level"], 16, labels="abcdefg", layout="HWC"))
    for prediction, exercise in zip(labelled.run_batch(inputs), outputs["output_1"], strict=True):
        assert prediction.label == "abcdefg"[int(exercise.argmax())]


def test_a_streaming_convolution_goes_on_where_it_was(load):
    model = load("streaming")
    assert (model.stateful, model.batches) == (True, True)
    streams = np.random.default_rng(8).normal(size=(30, 25, 3)).astype(np.float32)  # thirty devices
    states = [model.new_state() for _ in streams]
    for step in range(25):
        for i, prediction in enumerate(model.run_batch(streams[:, step : step + 1], states)):
            expected = device_models.whole_stream(streams[i, : step + 1])[-1]
            np.testing.assert_allclose(prediction.outputs, expected, atol=1e-5)
    assert states[0].bytes == MEMORY * 3 * 4


def test_an_image_of_bytes(load, folder):
    model = load("photo_uint8")
    inputs, outputs = recorded(folder / "photo_uint8.tflite")
    assert [(t.dtype, t.shape) for t in (*model.inputs, *model.outputs)] == [
        ("uint8", (1, 24, 24, 3)),
        ("uint8", (1, 5)),
    ]
    port = model.runtime.inputs[0]
    for image, expected in zip(inputs["image"], outputs["output_0"], strict=True):
        prediction = model.run(image)
        np.testing.assert_allclose(prediction.outputs, expected, atol=0.02)
        pixels = port.quantize(image)  # a camera's own bytes are taken as they are
        assert model.run(pixels).outputs.tolist() == prediction.outputs.tolist()
    batch = model.run_batch(inputs["image"])
    assert [p.outputs.tolist() for p in batch] == [
        model.run(image).outputs.tolist() for image in inputs["image"]
    ]


def test_a_recording_of_any_length(load, folder):
    inputs, outputs = recorded(folder / "open_length.tflite")
    model = load("open_length")
    assert model.input_shape == (50, 3)
    for window, expected in zip(inputs["recording"], outputs["output_0"], strict=True):
        np.testing.assert_allclose(model.run(window).outputs, expected, atol=1e-5)
    (prediction,) = model.stream([Block(inputs["recording"][0], 50.0, channels=CHANNELS)])
    np.testing.assert_allclose(prediction.outputs, outputs["output_0"][0], atol=1e-5)
    assert load("open_length", contract(CHANNELS, 11)).run(np.ones((11, 3), np.float32)).outputs.shape == (2,)


def test_a_variable_of_the_model_starts_over_with_every_window(load, folder):
    model = load("counting")
    inputs, outputs = recorded(folder / "counting.tflite")
    for window, expected in zip(inputs["x"], outputs["total"], strict=True):
        np.testing.assert_allclose(model.run(window).outputs, expected, rtol=1e-6)
    assert not model.batches


def test_tensorflows_own_runtime_says_the_same(tensorflow, folder):
    task = {"folder": str(folder), "runtime": "tensorflow"}
    found = tensorflow.call("tests.device_models:run_in", timeout_s=120, **task)
    assert {
        name: facts["off"] <= (0.02 if name == "photo_uint8" else 1e-5) for name, facts in found.items()
    } == (dict.fromkeys(device_models.MAKERS, True))
    assert {name for name, facts in found.items() if facts["batches"]} == set(found) - {"counting"}
    assert max(facts["apart"] for facts in found.values()) <= 1e-6
    names = {name: sorted(facts["names"]) for name, facts in found.items()}
    assert names["streaming"] == ["filtered", "ring", "ring_after", "sample"]
    assert names["two_inputs"] == ["acceleration", "level", "output_0", "output_1"]


@pytest.mark.parametrize("side", [20, 150])
def test_batches_take_no_more_memory_than_they_say(tmp_path, side):
    path = write(tmp_path / "m.tflite", doubled(shape=(-1, side, side)))
    Model.load(path).close()
    grown, told = child.call("tests.integration.test_models:grow", timeout_s=60, file=str(path))
    assert 0 < grown <= told, (grown, told)


def grow(file):
    """In a process of its own: resident memory that batches added, and what `batch_bytes` says, bytes."""

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    with Model.load(file) as model:
        windows = np.ones((model.max_batch, *model.input_shape), np.float32)
        model.run(windows[0])
        before = resident()
        for n in (4, 16, 64):
            model.run_batch(windows[:n])
        del windows
        return resident() - before, model.batch_bytes


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def place(tmp_path, monkeypatch):
    sensors, average = TwoSensors(), MovingAverage()
    write_model(tmp_path / "motion.tflite")
    write(tmp_path / "two_sensors.tflite", sensors.flatbuffer(), sensors.contract("accel", "gyro"))
    write(tmp_path / "average.tflite", average.flatbuffer(), average.contract())
    write(tmp_path / "foreign.tflite", open_time())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("code", blocks("python"), ids=lambda code: code.split("\n")[-2][:40])
def test_the_python_of_the_page_runs(place, code, capsys):
    exec(compile(code, "models.md", "exec"), {})
    printed = capsys.readouterr().out
    if "tensor.role" in code:
        assert printed == blocks("text")[0]
    if "states[" in code:
        assert printed.split() == ["0.25", "0.5", "0.75", "1.0"]


def test_the_contract_of_the_page_settles_the_length(place):
    (example,) = blocks("toml")
    config = Config.parse(example, folder=place)
    facts = parse_contract(config.contract)
    with Model.load("foreign.tflite", contract=facts) as model:
        assert model.input_shape == (100, 3)
    (listed,) = blocks("json")
    tensors = [msgspec.convert(tensor, Tensor) for tensor in json.loads(f"[{listed}]")]
    facts = MovingAverage().contract()
    assert [tensor for tensor in facts.tensors if tensor.name != "average"] == tensors


@pytest.fixture
def far(tmp_path_factory, monkeypatch):
    """The target of another machine."""
    with running_device(tmp_path_factory.mktemp("device")) as device:
        monkeypatch.setenv("EDGEML_SSH_CONFIG", str(device.config))
        yield f"ssh://{device.alias}?python={sys.executable}"


def test_every_kind_runs_on_another_machine_one_by_one(place, far):
    rng = np.random.default_rng(5)
    facts = contract(CHANNELS, 100)
    for name, supplied in (("two_sensors", None), ("foreign", facts)):
        with (
            Model.load(f"{name}.tflite", contract=supplied) as here,
            Model.load(f"{name}.tflite", target=far, contract=supplied) as there,
        ):
            assert (there.inputs, there.outputs, there.batches) == (here.inputs, here.outputs, False)
            windows = rng.normal(size=(5, *here.input_shape)).astype(np.float32)
            for one, other in zip(here.run_batch(windows), there.run_batch(windows), strict=True):
                assert one.outputs.tobytes() == other.outputs.tobytes()
    with Model.load("average.tflite", target=far) as model:
        states = [model.new_state() for _ in range(2)]
        samples = rng.normal(size=(6, 2, 1, 2)).astype(np.float32)
        said = [[p.outputs for p in model.run_batch(step, states)] for step in samples]
    for stream in range(2):
        expected = MovingAverage().expected(samples[:, stream, 0])
        np.testing.assert_allclose([step[stream] for step in said], expected, atol=1e-6)
