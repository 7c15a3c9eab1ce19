from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from converters import rewrite
from converters.load import Loaded, tflite
from converters.load.arrays import Runner
from edge_sdk.errors import EdgeError, ModelError
from edge_sdk.graph import read_graph
from tests.models import Linear, flatbuffer, packed

SPEC = Linear()


def changed(change: Callable[[Any, Any], None]) -> bytes:
    model = rewrite.unpack(flatbuffer())
    change(model, model.subgraphs[0].tensors)
    return rewrite.repack(model)


def load(folder: Path, data: bytes, **options: Any) -> tuple[Loaded, Path]:
    file, output = folder / "m.tflite", folder / "out.tflite"
    file.write_bytes(data)
    return Loaded.from_dict(tflite.load(str(file), str(output), **options)), output


def refused(folder: Path, data: bytes, **options: Any) -> str:
    with pytest.raises(EdgeError) as caught:
        load(folder, data, **options)
    assert "\n" not in str(caught.value)
    assert not (folder / "out.tflite").exists()
    return str(caught.value)


@pytest.mark.parametrize("data", [flatbuffer(), packed()], ids=["bare", "with a contract"])
def test_the_flatbuffer_alone_is_written(tmp_path: Path, data: bytes) -> None:
    loaded, output = load(tmp_path, data)
    assert output.read_bytes() == flatbuffer()
    assert [port.name for port in loaded.inputs] == ["window"]
    assert [port.name for port in loaded.outputs] == ["scores"]
    assert loaded.batch is None
    assert loaded.signature == "serving_default"
    assert set(loaded.versions) == {"ai-edge-litert"}


def test_the_original_is_scored_window_by_window(tmp_path: Path) -> None:
    loaded, _ = load(tmp_path, packed())
    windows = np.random.default_rng(1).normal(size=(7, SPEC.window, SPEC.channels)).astype(np.float32)
    np.savez(tmp_path / "in.npz", **{"0": windows})
    tflite.score(
        str(tmp_path / "m.tflite"), loaded.as_dict(), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")
    )
    with np.load(tmp_path / "out.npz") as arrays:
        assert np.allclose(arrays["0"], [SPEC.expected(window) for window in windows], atol=1e-6)


def test_the_batch_is_fixed_where_it_is_asked_for(tmp_path: Path) -> None:
    loaded, output = load(tmp_path, flatbuffer(), batch=1)
    graph = read_graph(output.read_bytes())
    assert loaded.batch == 1
    assert graph.tensors[graph.inputs[0]].shape_signature == (1, SPEC.window, SPEC.channels)


def open_window(model: Any, tensors: Any) -> None:
    tensors[0].shapeSignature = np.array([-1, -1, SPEC.channels], np.int32)


def placeholder(model: Any, tensors: Any) -> None:
    tensors[0].shape = np.array([0, 0, SPEC.channels], np.int32)
    open_window(model, tensors)


@pytest.mark.parametrize("change", [open_window, placeholder])
def test_open_sizes_are_asked_for_and_honoured(tmp_path: Path, change: Callable[[Any, Any], None]) -> None:
    data = changed(change)
    assert "--shape window=1,…,3" in refused(tmp_path, data)
    loaded, output = load(tmp_path, data, shapes={"window": [1, SPEC.window, SPEC.channels]})
    window = np.ones((1, SPEC.window, SPEC.channels), np.float32)
    assert np.allclose(Runner(output.read_bytes())([window])[0][0], SPEC.expected(window[0]))
    np.savez(tmp_path / "in.npz", **{"0": window})
    tflite.score(
        str(tmp_path / "m.tflite"), loaded.as_dict(), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")
    )


def quantize(index: int, kind: int) -> Callable[[Any, Any], None]:
    def change(model: Any, tensors: Any) -> None:
        tensors[index].type = kind
        tensors[index].quantization = schema.QuantizationParametersT()
        tensors[index].quantization.scale = np.array([0.1], np.float32)
        tensors[index].quantization.zeroPoint = np.array([0], np.int64)
        if index == 1:
            model.buffers[1].data = np.zeros(SPEC.weights.size, np.uint8)

    return change


def narrow(model: Any, tensors: Any) -> None:
    tensors[1].type = schema.TensorType.FLOAT16
    model.buffers[1].data = np.zeros(2 * SPEC.weights.size, np.uint8)


def poison(value: float) -> Callable[[Any, Any], None]:
    def change(model: Any, tensors: Any) -> None:
        weights = SPEC.weights.copy()
        weights[0, 0] = value
        model.buffers[1].data = np.frombuffer(weights.tobytes(), np.uint8)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (quantize(3, schema.TensorType.INT8), "found already int8"),
        (quantize(3, schema.TensorType.INT16), "found already int16"),
        (quantize(1, schema.TensorType.INT8), "found already quantized: weights in int8"),
        (narrow, "found already float16"),
        (poison(np.nan), "NaN or infinity among the weights: expected finite numbers, found weights"),
        (poison(np.inf), "NaN or infinity among the weights"),
        (lambda m, t: setattr(t[0], "shape", np.array([8, 8, 3], np.int32)), "fixes the batch|does not run"),
    ],
)
def test_what_is_no_sound_float_model(
    tmp_path: Path, change: Callable[[Any, Any], None], message: str
) -> None:
    def whole(model: Any, tensors: Any) -> None:
        change(model, tensors)
        if int(tensors[0].shape[0]) == 8:
            tensors[0].shapeSignature = None

    assert any(part in refused(tmp_path, changed(whole)) for part in message.split("|"))


def test_an_unknown_signature_suggests_the_nearest(tmp_path: Path) -> None:
    assert "did you mean 'serving_default'" in refused(tmp_path, flatbuffer(), signature="serving")
    assert "no such input" in refused(tmp_path, flatbuffer(), shapes={"x": [1]})


def test_custom_operators_are_named(tmp_path: Path) -> None:
    assert "FlexErf" in refused(tmp_path, flatbuffer(Linear(custom_op="FlexErf")))
    assert "Somebodys" in refused(tmp_path, flatbuffer(Linear(custom_op="Somebodys")))


@pytest.mark.parametrize("size", [0, 4, 40, 200, 800])
def test_a_truncated_file(tmp_path: Path, size: int) -> None:
    refused(tmp_path, flatbuffer()[:size])


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        tflite.load(str(tmp_path / "no.tflite"), str(tmp_path / "out.tflite"))


def resize(tensor: Any, shape: list[int]) -> None:
    tensor.shape, tensor.shapeSignature = shape, None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda graph, tensors: resize(tensors[3], [1 << 16] * 4), "found 70,368,744,177,664 MB"),
        (lambda graph, tensors: resize(tensors[0], [1, 1 << 20, 3000]), "found 12,000 MB"),
        (lambda graph, tensors: setattr(graph, "outputs", [1]), "the output 'weights' is a constant"),
        (lambda graph, tensors: setattr(graph, "outputs", [0]), "the output 'window' is an input"),
        (lambda graph, tensors: setattr(tensors[0], "type", schema.TensorType.STRING), "'window' is string"),
    ],
)
def test_what_could_not_be_run_is_refused_before_it_is(
    tmp_path: Path, change: Callable[[Any, Any], None], says: str
) -> None:
    file = tmp_path / "m.tflite"
    file.write_bytes(changed(lambda model, tensors: change(model.subgraphs[0], tensors)))
    with pytest.raises(ModelError, match=says):
        tflite.load(str(file), str(tmp_path / "out.tflite"))
    assert not (tmp_path / "out.tflite").exists()
