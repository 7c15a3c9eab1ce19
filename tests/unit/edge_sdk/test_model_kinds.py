"""Models of any number of inputs and outputs, of any number type, rank and open length, run as they are."""

import os

import numpy as np
import pytest

from edge_sdk import Block, ModelError, SpecError
from edge_sdk.contract import Tensor
from edge_sdk.verify import verify
from tests import kinds
from tests.kinds import TwoSensors, contract, doubled, write

CHOSEN = os.environ.get("EDGEML_RUNTIME", "litert")
RNG = np.random.default_rng(4)
SENSORS = TwoSensors()


def readings(n=1, spec=SENSORS):
    accel = RNG.normal(size=(n, spec.window, 3)).astype(np.float32)
    gyro = RNG.normal(size=(n, spec.window, 2)).astype(np.float32)
    return accel, gyro


@pytest.fixture(scope="module")
def loaded():
    with kinds.loading() as loaded:
        yield loaded


@pytest.fixture
def load(loaded, tmp_path):
    """Writes a flatbuffer, and loads it."""
    return lambda flatbuffer, facts=None: loaded(write(tmp_path / "m.tflite", flatbuffer, facts))


def test_inputs_and_outputs_have_the_names_of_the_signature(load):
    model = load(SENSORS.flatbuffer())
    assert [(t.role, t.name, t.dtype, t.shape, t.signature) for t in model.inputs] == [
        ("input", "accel", "float32", (1, 8, 3), "serving_default"),
        ("input", "gyro", "float32", (1, 8, 2), "serving_default"),
    ]
    assert [(t.role, t.name, t.shape) for t in model.outputs] == [
        ("output", "level", (1, 1)),
        ("output", "scores", (1, 5)),
    ]


def test_without_a_signature_the_tensors_names_count(load):
    model = load(doubled(named=False))
    assert [t.name for t in (*model.inputs, *model.outputs)] == ["serving_default_x:0", "t1"]
    assert model.inputs[0].signature == ""
    assert model.run({"serving_default_x:0": np.ones(3, np.float32)}).outputs.tolist() == [2, 2, 2]


def test_several_inputs_by_name(load):
    model = load(SENSORS.flatbuffer())
    (accel,), (gyro,) = readings()
    for given in ({"accel": accel, "gyro": gyro}, {"gyro": gyro[None], "accel": accel.astype(np.float64)}):
        said = model.run_all(given)
        for name, values in SENSORS.expected(accel, gyro).items():
            np.testing.assert_allclose(said[name], values, atol=1e-6)
            assert said[name].dtype == np.float32


def test_the_primary_output_is_the_one_that_the_labels_fit(load):
    (accel,), (gyro,) = readings()
    given, expected = {"accel": accel, "gyro": gyro}, SENSORS.expected(accel, gyro)
    prediction = load(SENSORS.flatbuffer(), SENSORS.contract("accel", "gyro")).run(given)
    assert prediction.label == SENSORS.labels[int(expected["scores"].argmax())]
    np.testing.assert_allclose(prediction.outputs, expected["scores"], atol=1e-6)

    foreign = load(SENSORS.flatbuffer()).run(given)  # no labels: the first
    np.testing.assert_allclose([foreign.value], expected["level"], atol=1e-6)

    facts = SENSORS.contract("accel", "gyro")
    facts.task, facts.output.labels = "regression", ()
    assert load(SENSORS.flatbuffer(), facts).run(given).value == pytest.approx(foreign.value)
    facts.tensors = (*facts.tensors[:2], *facts.tensors[:1:-1])  # the contract's order counts
    assert load(SENSORS.flatbuffer(), facts).run(given).outputs.shape == (5,)

    facts = SENSORS.contract("accel", "gyro")
    facts.output.labels = ("a", "b", "c")
    with pytest.raises(SpecError, match="labels: expected 1, one for each output, found 3"):
        load(SENSORS.flatbuffer(), facts)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("order", [("accel", "gyro"), ("gyro", "accel")])
def test_the_columns_of_a_window_go_to_the_inputs_in_the_contracts_order(load, order, flat):
    spec = TwoSensors(flat=flat)
    model = load(spec.flatbuffer(), spec.contract(*order))
    assert (model.input_shape, model.channel_count, model.window) == ((8, 5), 5, 8)
    (accel,), (gyro,) = readings()
    columns = {"accel": accel, "gyro": gyro}
    window = np.concatenate([columns[name] for name in order], axis=1)
    np.testing.assert_allclose(model.run(window).outputs, spec.expected(accel, gyro)["scores"], atol=1e-6)
    by_name = model.run(columns)
    assert by_name.outputs.tobytes() == model.run(window).outputs.tobytes()
    streamed = list(model.stream([Block(window, 50.0, channels=model.channels)]))
    assert [p.outputs.tobytes() for p in streamed] == [by_name.outputs.tobytes()]
    with pytest.raises(SpecError, match=r"window: expected float32 \[8, 5\], found \[8, 4\]"):
        model.run(window[:, :4])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda facts: facts.tensors[:1], "expected every input among its tensors"),
        (lambda facts: facts.tensors[1:], "expected every input among its tensors"),
        (lambda facts: (), "expected every input among its tensors"),
        (
            lambda facts: (Tensor("input", "acceleration", "float32", (1, 8, 3)), *facts.tensors[1:]),
            "lists an input that the model has not: expected among accel, gyro, found acceleration",
        ),
        (
            lambda facts: (*facts.tensors[:2], Tensor("output", "labels", "float32", (1, 5))),
            "lists an output that the model has not: expected among level, scores",
        ),
    ],
)
def test_a_contract_that_lists_other_tensors_is_refused(load, change, message):
    facts = SENSORS.contract("accel", "gyro")
    facts.tensors = change(facts)
    with pytest.raises(SpecError, match=message):
        load(SENSORS.flatbuffer(), facts)


