"""Runs the models of the zoo as they are, and as converted without edgeml; in a child process."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.zoo.training import tensorflow

Arrays = dict[str, NDArray[np.float32]]


def run(model: str, data: str, target: str) -> None:
    """Write the outputs of a model file in its own framework, in order: ``output_0``, ``output_1``, ….

    Args:
        model: .keras, .h5, a SavedModel folder or a .tflite.
        data: .npz with the inputs by name.
        target: .npz to write.
    """
    path, inputs = Path(model), _inputs(data)
    if path.is_dir():
        signature = tensorflow().saved_model.load(model).signatures["serving_default"]
        outputs = [array.numpy() for _, array in sorted(signature(**inputs).items())]
    elif path.suffix == ".tflite":
        outputs = _run_tflite(path.read_bytes(), inputs)
    else:
        # One by one, as on a device: MelSpectrogram looks at the whole batch.
        outputs = _keras(model).predict(_ordered(_keras(model), inputs), batch_size=1, verbose=0)
    listed = outputs if isinstance(outputs, list) else [outputs]
    np.savez(target, **{f"output_{n}": array for n, array in enumerate(listed)})


def run_naive(model: str, data: str, target: str, per_channel: bool) -> None:
    """Write the outputs of a plain TFLiteConverter int8 model, calibrated on the very data that judge it."""
    tf, keras_model, inputs = tensorflow(), _keras(model), _inputs(data)
    arrays = _ordered(keras_model, inputs)
    converter = tf.lite.TFLiteConverter.from_keras_model(keras_model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [array[n : n + 1] for array in arrays] for n in range(len(arrays[0]))
    )
    converter._experimental_disable_per_channel = not per_channel
    outputs = _run_tflite(converter.convert(), inputs)
    np.savez(target, **{f"output_{n}": array for n, array in enumerate(outputs)})


def _inputs(data: str) -> Arrays:
    with np.load(data) as arrays:
        return {name: arrays[name] for name in arrays.files if name not in ("labels", "groups")}


def _keras(model: str) -> Any:
    if model.endswith(".h5"):
        import tf_keras

        return tf_keras.models.load_model(model, compile=False)
    return tensorflow().keras.models.load_model(model, compile=False)


def _ordered(model: Any, inputs: Arrays) -> list[NDArray[np.float32]]:
    names = getattr(model, "input_names", None) or [tensor.name for tensor in model.inputs]
    return [inputs[name] for name in names]


def _run_tflite(flatbuffer: bytes, inputs: Arrays) -> list[NDArray[np.float32]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it announces that tf.lite will move
        interpreter = tensorflow().lite.Interpreter(model_content=flatbuffer)
    signature = interpreter.get_signature_runner()
    batch = len(next(iter(inputs.values())))
    outputs = [signature(**{name: array[n : n + 1] for name, array in inputs.items()}) for n in range(batch)]
    return [np.concatenate([output[name] for output in outputs]) for name in sorted(outputs[0])]
