"""Keras models become float32 .tflite files; TensorFlow runs in child processes only."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.load import Loaded
from converters.load.arrays import Runner
from edge_sdk.child import Worker
from edge_sdk.errors import ModelError
from edge_sdk.graph import read_graph
from tests import keras_models

pytestmark = pytest.mark.integration

TIMEOUT_S = 240.0
FUSED = "UNIDIRECTIONAL_SEQUENCE_LSTM"


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as worker:
        yield worker


class Bench:
    """A loader at work in its process."""

    def __init__(self, worker: Worker, folder: Path, module: str = "converters.load.keras") -> None:
        self.worker, self.folder, self.module = worker, folder, module
        self.output = folder / "out.tflite"

    def make(self, name: str, /, **arguments: Any) -> None:
        self.worker.call(f"tests.keras_models:{name}", timeout_s=TIMEOUT_S, **arguments)

    def write(self, name: str, suffix: str = ".keras", version: int = 3) -> Path:
        file = self.folder / (name + suffix)
        self.make("write", name=name, file=str(file), version=version)
        return file

    def load(self, file: Path, **options: Any) -> Loaded:
        arguments = {"model": str(file), "output": str(self.output), **options}
        facts = self.worker.call(f"{self.module}:load", timeout_s=TIMEOUT_S, **arguments)
        return Loaded.from_dict(facts)

    def score(self, file: Path, loaded: Loaded, inputs: list[np.ndarray]) -> list[np.ndarray]:
        source, answers = self.folder / "in.npz", self.folder / "answers.npz"
        np.savez(source, **{str(i): array for i, array in enumerate(inputs)})
        self.worker.call(
            f"{self.module}:score",
            timeout_s=TIMEOUT_S,
            model=str(file),
            loaded=loaded.as_dict(),
            inputs=str(source),
            outputs=str(answers),
        )
        with np.load(answers) as arrays:
            return [arrays[str(i)] for i in range(len(loaded.outputs))]

    def random(self, n: int = 6) -> list[np.ndarray]:
        """Windows for the .tflite, in its order."""
        rng = np.random.default_rng(5)
        shapes = [(n, *each.shape[1:]) for each in Runner(self.output.read_bytes()).inputs]
        dtypes = [each.dtype for each in Runner(self.output.read_bytes()).inputs]
        return [
            (rng.normal(size=shape) if dtype.kind == "f" else rng.integers(0, 5, shape)).astype(dtype)
            for shape, dtype in zip(shapes, dtypes, strict=True)
        ]

    def run(self, inputs: list[np.ndarray], file: Path | None = None) -> list[np.ndarray]:
        """The .tflite window by window, as LiteRT's documentation wants a fused LSTM run."""
        runner, rows = Runner((file or self.output).read_bytes()), []
        for window in zip(*inputs, strict=True):
            runner.interpreter.reset_all_variables()
            rows.append(runner([array[None] for array in window]))
        return [np.concatenate(column) for column in zip(*rows, strict=True)]

    @property
    def ops(self) -> list[str]:
        return [op.name for op in read_graph(self.output.read_bytes()).ops]


@pytest.fixture
def bench(worker: Worker, tmp_path: Path) -> Bench:
    return Bench(worker, tmp_path)


@pytest.mark.parametrize("name", sorted(keras_models.RECURRENT))
def test_a_recurrent_model_is_the_same_in_tflite(bench: Bench, name: str) -> None:
    file = bench.write(name)
    loaded = bench.load(file)
    assert loaded.batch == 1
    inputs = bench.random()
    for ours, theirs in zip(bench.run(inputs), bench.score(file, loaded, inputs), strict=True):
        assert np.abs(theirs).max() > 0.01
        assert np.abs(ours - theirs).max() < 1e-4
    (note, *others) = loaded.notes
    if name == "gru_long":
        assert "WHILE" in bench.ops
        assert "stays a loop" in note
    elif name in ("lstm_relu", "lstm_masked", "lstm_states", "gru", "gru_reset_before", "simple_rnn"):
        assert not {"WHILE", FUSED} & set(bench.ops)
        assert "(20 steps)" in note
        assert f"{bench.output.stat().st_size / 1000:.1f} kB" in note
    else:
        assert FUSED in bench.ops
        assert "WHILE" not in bench.ops
        assert "reset its variables" in note
    assert not others


