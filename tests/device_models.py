"""Models as TensorFlow's users make them, each with inputs and what TensorFlow itself says to them.

`build(folder)` and `run_in` are called through `edge_sdk.child`: TensorFlow lives in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.contract import Contract, Tensor
from tests.kinds import contract, loading, write

Arrays = dict[str, NDArray[Any]]
#: Samples that the streaming model has before it.
MEMORY = 4
CHANNELS = ("ax", "ay", "az")


def build(folder: str) -> None:
    """Writes ``<name>.tflite`` and ``<name>.npz`` (``in:<input>``, ``out:<output>``) for every name."""
    for name, make in MAKERS.items():
        flatbuffer, inputs, outputs = make()
        write(Path(folder, f"{name}.tflite"), flatbuffer)
        arrays = {f"in:{key}": array for key, array in inputs.items()}
        np.savez(
            Path(folder, f"{name}.npz"), **arrays, **{f"out:{key}": array for key, array in outputs.items()}
        )


def run_in(folder: str, runtime: str) -> dict[str, Any]:
    """What each model says in a runtime that only this process has, alone and in batches.

    Returns:
        By name: ``off``, how far it is from TensorFlow's own outputs at most; ``apart``, how far a batch is
        from its windows alone; ``batches``; ``names`` of inputs and outputs.
    """
    import os

    os.environ["EDGEML_RUNTIME"] = runtime
    found = {}
    with loading() as load:
        for name in MAKERS:
            path = Path(folder, f"{name}.tflite")
            model = load(path, CONTRACTS["open_length"] if name == "open_length" else None)
            inputs, outputs = recorded(path)
            said = [
                model.run_all({k: v[i] for k, v in inputs.items()})
                for i in range(len(next(iter(inputs.values()))))
            ]
            off = max(
                float(np.abs(np.stack([one[key] for one in said]) - expected).max())
                for key, expected in outputs.items()
            )
            alone = [model.run({k: v[i] for k, v in inputs.items()}) for i in range(len(said))]
            batch = model.run_batch(inputs)
            apart = max(float(np.abs(a.outputs - b.outputs).max()) for a, b in zip(alone, batch, strict=True))
            names = [t.name for t in (*model.inputs, *model.outputs)]
            assert model.runtime.name == runtime
            found[name] = {"off": off, "apart": apart, "batches": model.batches, "names": names}
    return found


def recorded(path: Path) -> tuple[Arrays, Arrays]:
    """Inputs, and what TensorFlow said to them."""
    with np.load(path.with_suffix(".npz")) as arrays:
        inputs, outputs = (
            {key.removeprefix(side): arrays[key] for key in arrays.files if key.startswith(side)}
            for side in ("in:", "out:")
        )
    return inputs, outputs


def two_inputs() -> tuple[bytes, Arrays, Arrays]:
    """Keras: an accelerometer's window and sixteen levels, to one of seven exercises and to an angle."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(1)
    layers = keras.layers
    window, level = keras.Input((32, 3), name="acceleration"), keras.Input((16,), name="level")
    x = layers.GlobalAveragePooling1D()(layers.Conv1D(8, 5, activation="relu")(window))
    x = layers.Concatenate()([x, layers.Dense(8, activation="relu")(level)])
    heads = [layers.Dense(1, name="angle")(x), layers.Dense(7, activation="softmax", name="exercise")(x)]
    model = keras.Model([window, level], heads)
    inputs = {"acceleration": _normal(20, 32, 3), "level": _normal(20, 16)}
    angle, exercise = model([inputs["acceleration"], inputs["level"]])
    flatbuffer = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    return flatbuffer, inputs, {"output_0": angle.numpy(), "output_1": exercise.numpy()}


