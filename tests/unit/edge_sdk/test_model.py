"""A model runs windows as its bare runtime does, and says what is wrong with a window that does not fit."""

import os

import numpy as np
import pytest

from edge_sdk import Block, ConfigError, Model, SpecError, registry
from edge_sdk.errors import UnknownNameError
from tests.models import Linear, contract, flatbuffer, write_model

CHOSEN = os.environ.get("EDGEML_RUNTIME", "litert")


def bare_interpreter(path):
    """The chosen runtime without edgeml around it."""
    interpreter = registry.find("runtimes", CHOSEN).probe()(model_path=str(path))
    interpreter.allocate_tensors()
    return interpreter


def windows(n=5, spec=None):
    spec = spec or Linear()
    return np.random.default_rng(3).normal(size=(n, spec.window, spec.channels)).astype(np.float32)


def test_outputs_are_those_of_the_bare_runtime(model, linear_file, linear):
    interpreter = bare_interpreter(linear_file)
    for window in windows():
        interpreter.set_tensor(0, window[None])
        interpreter.invoke()
        bare = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
        prediction = model.run(window)
        assert prediction.outputs.tobytes() == bare.tobytes()
        np.testing.assert_allclose(prediction.outputs, linear.expected(window), atol=1e-5)
        assert prediction.label == "xyz"[int(bare.argmax())]
        assert prediction.score == float(bare.max())


def test_scores_are_the_outputs_of_each_window(model):
    expected = np.stack([model.run(window).outputs for window in windows()])
    np.testing.assert_array_equal(model.scores(windows()), expected)
    assert model.scores(windows(0)).shape == (0, 3)


def test_facts_come_from_the_contract(model):
    assert (model.name, model.window, model.hop, model.rate_hz) == ("linear", 8, 4, 50.0)
    assert model.channels == ("ax", "ay", "az")
    assert model.labels == ("x", "y", "z")
    assert model.runtime.name == CHOSEN
    assert model.runtime.version[0].isdigit()


@pytest.mark.parametrize("dtype", ["float64", "int16", "uint8", "float16"])
def test_other_number_types_are_taken(model, dtype):
    window = np.arange(24).reshape(8, 3).astype(dtype)
    assert model.run(window).outputs.tolist() == model.run(window.astype(np.float32)).outputs.tolist()


@pytest.mark.parametrize("shape", [(8, 2), (3, 8), (24,), (9, 3), (0, 3)])
def test_another_shape_is_refused_with_both_shapes(model, shape):
    with pytest.raises(SpecError, match=r"expected float32 \[8, 3\], found \["):
        model.run(np.zeros(shape, np.float32))


def test_text_is_refused(model):
    with pytest.raises(SpecError):
        model.run(np.full((8, 3), "a"))


def test_a_foreign_model_runs_without_a_contract(tmp_path):
    path = tmp_path / "foreign.tflite"
    path.write_bytes(flatbuffer())
    model = Model.load(path)
    assert model.contract is None
    assert (model.name, model.labels, model.window, model.hop, model.rate_hz) == (
        "foreign",
        ("0", "1", "2"),
        8,
        8,
        None,
    )
    assert len(list(model.stream([Block(np.zeros((20, 3), np.float32), 12.5)]))) == 2


def test_a_contract_can_be_supplied(tmp_path):
    path = tmp_path / "foreign.tflite"
    path.write_bytes(flatbuffer())
    assert Model.load(path, contract=contract()).labels == ("x", "y", "z")
    with pytest.raises(SpecError, match="does not fit"):
        Model.load(path, contract=contract(Linear(window=9)))


@pytest.mark.parametrize("name", ["kws_dscnn_int8", "sine_int8"])
def test_quantized_inputs_and_outputs_are_handled_outside_the_graph(public_data, name):
    model = Model.load(public_data / "models" / f"{name}.tflite")
    values = np.random.default_rng(0).uniform(0, 3, model.input_shape).astype(np.float32)
    prediction = model.run(values)
    assert prediction.outputs.dtype == np.float32
    interpreter = bare_interpreter(public_data / "models" / f"{name}.tflite")
    (detail,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = detail["quantization"]
    interpreter.set_tensor(
        detail["index"], np.clip(np.round(values / scale) + zero_point, -128, 127).astype(np.int8)[None]
    )
    interpreter.invoke()
    scale, zero_point = out["quantization"]
    raw = interpreter.get_tensor(out["index"])[0].astype(np.float32)
    np.testing.assert_allclose(prediction.outputs, (raw - zero_point) * scale, rtol=1e-6)


def test_the_sine_model_says_the_sine(public_data):
    model = Model.load(public_data / "models" / "sine_int8.tflite")
    angles = np.linspace(0.2, 6.0, 30, dtype=np.float32)
    said = [model.run(np.array([angle])).value for angle in angles]
    assert np.abs(np.array(said) - np.sin(angles)).mean() < 0.15


@pytest.mark.parametrize(
    ("target", "kind", "message"),
    [
        ("host:?thread=2", ConfigError, "did you mean 'threads'"),
        ("host:?threads=many", ConfigError, "a number from 1"),
        ("host:?threads=0", ConfigError, "a number from 1"),
        ("host:?runtime=litertt", UnknownNameError, "did you mean 'litert'"),
        ("moon:", UnknownNameError, "unknown target 'moon'"),
        ("host", ConfigError, "not a URL"),
    ],
)
def test_a_wrong_target_is_refused_by_name(linear_file, target, kind, message):
    with pytest.raises(kind, match=message):
        Model.load(linear_file, target=target)


def test_threads_do_not_change_the_outputs(linear_file, model):
    threaded = Model.load(linear_file, target="host:?threads=2")
    np.testing.assert_array_equal(threaded.scores(windows()), model.scores(windows()))


def test_the_runtime_is_chosen_by_name_never_by_what_is_installed(linear_file, monkeypatch):
    monkeypatch.setenv("EDGEML_RUNTIME", "tflite_runtime")
    if np.__version__.startswith("1."):
        assert Model.load(linear_file).runtime.name == "tflite_runtime"
        assert Model.load(linear_file, target="host:?runtime=litert").runtime.name == "litert"
    else:
        with pytest.raises(ConfigError, match=r"expected numpy 1\.x"):
            Model.load(linear_file)


def test_labels_that_do_not_match_the_outputs_are_refused(tmp_path):
    facts = contract()
    path = write_model(tmp_path / "odd.tflite", output=type(facts.output)(("a", "b")))
    with pytest.raises(SpecError, match="labels: expected 3"):
        Model.load(path)
