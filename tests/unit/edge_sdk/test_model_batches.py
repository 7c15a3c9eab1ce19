"""Many windows in one invoke say what each says alone, in bounded memory."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk import Model, ModelError, SpecError, batching, child, registry, verify
from edge_sdk.graph import read_graph
from tests import kinds
from tests.kinds import TwoSensors, contract, doubled, write
from tests.models import flatbuffer, packed

CHOSEN = os.environ.get("EDGEML_RUNTIME", "litert")
SENSORS = TwoSensors()
FILES = {
    "linear": (packed(), None),
    "foreign": (flatbuffer(), None),
    "two sensors": (SENSORS.flatbuffer(), SENSORS.contract("gyro", "accel")),
    "uint8": (doubled("uint8", (0.5, 128)), None),
    "int8": (doubled("int8", (0.05, -3)), None),
    "int16": (doubled("int16", (0.001, 0)), None),
    "int32": (doubled("int32"), None),
    "open length": (kinds.open_time(), contract(["x", "y", "z"], 6)),
    "fixed batch": (doubled(shape=(1, 3)), None),
    "mixing": (kinds.mixing(), None),
    "recurrent": (kinds.recurrent(), None),
    "no batch": (doubled(shape=(4, 3)), None),
    "scalar": (kinds.scalar(), None),
}
LOOPS = {"fixed batch", "mixing", "recurrent", "no batch", "scalar"}


@pytest.fixture(scope="module")
def load():
    with kinds.loading() as load:
        yield load


@pytest.fixture(scope="module")
def models(load, tmp_path_factory):
    folder = tmp_path_factory.mktemp("batches")
    loaded = {}
    for name, (data, facts) in FILES.items():
        path = folder / f"{name}.tflite"
        path.write_bytes(data)
        loaded[name] = load(path if facts is None else write(path, data, facts))
    return loaded


def windows(model, n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, *model.input_shape), scale=3).astype(np.float32)


def bits(predictions):
    return [(p.label, p.score, p.value, p.outputs.tobytes(), p.outputs.shape, p.model) for p in predictions]


def test_what_batches_and_what_does_not(models):
    assert {name for name, model in models.items() if not model.batches} == LOOPS
    assert {models[name].max_batch for name in LOOPS} == {1}
    assert {model.max_batch for name, model in models.items() if name not in LOOPS} == {64}


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=12, deadline=None)
@given(n=st.one_of(st.integers(0, 20), st.integers(44, 150)), seed=st.integers(0, 9))
def test_a_batch_says_what_each_window_says_alone(models, name, n, seed):
    model = models[name]
    given = windows(model, n, seed)
    assert bits(model.run_batch(given)) == bits([model.run(window) for window in given])


@pytest.mark.parametrize("name", ["linear", "two sensors"])
def test_several_inputs_by_name(models, name):
    model, n = models[name], 21
    rng = np.random.default_rng(3)
    given = {t.name: rng.normal(size=(n, *t.shape[1:])).astype(np.float32) for t in model.inputs}
    alone = [model.run({key: array[i] for key, array in given.items()}) for i in range(n)]
    assert bits(model.run_batch(given)) == bits(alone)
    given[model.inputs[0].name] = given[model.inputs[0].name][:20]
    if len(given) > 1:
        with pytest.raises(SpecError, match=r"as many for each input, found \[20, 21\]"):
            model.run_batch(given)


def test_windows_of_other_types_and_layouts(models):
    model = models["linear"]
    given = windows(model, 30)
    same = bits(model.run_batch(given))
    assert bits(model.run_batch(given.astype(np.float64))) == same
    assert bits(model.run_batch(np.asfortranarray(given))) == same
    assert bits(model.run_batch(given[:, :, :, None])) == same
    padded = np.zeros((60, 8, 3), np.float32)
    padded[::2] = given
    assert bits(model.run_batch(padded[::2])) == same
    for wrong in (given[:, :7], np.float32(3), given.astype(str)):
        with pytest.raises(SpecError):
            model.run_batch(wrong)


def test_the_invoke_is_shared_by_its_windows(models):
    model = models["linear"]
    predictions = model.run_batch(windows(model, 64 + 16 + 2))
    shares = [p.latency_us for p in predictions]
    assert [len(set(part)) for part in (shares[:64], shares[64:80])] == [1, 1]
    assert all(share > 0 for share in shares)


def test_a_prediction_does_not_hold_on_to_its_batch(models):
    for name in ("linear", "uint8"):
        for prediction in models[name].run_batch(windows(models[name], 64)):
            base = prediction.outputs.base
            assert base is None or base.nbytes <= 512 < 64 * prediction.outputs.nbytes


def test_memory_is_taken_when_it_is_needed_and_is_bounded(load, tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(packed())
    model = load(path)
    grown = []
    for n in (0, 2, 4, 16, 64, 200):
        model.run_batch(windows(model, n))
        grown.append(model.batch_bytes)
    assert grown[:2] == [0, 0]
    assert 0 < grown[2] < grown[3] < grown[4] == grown[5] <= batching.MOST_BYTES


def test_large_tensors_make_small_batches(load, tmp_path):
    sizes = {}
    for side in (16, 160, 400, 1000):
        model = load(write(tmp_path / f"{side}.tflite", doubled(shape=(-1, side, side))))
        sizes[side] = model.max_batch
        images = windows(model, 5)
        assert bits(model.run_batch(images)) == bits([model.run(image) for image in images])
        assert model.batch_bytes <= batching.MOST_BYTES
    assert sizes == {16: 64, 160: 16, 400: 4, 1000: 1}


def test_what_a_window_takes_follows_its_open_length(tmp_path):
    taken = []
    for window in (100, 1000):
        path = write(tmp_path / "m.tflite", kinds.open_time(), contract(["x", "y", "z"], window))
        taken.append(verify.verify(path, CHOSEN).footprint["window_bytes"])
    assert 5 * taken[0] < taken[1] < 11 * taken[0]


def test_an_engine_without_batches_is_asked_one_by_one(models):
    """As one at the other end of an ssh connection is."""
    near = models["foreign"]
    far = Model(near.runtime, near.digest, None, name=near.name)
    assert (far.batches, far.max_batch, far.batch_bytes) == (False, 1, 0)
    given = windows(far, 9)
    assert bits(far.run_batch(given)) == bits(near.run_batch(given))


def test_a_size_that_the_runtime_refuses_is_given_up():
    class Narrow(registry.find("runtimes", CHOSEN)):
        def batched(self, size):
            if size > 16:
                raise ModelError("out of memory")
            return super().batched(size)

    engine = Narrow(flatbuffer())
    footprint = batching.footprint(read_graph(flatbuffer()), engine.inputs)
    with Model(engine, "", None, name="narrow", footprint=footprint) as model:
        given = windows(model, 100)
        assert bits(model.run_batch(given)) == bits([model.run(window) for window in given])
        assert model.max_batch == 16


def test_the_verdict_tells_whether_it_batches(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("linear", "mixing"):
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(FILES[name][0])
        first, again = (verify.verify(path, CHOSEN) for _ in range(2))
        assert (first.cached, again.cached) == (False, True)
        assert first.footprint == again.footprint
        assert (first.footprint is None) == (name == "mixing")


def test_a_model_that_crashes_in_a_batch_runs_one_by_one(tmp_path, monkeypatch):
    """The child process that tried it died; the model is good, but for batches."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = write(tmp_path / "m.tflite", flatbuffer())
    calls = []

    class Dying(child.Worker):
        def call(self, function, **arguments):
            calls.append(function)
            if function == "edge_sdk.batching:rehearse":
                return super().call("os:abort", timeout_s=10)
            return super().call(function, **arguments)

    with Dying() as worker:
        assert verify.verify(path, CHOSEN, worker=worker).footprint is None
    assert calls == ["edge_sdk.verify:examine", "edge_sdk.batching:rehearse"]
    with Model.load(path) as model:
        assert not model.batches
        assert len(model.run_batch(windows(model, 5))) == 5


def test_the_footprint_counts_what_lives_at_the_same_time():
    engine = registry.find("runtimes", CHOSEN)(SENSORS.flatbuffer())
    found = batching.footprint(read_graph(SENSORS.flatbuffer()), engine.inputs)
    inputs = 8 * 5 * 4
    assert 2 * inputs <= found["window_bytes"] <= 2 * (inputs + 20 * 4)