def streaming() -> tuple[bytes, Arrays, Arrays]:
    """A convolution along time that gets one sample and the ring of the last four; the batch is open."""
    import tensorflow as tf

    kernel = _normal(MEMORY + 1, 3, 2) / 3

    class Streaming(tf.Module):  # type: ignore[misc]
        @tf.function(
            input_signature=[
                tf.TensorSpec([None, 1, 3], tf.float32, "sample"),
                tf.TensorSpec([None, MEMORY, 3], tf.float32, "ring"),
            ]
        )
        def step(self, sample: Any, ring: Any) -> Any:
            every = tf.concat([ring, sample], axis=1)
            filtered = tf.nn.conv1d(every, kernel, stride=1, padding="VALID")
            return {"filtered": tf.nn.relu(filtered[:, 0]), "ring_after": every[:, 1:]}

    model = Streaming()
    inputs = {"sample": _normal(20, 1, 3), "ring": _normal(20, MEMORY, 3)}
    outputs = model.step(**inputs)
    return _exported(model, model.step), inputs, {k: v.numpy() for k, v in outputs.items()}


def whole_stream(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the streaming model says to each sample of a stream from its start: float32 [n, 2]."""
    kernel = _normal(MEMORY + 1, 3, 2) / 3
    padded = np.concatenate([np.zeros((MEMORY, 3), np.float32), samples])
    said = [np.einsum("tc,tco->o", padded[i : i + MEMORY + 1], kernel) for i in range(len(samples))]
    return np.maximum(np.stack(said), 0)


def photo_uint8() -> tuple[bytes, Arrays, Arrays]:
    """Like MobileNet: depthwise and pointwise convolutions of an image, uint8 in and out."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(2)
    layers = keras.layers
    stack = [keras.Input((24, 24, 3), name="image"), layers.Conv2D(8, 3, strides=2, activation="relu6")]
    for width in (16, 24):
        stack += [layers.DepthwiseConv2D(3, padding="same", activation="relu6"), layers.Conv2D(width, 1)]
    stack += [layers.GlobalAveragePooling2D(), layers.Dense(5, activation="softmax")]
    model = keras.Sequential(stack)
    images = np.random.default_rng(3).uniform(-1, 1, (20, 24, 24, 3)).astype(np.float32)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    return converter.convert(), {"image": images}, {"output_0": model(images).numpy()}


def open_length() -> tuple[bytes, Arrays, Arrays]:
    """Keras: a recording of any length."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(4)
    layers = keras.layers
    stack = [keras.Input((None, 3), name="recording"), layers.Conv1D(8, 5, activation="relu")]
    model = keras.Sequential([*stack, layers.GlobalAveragePooling1D(), layers.Dense(2)])
    inputs = {"recording": _normal(20, 50, 3)}
    flatbuffer = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    return flatbuffer, inputs, {"output_0": model(inputs["recording"]).numpy()}


def counting() -> tuple[bytes, Arrays, Arrays]:
    """Adds what it is given to a variable of its own, and says the sum."""
    import tensorflow as tf

    class Counting(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.total = tf.Variable(tf.zeros([1, 3]))

        @tf.function(input_signature=[tf.TensorSpec([1, 3], tf.float32, "x")])
        def step(self, x: Any) -> Any:
            self.total.assign_add(x)
            return {"total": 2 * self.total.read_value()}

    model = Counting()
    inputs = _normal(20, 3)
    return _exported(model, model.step), {"x": inputs}, {"total": 2 * inputs}


MAKERS: dict[str, Callable[[], tuple[bytes, Arrays, Arrays]]] = {
    make.__name__: make for make in (two_inputs, streaming, photo_uint8, open_length, counting)
}
CONTRACTS: dict[str, Contract] = {
    "streaming": contract(
        CHANNELS,
        1,
        Tensor("input", "sample", "float32", (1, 1, 3)),
        Tensor("input", "ring", "float32", (1, MEMORY, 3), state="ring_after"),
        Tensor("output", "ring_after", "float32", (1, MEMORY, 3)),
    ),
    "open_length": contract(CHANNELS, 50),
}


def _normal(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(shape[0]).normal(size=shape).astype(np.float32)


def _exported(model: Any, function: Any) -> bytes:
    import tempfile

    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(model, folder, signatures={"serving_default": function})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.experimental_enable_resource_variables = True
        flatbuffer: bytes = converter.convert()
    return flatbuffer