def test_channels_that_are_not_those_of_the_inputs_are_refused(load):
    facts = SENSORS.contract("accel", "gyro")
    facts.input.channels = facts.input.channels[:4]
    with pytest.raises(SpecError, match=r"of 4 channels together, found accel \[8, 3\], gyro \[8, 2\]"):
        load(SENSORS.flatbuffer(), facts)
    facts = SENSORS.contract("accel", "gyro")
    facts.input.window = 4
    with pytest.raises(SpecError, match="does not fit the model: expected inputs of 4 samples each"):
        load(SENSORS.flatbuffer(), facts)


def test_inputs_that_are_not_the_models_are_refused(load):
    model = load(SENSORS.flatbuffer())
    (accel,), (gyro,) = readings()
    for given, message in (
        ({"accel": accel}, "inputs: expected accel, gyro, found accel"),
        ({"accel": accel, "gyros": gyro}, "did you mean 'gyro'"),
        ({}, "expected accel, gyro, found none"),
        ({"accel": accel, "gyro": gyro[:, :1]}, r"input 'gyro': expected float32 \[8, 2\], found \[8, 1\]"),
        ({"accel": accel, "gyro": np.full((8, 2), "a")}, "input 'gyro': expected float32, found <U1"),
        (np.concatenate([accel, gyro], axis=1), "an array for each by name: accel, gyro"),
    ):
        with pytest.raises(SpecError, match=message):
            model.run(given)


STEPS = {"uint8": (0.5, 128), "int8": (0.25, -3), "int16": (0.01, 0)}


@pytest.mark.parametrize("dtype", STEPS)
def test_quantized_inputs_and_outputs_are_in_their_units(load, dtype):
    scale, zero_point = STEPS[dtype]
    model = load(doubled(dtype, STEPS[dtype]))
    low, high = ((limit - zero_point) * scale for limit in (np.iinfo(dtype).min, np.iinfo(dtype).max))
    values = np.array([low, 3 * scale, high], np.float32)
    np.testing.assert_allclose(model.run(values).outputs, 2 * values, rtol=1e-6)
    beyond = np.array([low - 9, 3 * scale, np.inf], np.float32)  # clipped, not wrapped
    np.testing.assert_allclose(model.run(beyond).outputs, 2 * values, rtol=1e-6)
    raw = np.array([1, 2, 3], dtype)  # of its own type: as it is
    np.testing.assert_allclose(
        model.run(raw).outputs, (raw.astype(float) - zero_point) * 2 * scale, rtol=1e-6
    )
    with pytest.raises(SpecError, match=f"numbers that {dtype} can hold, found NaN"):
        model.run(np.array([0, np.nan, 0], np.float32))


@pytest.mark.parametrize("dtype", ["int32", "int64", "float32"])
def test_numbers_without_a_scale_are_taken_as_they_are(load, dtype):
    model = load(doubled(dtype))
    for given in (np.array([1, -7, 1000]), np.array([1.2, -6.8, 1000.4], np.float32).round()):
        said = model.run(given).outputs
        assert said.dtype == np.float32
        assert said.tolist() == [2, -14, 2000]


def test_integers_that_do_not_fit_are_clipped_not_wrapped(load):
    for dtype in ("uint8", "int8", "int32"):
        model = load(doubled(dtype, (1.0, 0) if dtype != "int32" else None))
        port, limits = model.runtime.inputs[0], np.iinfo(dtype)
        for values in (np.array([-1e12, 0.6, 1e12]), np.array([-(10**12), 1, 10**12])):
            assert port.quantize(values).tolist() == [limits.min, 1, limits.max]
    huge = load(doubled("int64")).runtime.inputs[0].quantize(np.array([-np.inf, 1e30]))
    assert huge.tolist() == [-(2**63), 2**63 - 1024]