def test_a_fused_lstm_is_an_eighth_of_an_unrolled_one(bench: Bench) -> None:
    bench.load(bench.write("lstm"))
    fused = bench.output.stat().st_size
    bench.load(bench.write("lstm_relu"))
    assert fused < 10_000
    assert bench.output.stat().st_size > 6 * fused


def test_an_image_model_keeps_a_dynamic_batch_and_names_its_preprocessing(bench: Bench) -> None:
    file = bench.write("image")
    loaded = bench.load(file)
    graph = read_graph(bench.output.read_bytes())
    assert graph.tensors[graph.inputs[0]].shape_signature == (-1, 16, 16, 3)
    assert loaded.batch is None
    assert loaded.preprocessing == ("scale_pixels",)
    assert loaded.parameters is not None
    assert loaded.parameters > 200
    assert set(loaded.versions) == {"tensorflow", "keras"}
    inputs = bench.random(100)
    assert np.allclose(bench.run(inputs)[0], bench.score(file, loaded, inputs)[0], atol=1e-5)
    assert bench.load(file, batch=1).batch == 1
    graph = read_graph(bench.output.read_bytes())
    assert graph.tensors[graph.inputs[0]].shape_signature == (1, 16, 16, 3)


def test_several_inputs_and_outputs_keep_their_names(bench: Bench) -> None:
    file = bench.write("several")
    loaded = bench.load(file)
    assert {port.name for port in loaded.inputs} == {"left", "a_right", "word"}
    assert {port.name for port in loaded.outputs} == {"zone", "alarm", "mood"}
    assert {port.name: port.dtype for port in loaded.inputs}["word"] == "int32"
    inputs = bench.random()
    ours = dict(zip((port.name for port in loaded.outputs), bench.run(inputs), strict=True))
    answers = bench.folder / "keras.npz"
    np.savez(bench.folder / "given.npz", **{str(i): array for i, array in enumerate(inputs)})
    bench.make(
        "predict",
        file=str(file),
        inputs=str(bench.folder / "given.npz"),
        outputs=str(answers),
        order=[port.name for port in loaded.inputs],
    )
    with np.load(answers) as theirs:
        for name, array in ours.items():
            assert np.allclose(array, theirs[name], atol=1e-5)
    scored = bench.score(file, loaded, inputs)
    for name, array in zip(ours, scored, strict=True):
        assert np.allclose(ours[name], array, atol=1e-5)


def test_a_spectrogram_fixes_the_batch(bench: Bench) -> None:
    file = bench.write("spectrogram")
    loaded = bench.load(file)
    assert loaded.batch == 1
    assert loaded.preprocessing == ("stft",)
    inputs = bench.random()
    assert np.allclose(bench.run(inputs)[0], bench.score(file, loaded, inputs)[0], atol=1e-3)


def test_open_sizes_are_asked_for_by_name_and_honoured(bench: Bench) -> None:
    file = bench.write("open_length")
    with pytest.raises(ModelError, match=r"signal \[batch, \?, 3\]; give them with --shape signal=1,…,3$"):
        bench.load(file)
    loaded = bench.load(file, shapes={"signal": [1, 40, 3]})
    graph = read_graph(bench.output.read_bytes())
    assert graph.tensors[graph.inputs[0]].shape_signature == (-1, 40, 3)
    inputs = bench.random()
    assert np.allclose(bench.run(inputs)[0], bench.score(file, loaded, inputs)[0], atol=1e-5)
    with pytest.raises(ModelError, match="no such input.*did you mean 'signal'"):
        bench.load(file, shapes={"signals": [1, 40, 3]})


@pytest.mark.parametrize("name", ["image", "lstm", "gru"])
@pytest.mark.parametrize(("suffix", "version"), [(".h5", 2), (".keras", 2), (".h5", 3)])
def test_files_of_keras_2_and_3(bench: Bench, name: str, suffix: str, version: int) -> None:
    file = bench.write(name, suffix, version)
    loaded = bench.load(file)
    # Keras 3 cannot read what Keras 2 says of these layers: `groups`, `time_major`.
    assert ("tf_keras" if version == 2 else "keras") in loaded.versions
    inputs = bench.random()
    theirs = bench.score(file, loaded, inputs)[0]
    assert np.abs(bench.run(inputs)[0] - theirs).max() < 1e-4
    assert "WHILE" not in bench.ops
    assert (FUSED in bench.ops) == (name == "lstm")


