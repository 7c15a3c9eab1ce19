"""What is measured: an MLP, a Conv1D and a DS-CNN, int8 with float input and output, as we convert them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from edge_sdk import child, modelfile
from edge_sdk.contract import Channel, Contract, Input, Output


def build(folder: Path) -> dict[str, Path]:
    """Train nothing, convert three models with random weights, in a child process; returns their files."""
    made = child.call("benchmarks.models:build_here", timeout_s=300, folder=str(folder))
    return {name: Path(path) for name, path in made.items()}


def pack(model: Path) -> Path:
    """A copy with a contract behind the flatbuffer."""
    contract = Contract(
        name=model.stem,
        task="classification",
        input=Input((Channel("x"),), 50.0, 33, 33),
        output=Output(("a", "b", "c", "d")),
    )
    packed = model.with_suffix(".packed.tflite")
    packed.write_bytes(modelfile.pack(model.read_bytes(), {modelfile.CONTRACT: contract.to_json()}))
    return packed


def build_here(folder: str) -> dict[str, str]:
    """The child's side of `build`."""
    import keras

    from converters import quantize
    from converters.load import keras as loader

    keras.utils.set_random_seed(1)
    layers = keras.layers
    mlp = [keras.Input((33,)), layers.Dense(20, "relu"), layers.Dense(10, "relu"), layers.Dense(4, "softmax")]
    blocks = [
        layer
        for _ in range(4)
        for layer in (
            layers.DepthwiseConv2D(3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(64, 1, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
        )
    ]
    ds_cnn = [
        keras.Input((49, 10, 1)),
        layers.Conv2D(64, (10, 4), 2, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        *blocks,
        layers.GlobalAveragePooling2D(),
        layers.Dense(12, "softmax"),
    ]
    conv1d = [
        keras.Input((100, 6)),
        layers.Conv1D(16, 5, 2, activation="relu"),
        layers.Conv1D(32, 5, 2, activation="relu"),
        layers.GlobalAveragePooling1D(),
        layers.Dense(7, "softmax"),
    ]
    files = {}
    for name, stack in (("mlp", mlp), ("conv1d", conv1d), ("ds_cnn", ds_cnn)):
        source, output = Path(folder) / f"{name}.keras", Path(folder) / f"{name}.tflite"
        model = keras.Sequential(stack)
        model.save(source)
        windows = np.random.default_rng(0).normal(size=(64, *model.input_shape[1:])).astype(np.float32)
        with tempfile.TemporaryDirectory() as scratch:
            calibration, reference, ranges = (f"{scratch}/{step}" for step in ("x.npz", "float", "ranges"))
            np.savez(calibration, **{"0": windows})
            loader.load(str(source), reference)
            quantize.calibrate(reference, calibration, ranges)
            quantize.apply(ranges, str(output), "int8")
        files[name] = str(output)
    return files