def test_half_precision(load):
    net = kinds.Net()
    x = net.input("x", [-1, 3], "float16")
    wide = net.op("CAST", [x], [-1, 3])
    net.output("y", net.op("CAST", [net.op("ADD", [wide, wide], [-1, 3])], [-1, 3], "float16"))
    model = load(net.flatbuffer())
    assert model.run(np.array([1, 0.5, -2], np.float32)).outputs.tolist() == [2, 1, -4]
    assert model.inputs[0].dtype == model.outputs[0].dtype == "float16"
    assert model.run(np.array([1e9, 1, np.nan], np.float32)).outputs[1] == 2  # no warning of an overflow


def test_words_are_looked_up(load):
    model = load(kinds.embedded())
    said = model.run(np.array([0, 3, 9, 3], np.float32)).outputs
    assert said.tolist() == [[0, 1], [6, 7], [18, 19], [6, 7]]


@pytest.mark.parametrize("shape", [(4, 3), (2, 2, 2), ()])
def test_a_model_without_a_batch_axis(load, shape):
    model = load(doubled(shape=shape))
    values = RNG.normal(size=shape).astype(np.float32)
    assert model.input_shape == shape
    np.testing.assert_array_equal(model.run(values).outputs, 2 * values)
    np.testing.assert_array_equal(model.run_all({"x": values})["y"], 2 * values)
    assert not model.batches


def test_an_output_without_any_axis(load):
    model = load(kinds.scalar())
    prediction = model.run(np.array([1, 2, 6], np.float32))
    assert (prediction.value, prediction.outputs.shape, prediction.outputs.dtype) == (3.0, (), np.float32)
    assert prediction.as_dict()["outputs"] == [3.0]
    assert model.run_all(np.zeros(3, np.float32))["y"].shape == ()


def test_one_probability_for_two_labels(load):
    net = kinds.Net()
    x = net.input("x", [-1, 1])
    net.output("y", net.op("LOGISTIC", [x], [-1, 1]))
    facts = contract(["x"], 1, labels=("rest", "fall"))
    model = load(net.flatbuffer(), facts)
    for value, label in ((-2.0, "rest"), (2.0, "fall")):
        (prediction,) = model.run_batch(np.array([[value]], np.float32))
        assert prediction.label == label
        assert prediction.score == pytest.approx(1 / (1 + np.exp(-2)))
        np.testing.assert_allclose(prediction.outputs.sum(), 1)
        assert model.run(np.array([value])).outputs.tolist() == prediction.outputs.tolist()
    facts.output.scores = "value"  # a logit is no probability
    with pytest.raises(SpecError, match="labels: expected 1"):
        load(net.flatbuffer(), facts)


def test_an_open_length_is_the_contracts_window(load):
    model = load(kinds.open_time(), contract(["x", "y", "z"], 20))
    assert (model.input_shape, model.window, model.inputs[0].shape) == ((20, 3), 20, (1, 20, 3))
    window = RNG.normal(size=(20, 3)).astype(np.float32)
    np.testing.assert_allclose(model.run(window).outputs, window.mean(axis=0), atol=1e-6)
    assert model.batches

    model = load(kinds.open_convolution(), contract(["x", "y", "z"], 20))
    np.testing.assert_allclose(
        model.run(window).outputs.ravel(), np.convolve(window.sum(axis=1), np.ones(5), "valid"), atol=1e-5
    )


def test_an_open_length_is_what_the_contract_says_of_the_tensor(loaded, tmp_path):
    image = Tensor("input", "x", "float32", (1, 12, 1, 3))
    facts = contract(["r", "g", "b"], 1, image, layout="HWC")
    path = write(tmp_path / "foreign.tflite", kinds.open_convolution())
    for _ in range(2):  # verified, then known
        model = loaded(path, facts)
        assert model.input_shape == (12, 1, 3)
        assert model.run(np.ones((12, 1, 3), np.float32)).outputs.shape == (8, 1, 1)
    image.shape = (1, 30, 1, 3)
    assert not verify(path, CHOSEN, contract=facts).cached  # the verdict was on another length
    assert verify(path, CHOSEN, contract=facts).cached
    assert loaded(path, facts).run(np.ones((30, 1, 3), np.float32)).outputs.shape == (26, 1, 1)
    image.shape = (1, 1 << 40, 1, 3)
    with pytest.raises(ModelError, match="input 'x': expected at most 268,435,456 elements"):
        loaded(path, facts)
    image.shape = (1, 3, 1, 3)  # shorter than the kernel
    with pytest.raises(ModelError, match="refuses the model|crashes the runtime"):
        loaded(path, facts)


def test_an_open_length_that_nothing_says(load):
    with pytest.raises(ModelError, match="leaves a length open.*docs/models.md"):
        load(kinds.open_convolution())
    model = load(kinds.open_time())  # runs with one sample, as it stands in the file
    with pytest.raises(SpecError, match=r"found \[9, 3\]; the model leaves a length open"):
        model.run(np.zeros((9, 3), np.float32))


def test_nothing_of_one_window_is_in_the_next(load):
    model = load(kinds.recurrent())
    window = np.array([1, 2], np.float32)
    assert [model.run(window).outputs.tolist() for _ in range(3)] == [[1, 2]] * 3