def test_functions_of_tensorflow_in_a_keras_2_file(bench: Bench) -> None:
    file = bench.folder / "calls.h5"
    bench.make("write_keras_2_call", file=str(file), function="math.abs")
    loaded = bench.load(file)
    assert "tf_keras" in loaded.versions
    inputs = bench.random()
    assert np.allclose(bench.run(inputs)[0], bench.score(file, loaded, inputs)[0], atol=1e-5)
    for function in ("io.write_file", "py_function", "raw_ops.WriteFile", "saved_model.load"):
        bench.make("write_keras_2_call", file=str(file), function=function)
        with pytest.raises(ModelError, match=f"calls tf.{function}"):
            bench.load(file)


@pytest.mark.parametrize(("suffix", "version"), [(".keras", 3), (".h5", 3), (".h5", 2), (".keras", 2)])
def test_code_in_a_lambda_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, version: int
) -> None:
    trap = tmp_path / "trap"
    monkeypatch.setenv("EDGEML_TEST_TRAP", str(trap))
    with Worker() as worker:
        bench = Bench(worker, tmp_path)
        file = bench.write("lambda", suffix, version)
    with Worker() as worker:
        bench = Bench(worker, tmp_path)
        with pytest.raises(ModelError, match="a Lambda layer holds code, which is not run from a file"):
            bench.load(file)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("not_a_number", r"NaN or infinity among the weights.*second/kernel"),
        ("infinite", r"NaN or infinity among the weights.*second/kernel"),
        ("not_built", "does not say what it takes"),
        ("stateful", r"'lstm\w*' remembers from one window to the next.*stateful=False"),
        ("text", "is text"),
        ("fixed_batch", r"fixes the batch: .*found \[8, 4\]"),
    ],
)
def test_what_cannot_be_converted_is_named(bench: Bench, name: str, message: str) -> None:
    file = bench.write(name)
    with pytest.raises(ModelError, match=message) as caught:
        bench.load(file)
    assert "\n" not in str(caught.value)
    assert not bench.output.exists()


@pytest.mark.parametrize("name", ["mixed_precision", "random_at_inference"])
def test_what_matters_in_training_only_leaves_no_trace(bench: Bench, name: str) -> None:
    file = bench.write(name)
    loaded = bench.load(file)
    assert {t.dtype for t in read_graph(bench.output.read_bytes()).tensors} <= {"float32", "int32"}
    inputs = bench.random()
    assert np.allclose(bench.run(inputs)[0], bench.score(file, loaded, inputs)[0], atol=1e-2)


def test_a_custom_layer_is_named(bench: Bench) -> None:
    file = bench.folder / "odd.keras"
    bench.make("write_custom_layer", file=str(file))
    with Worker() as fresh:  # in the process that saved it, the layer would be known
        bench = Bench(fresh, bench.folder)
        with pytest.raises(ModelError, match="custom layer 'Odd'"):
            bench.load(file)


def test_weights_alone_are_no_model(bench: Bench) -> None:
    file = bench.folder / "m.weights.h5"
    bench.make("write_weights", file=str(file))
    with pytest.raises(ModelError, match="no model in it: .*weights only"):
        bench.load(file)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"activation": "relu"', '"activation": {"module": "keras.utils", "class_name": "function", '
         '"config": "get_file", "registered_name": "function"}', "refers to keras.utils"),
        ('"class_name": "Rescaling"', '"class_name": "TFSMLayer"', "reads another file"),
        ('"module": "keras.layers", "class_name": "Rescaling"',
         '"module": "os", "class_name": "system"', "custom layer 'system'"),
        ('"units": 4', '"units": 0', "cannot load it|is empty"),
        ('"units": 4', '"units": 5', "cannot load it"),
        ('"kernel_size": [3, 3]', '"kernel_size": [30, 30]', "cannot load it"),
        ('"scale": 0.00392156862745098', '"scale": null', "cannot load it|cannot run it"),
    ],
)  # fmt: skip
def test_a_crafted_configuration(bench: Bench, old: str, new: str, message: str) -> None:
    file, crafted = bench.write("image"), bench.folder / "crafted.keras"
    bench.make("rewrite_config", file=str(file), target=str(crafted), old=old, new=new)
    with pytest.raises(ModelError, match=message) as caught:
        bench.load(crafted)
    assert "\n" not in str(caught.value)
    assert not bench.output.exists()


