"""Whole models as C libraries: over a thousand inputs the bits of TFLite Micro, under every sanitizer."""

import importlib.util
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from converters.c import reference
from converters.c.lower import lower
from edge_sdk.graph import read_graph
from tests.c_library import Compiled
from tests.kinds import changed
from tests.streaming import moving_window
from tests.tflm import Tflm

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        importlib.util.find_spec("tflite_micro") is None, reason="needs: pip install tflite-micro"
    ),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc: apt install gcc"),
]
INPUTS = int(os.environ.get("EDGEML_C_INPUTS", "1000"))
GOLDEN = Path(__file__).parents[2] / "golden" / "arena"
#: Trained with Keras and converted by edgeml: convolutions, dilations, upsampling, every tail.
MADE = ["dscnn_int8", "fused_int8", "har_int8", "tcn_int8", "up_int8"]
#: By `tests.trained_models`, with the share of the inputs that is tried: pictures take fifty times as long.
TRAINED = {"mobilenet_96": 1 / 50, "resnet_8": 1 / 50, "streaming": 1}
TRAINED_FOLDER = GOLDEN.parent / "c_library"


@pytest.fixture(scope="module")
def tflm():
    with Tflm() as started:
        yield started


def drawn(graph, count):
    """Random inputs; some are all lowest, all highest, and all zero."""
    rng, found = np.random.default_rng(11), []
    for index in graph.inputs:
        tensor = graph.tensors[index]
        if tensor.dtype == "int8":
            values = rng.integers(-128, 128, (count, *tensor.shape)).astype(np.int8)
            values[0], values[1] = -128, 127
        else:
            spread = rng.choice([0.1, 1, 10], (count, *(1 for _ in tensor.shape)))
            to = [graph.tensors[op.outputs[0]] for op in graph.ops if index in op.inputs]
            if to[0].dtype == "int8":  # a third of them fill its range about
                spread = spread * 12 * float(to[0].scale[0])
            values = (rng.normal(size=(count, *tensor.shape)) * spread).astype(np.float32)
            values[0], values[1], values[2] = -1e4, 1e4, 0
        found.append(values)
    return found


def with_batches(flatbuffer):
    """For TFLite Micro, which takes the 1 of an open axis as it stands and has no FILL of int8: with every
    shape and constant as they are known once the sizes are computed.
    """
    graph = lower(flatbuffer).graph

    def change(model):
        main = model.subgraphs[0]
        for tensor, fixed in zip(main.tensors, graph.tensors, strict=False):
            tensor.shape, tensor.shapeSignature = list(fixed.shape), None
            if fixed.data is not None and model.buffers[tensor.buffer].data is None:
                tensor.buffer = len(model.buffers)
                model.buffers.append(schema.BufferT())
                model.buffers[-1].data = np.frombuffer(fixed.data.tobytes(), np.uint8)
        known = {tensor.index for tensor in graph.tensors if tensor.constant}
        main.operators = [op for op in main.operators if not len(op.outputs) or not known >= {*op.outputs}]

    return changed(flatbuffer, change)


def opened(flatbuffer):
    """With what a SOFTMAX reads as a further output: probabilities of a sure model hide differences."""
    graph = read_graph(flatbuffer)
    read = [op.inputs[0] for op in graph.ops if op.name == "SOFTMAX"]

    def change(model):
        model.subgraphs[0].outputs = [*graph.outputs, *read]

    return changed(flatbuffer, change) if read else flatbuffer


def compare(flatbuffer, tflm, folder, count=INPUTS):
    flatbuffer = opened(flatbuffer)
    compiled = Compiled(flatbuffer, folder)
    inputs = drawn(read_graph(flatbuffer), count)
    ours, theirs = compiled.run(inputs), tflm.run(with_batches(flatbuffer), inputs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one.reshape(count, -1), other.reshape(count, -1))
    assert any(len(np.unique(one)) > 2 for one in ours)
    state = reference.first_state(compiled.program)
    for n in range(min(4, max(1, count // 10))):
        again = reference.run(compiled.program, [x[n] for x in inputs], state)
        for one, third in zip(ours, again, strict=True):
            np.testing.assert_array_equal(one[n], third)


@pytest.mark.parametrize("name", ["kws_dscnn_int8", "ad01_autoencoder_int8", "sine_int8"])
def test_public_models(public_data, tflm, tmp_path, name):
    compare((public_data / "models" / f"{name}.tflite").read_bytes(), tflm, tmp_path)


@pytest.mark.parametrize("name", MADE)
def test_models_made_with_keras(tflm, tmp_path, name):
    compare((GOLDEN / f"{name}.tflite").read_bytes(), tflm, tmp_path)


@pytest.mark.parametrize("name", TRAINED)
def test_trained_models(tflm, tmp_path, name):
    count = max(4, round(INPUTS * TRAINED[name]))
    compare((TRAINED_FOLDER / f"{name}.tflite").read_bytes(), tflm, tmp_path, count)


def test_variables_keep_their_values_from_one_inference_to_the_next(tflm, tmp_path):
    compare(moving_window((0.05, -3)), tflm, tmp_path)
