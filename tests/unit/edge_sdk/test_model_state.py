"""A streaming model remembers each stream apart, and only as its contract says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk import ContractError, Model, SpecError
from edge_sdk.contract import Tensor
from edge_sdk.schema import parse_contract
from tests import kinds
from tests.kinds import MovingAverage, write

EXACT = MovingAverage()
COARSE = MovingAverage(scaled=(0.05, 3))


@pytest.fixture(scope="module")
def load():
    with kinds.loading() as load:
        yield load


@pytest.fixture(scope="module")
def models(load, tmp_path_factory):
    folder = tmp_path_factory.mktemp("streaming")
    return {
        name: load(write(folder / f"{name}.tflite", spec.flatbuffer(), spec.contract()))
        for name, spec in (("float32", EXACT), ("int8", COARSE))
    }


def samples(n, seed=1):
    return np.random.default_rng(seed).normal(size=(n, 1, 2)).astype(np.float32)


def test_a_streaming_model_says_what_it_remembers(models):
    model = models["float32"]
    assert model.stateful
    assert [(t.name, t.state) for t in model.inputs] == [("past", "next"), ("sample", None)]
    assert (model.input_shape, model.channels, model.window) == ((1, 2), ("u", "v"), 1)
    assert model.new_state().bytes == 3 * 2 * 4


def test_each_stream_is_remembered_apart(models):
    model = models["float32"]
    streams = {seed: samples(12, seed) for seed in range(3)}
    states = {seed: model.new_state() for seed in streams}
    said = {seed: [] for seed in streams}
    for step in range(12):
        for seed, stream in streams.items():
            said[seed].append(model.run(stream[step], states[seed]).outputs)
    for seed, stream in streams.items():
        np.testing.assert_allclose(np.stack(said[seed]), EXACT.expected(stream[:, 0]), atol=1e-6)


def test_without_a_state_each_window_is_the_first(models):
    model = models["float32"]
    for sample in samples(4):
        np.testing.assert_allclose(model.run(sample).outputs, sample[0] / 4, atol=1e-6)


def test_a_state_starts_over(models):
    model, state = models["float32"], models["float32"].new_state()
    first = [model.run(sample, state).outputs.tolist() for sample in samples(5)]
    state.reset()
    assert [model.run(sample, state).outputs.tolist() for sample in samples(5)] == first


def test_a_quantized_state_begins_at_zero_and_is_scaled_to_its_input(models):
    model, state = models["int8"], models["int8"].new_state()
    assert np.unique(state.tensors["past"]).tolist() == [3]  # the zero point
    stream = samples(20)
    said = np.stack([model.run(sample, state).outputs for sample in stream])
    # Each sample is rounded on its way in, and to the double of a step on each of three ways round.
    np.testing.assert_allclose(said, COARSE.expected(stream[:, 0]), atol=0.05 / 2 + 0.1)


STREAMS = st.integers(0, 29)


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(
        st.one_of(st.lists(STREAMS, unique=True, min_size=3), st.lists(STREAMS, max_size=20)), max_size=4
    ),
    kind=st.sampled_from(["float32", "int8"]),
    seed=st.integers(0, 99),
)
def test_in_a_batch_every_stream_goes_on_as_alone(models, steps, kind, seed):
    model = models[kind]
    alone, together = ([model.new_state() for _ in range(30)] for _ in range(2))
    for step, order in enumerate(steps):
        windows = samples(len(order), seed + step)
        one_by_one = [model.run(window, alone[i]) for window, i in zip(windows, order, strict=True)]
        batch = model.run_batch(windows, [together[i] for i in order])
        assert [p.outputs.tobytes() for p in batch] == [p.outputs.tobytes() for p in one_by_one]
        for mine, other in zip(together, alone, strict=True):
            assert mine.tensors["past"].tobytes() == other.tensors["past"].tobytes()


def test_a_batch_of_unlike_streams_is_one_invoke(models):
    model, windows = models["float32"], samples(16)
    states = [model.new_state() for _ in windows]
    shares = {p.latency_us for p in model.run_batch(windows, states)}
    assert len(shares) == 1
    assert all(state.tensors["past"].base is None for state in states)  # none holds on to the whole batch
    fresh = model.run_batch(windows)  # without states each is the first of its stream
    np.testing.assert_allclose([p.outputs for p in fresh], windows[:, 0] / 4, atol=1e-6)


def test_a_state_of_another_model_is_refused(models, load, tmp_path):
    longer = MovingAverage(memory=5)
    state = load(write(tmp_path / "m.tflite", longer.flatbuffer(), longer.contract())).new_state()
    for wrong in (state, models["int8"].new_state()):
        with pytest.raises(SpecError, match="state: expected one that this model's new_state"):
            models["float32"].run(samples(1)[0], wrong)
    with pytest.raises(SpecError, match="states: expected 3, one a window, found 2"):
        models["float32"].run_batch(samples(3), [None, None])


def test_a_failed_window_changes_no_state(models):
    model, state = models["float32"], models["float32"].new_state()
    model.run(samples(1)[0], state)
    before = state.tensors["past"].tobytes()
    with pytest.raises(SpecError):
        model.run(np.zeros((2, 2), np.float32), state)
    assert state.tensors["past"].tobytes() == before


def test_a_stateless_model_has_an_empty_state(linear_file, linear):
    with Model.load(linear_file) as model:
        assert not model.stateful
        state = model.new_state()
        window = np.ones((linear.window, linear.channels), np.float32)
        assert model.run(window, state).outputs.tolist() == model.run(window).outputs.tolist()
        assert (state.bytes, len(model.run_batch(np.stack([window] * 5), [state] * 5))) == (0, 5)


def test_a_foreign_file_is_streaming_where_a_contract_says_so(load, tmp_path):
    path = write(tmp_path / "m.tflite", EXACT.flatbuffer())
    model = load(path)
    assert not model.stateful
    said = model.run_all({"sample": samples(1)[0], "past": np.ones((3, 2), np.float32)})
    assert said["next"].shape == (3, 2)
    facts = EXACT.contract()
    facts.tensors = tuple(t for t in facts.tensors if t.name != "sample")  # its input needs no listing
    assert load(path, facts).stateful


def test_a_state_that_does_not_fit_the_model_is_refused(load, tmp_path):
    path = write(tmp_path / "m.tflite", EXACT.flatbuffer())
    facts = EXACT.contract()
    facts.tensors[0].state = "average"
    wrong = r"an output of \[1, 3, 2\] for the state 'past', found average \[1, 2\]"
    with pytest.raises(SpecError, match=wrong):
        load(path, facts)
    facts.tensors[0].state = "nothing"
    with pytest.raises(SpecError, match="does not fit the model: .* found nothing"):
        load(path, facts)


@pytest.mark.parametrize(
    ("place", "state", "message"),
    [
        (0, "nothing", "expected an output among next, average, found nothing"),
        (0, "average", r"expected an output of \[1, 3, 2\], found average"),
        (1, "next", r"expected an output of \[1, 1, 2\]"),
        (3, "next", "expected of an input"),
    ],
)
def test_a_state_that_contradicts_the_contract_is_an_error(place, state, message):
    facts = EXACT.contract().as_dict()
    facts["tensors"][place]["state"] = state
    with pytest.raises(ContractError, match=message):
        parse_contract(facts)


def test_a_state_is_fed_by_one_output_only():
    facts = EXACT.contract().as_dict()
    facts["tensors"].append({**facts["tensors"][0], "name": "older"})
    with pytest.raises(ContractError, match="feeds one input, found next twice"):
        parse_contract(facts)


def test_a_contract_without_states_is_written_as_ever():
    assert b"state" not in kinds.contract(["x"], 4, Tensor("input", "x", "float32", (1, 4, 1))).to_json()
    facts = EXACT.contract()
    assert parse_contract(facts.to_json()) == facts