def test_truncated_files_end_in_one_line(bench: Bench) -> None:
    for suffix in (".keras", ".h5"):
        data = bench.write("image", suffix).read_bytes()
        file = bench.folder / f"damaged{suffix}"
        for size in (0, 8, 100, len(data) // 2, len(data) - 10):
            file.write_bytes(data[:size])
            with pytest.raises(ModelError) as caught:
                bench.load(file)
            assert "\n" not in str(caught.value)


def test_a_signature_is_not_for_keras(bench: Bench) -> None:
    with pytest.raises(ModelError, match="has no signatures"):
        bench.load(bench.write("image"), signature="serve")


@pytest.mark.parametrize(
    ("name", "least_db"),
    [("lstm", 30), ("lstm_stacked", 30), ("bidirectional", 30), ("bidirectional_sum", 25), ("gru", 25)],
)
def test_int8_of_recurrent_models(bench: Bench, name: str, least_db: float) -> None:
    file = bench.write(name)
    loaded = bench.load(file)
    inputs = bench.random(64)
    np.savez(bench.folder / "windows.npz", **{"0": inputs[0]})
    quantized = bench.folder / "int8.tflite"
    arguments = {"windows": str(bench.folder / "windows.npz"), "output": str(quantized)}
    bench.make("int8", model=str(bench.output), **arguments)
    theirs = bench.score(file, loaded, inputs)[0]
    assert sqnr_db(theirs, bench.run(inputs, quantized)[0]) > least_db
    dtypes = {t.dtype for t in read_graph(quantized.read_bytes()).tensors if "lstm" in t.name}
    assert "float32" not in dtypes
    if name == "bidirectional":
        assert quantized.stat().st_size < 12_000
        bench.make("int8", model=str(bench.output), repaired=False, **arguments)
        assert sqnr_db(theirs, bench.run(inputs, quantized)[0]) < 20


@pytest.mark.skipif(
    importlib.util.find_spec("tflite_micro") is None, reason="needs: pip install tflite-micro"
)
@pytest.mark.parametrize("name", ["lstm", "lstm_stacked", "bidirectional"])
def test_tflite_micro_runs_fused_lstms(bench: Bench, name: str) -> None:
    file = bench.write(name)
    loaded = bench.load(file)
    inputs = bench.random(32)
    windows, answers, quantized = (bench.folder / n for n in ("windows.npz", "micro.npz", "int8.tflite"))
    np.savez(windows, **{"0": inputs[0]})
    bench.make("int8", model=str(bench.output), windows=str(windows), output=str(quantized))
    theirs = bench.score(file, loaded, inputs)[0]
    with Worker() as micro:
        for model, least_db in ((bench.output, 100), (quantized, 30)):
            arguments = {"model": str(model), "inputs": str(windows), "outputs": str(answers)}
            micro.call("tests.keras_models:run_micro", timeout_s=TIMEOUT_S, **arguments)
            with np.load(answers) as arrays:
                assert sqnr_db(theirs, arrays["0"]) > least_db


def sqnr_db(expected: np.ndarray, found: np.ndarray) -> float:
    return float(10 * np.log10((expected**2).mean() / ((found - expected) ** 2).mean()))


def test_nothing_is_written_beside_the_output(bench: Bench) -> None:
    file = bench.write("image")
    before = set(bench.folder.iterdir())
    bench.load(file)
    assert set(bench.folder.iterdir()) == before | {bench.output}


@pytest.mark.parametrize("name", ["image", "lstm"])
def test_the_same_model_gives_the_same_bytes_in_every_process(bench: Bench, name: str) -> None:
    file, found = bench.write(name), []
    for _ in range(2):
        with Worker() as fresh:
            Bench(fresh, bench.folder).load(file)
        found.append(bench.output.read_bytes())
    assert found[0] == found[1]
