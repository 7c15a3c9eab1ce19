"""Everything that needs TensorFlow: converting a .keras model, and running a .tflite in tf.lite.

`convert_keras` is called through `edge_sdk.child`: the converter prints, leaks, and crashes on some models.
TensorFlow is moving tf.lite out of its package, so that no other module touches it.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters import half, quantize, recipes
from edge_sdk.child import progress
from edge_sdk.errors import MissingExtraError, ModelError
from edge_sdk.graph import read_graph
from edge_sdk.runtimes._interpreter import InterpreterRuntime

#: Operations that the converter handles at a fixed batch only.
_FIXED_BATCH = ("STFT", "RFFT", "FFT", "FFT2", "ISTFT", "IRFFT", "STFTSpectrogram", "MelSpectrogram")
#: Windows scored when there is no data to score.
_RANDOM_WINDOWS = 64


def convert_keras(
    model: str,
    recipe: str,
    output: str,
    *,
    scores: str,
    calibration: str | None = None,
    inputs: str | None = None,
) -> dict[str, Any]:
    """Convert a .keras file and score it, both in this process.

    Args:
        model: path of the .keras file.
        recipe: name of the recipe.
        output: path that the flatbuffer is written to.
        scores: path of the .npz that is written: ``inputs`` and the original's ``scores``, float32 [n, …].
        calibration: path of a .npy with representative windows, float32 [n, …]; None where none are needed.
        inputs: path of a .npy with the windows to score; None scores random normal ones.

    Returns:
        ``versions`` of the packages, ``seconds`` of each step, ``parameters``, ``batch`` (1, or None).

    Raises:
        ModelError: Keras cannot load it, or the converter cannot convert it.
        MissingExtraError: TensorFlow is not installed.
    """
    tf = load_tensorflow()
    seconds: dict[str, float] = {}
    with _timed(seconds, "load"):
        progress(step="loading the model")
        keras_model = _load(tf, model)
    chosen = recipes.find(recipe)
    with _timed(seconds, "convert"):
        progress(step=f"converting to {recipe}")
        windows = np.load(calibration) if calibration else None
        Path(output).write_bytes(_convert(tf, keras_model, chosen, windows))
    with _timed(seconds, "score"):
        progress(step="scoring the original")
        x = np.load(inputs) if inputs else _random(keras_model)
        y = np.asarray(keras_model.predict(x, batch_size=256, verbose=0), dtype=np.float32)
        np.savez(scores, inputs=x, scores=y)
    return {
        "versions": {"tensorflow": tf.__version__, "keras": tf.keras.__version__},
        "seconds": seconds,
        "parameters": int(keras_model.count_params()),
        "batch": 1 if _needs_fixed_batch(tf, keras_model) else None,
    }


def describe_keras(model: str) -> dict[str, Any]:
    """Input and output shapes of a .keras file without their batch axis.

    Raises:
        ModelError: Keras cannot load it, or it has several inputs or outputs.
    """
    loaded = _load(load_tensorflow(), model)
    return {"input": list(loaded.input_shape[1:]), "output": list(loaded.output_shape[1:])}


def _convert(tf: Any, model: Any, recipe: recipes.Recipe, windows: NDArray[np.float32] | None) -> bytes:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if _needs_fixed_batch(tf, model):
            _export(tf, model, folder)
            converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        else:
            converter = tf.lite.TFLiteConverter.from_keras_model(model)
        try:
            if recipe.name == "int8":
                return _convert_int8(tf, model, converter, windows)
            if recipe.name == "dynamic_int8":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            flatbuffer = bytes(converter.convert())
            return half.narrow(flatbuffer, _preprocessing(model)) if recipe.name == "float16" else flatbuffer
        except ModelError:
            raise
        except Exception as error:  # the converter raises its own types, ValueError, RuntimeError and more
            raise _not_convertible(error) from error


def _convert_int8(tf: Any, model: Any, converter: Any, windows: NDArray[np.float32] | None) -> bytes:
    """Measure ranges once, read from the calibrated graph what must stay float32, then quantize the rest.

    This is what tf.lite.experimental.QuantizationDebugger does for its denylist, without converting twice and
    without its debug model.
    """
    from tensorflow.lite.python.convert import mlir_quantize

    if windows is None:
        raise ModelError("int8 needs representative windows", remedy="give a dataset with --data")
    rolled = [
        layer.name for layer in _layers(model) if isinstance(layer, tf.keras.layers.RNN) and not layer.unroll
    ]
    if rolled:
        raise ModelError(
            f"the recurrent layer {rolled[0]!r} cannot be quantized to int8",
            expected="unroll=True",
            found="a loop",
            remedy="build it with unroll=True, or use --recipe dynamic_int8",
        )
    preprocessing = _preprocessing(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([window[None]] for window in windows)
    converter._experimental_calibrate_only = True
    calibrated = bytes(converter.convert())
    graph = read_graph(calibrated)
    names = [graph.tensors[i].name for op in quantize.float_prefix(graph, preprocessing) for i in op.outputs]
    quantized = bytes(mlir_quantize(calibrated, denylisted_nodes=names))
    quantize.check_float_prefix(read_graph(quantized), preprocessing)
    return quantized


def _load(tf: Any, path: str) -> Any:
    try:
        model = tf.keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises TypeError, ValueError, KeyError, OSError and more
        message = " ".join(str(error).split())
        unknown = re.search(r"Could not locate class '(\w+)'", message)
        if unknown:
            raise ModelError(
                f"{path}: custom layer {unknown[1]!r}",
                expected="Keras' own layers",
                remedy="rebuild the model with Keras' own layers, then save and convert it",
            ) from error
        if "lambda" in message.lower():
            raise ModelError(
                f"{path}: a Lambda layer holds code, which is not run from a file",
                remedy="express it with Keras' own layers or operations",
            ) from error
        raise ModelError(
            f"{path}: Keras cannot load it", found=message[:200], remedy="save the model again"
        ) from error
    inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"{path}: inputs and outputs", expected="one of each", found=f"{len(inputs)} and {len(outputs)}"
        )
    if None in inputs[0].shape[1:]:
        raise ModelError(
            f"{path}: input shape", expected="fixed sizes behind the batch axis", found=list(inputs[0].shape)
        )
    return model


def _layers(model: Any) -> Iterator[Any]:
    """Every layer and operation, those of nested models included."""
    yield from model._flatten_layers(include_self=False)
    yield from getattr(model, "operations", ())


def _preprocessing(model: Any) -> list[str]:
    """Names of the layers that prepare the input, whatever operators they become."""
    return [layer.name for layer in _layers(model) if ".preprocessing." in type(layer).__module__]


def _needs_fixed_batch(tf: Any, model: Any) -> bool:
    return any(
        isinstance(layer, tf.keras.layers.RNN) or type(layer).__name__ in _FIXED_BATCH
        for layer in _layers(model)
    )


def _export(tf: Any, model: Any, folder: str) -> None:
    """Write a SavedModel whose batch is 1."""
    first = model.inputs[0]
    archive = tf.keras.export.ExportArchive()
    archive.track(model)
    spec = tf.TensorSpec((1, *first.shape[1:]), first.dtype, name=first.name)
    archive.add_endpoint("serve", lambda x: model(x, training=False), [spec])
    archive.write_out(folder)


def _random(model: Any) -> NDArray[np.float32]:
    shape = (_RANDOM_WINDOWS, *model.inputs[0].shape[1:])
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def _not_convertible(error: Exception) -> ModelError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    ops = next((line for line in lines if line.startswith(("Custom ops:", "Flex ops:"))), "")
    if not ops and "ops that can be supported" in str(error):
        ops = "operators that TFLite does not have"
    return ModelError(
        "TensorFlow cannot convert this model to plain TFLite",
        expected="operators that every TFLite runtime has",
        found=ops or (lines[0][:200] if lines else type(error).__name__),
        remedy="replace those layers",
    )


class Runtime(InterpreterRuntime):
    """A model in tf.lite, for comparison with the devices' runtimes: ``host:?runtime=tensorflow``."""

    name = "tensorflow"
    package = "tensorflow"

    def __init__(self, flatbuffer: bytes, threads: int = 1) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it announces that tf.lite will move
            super().__init__(flatbuffer, threads)

    @classmethod
    def probe(cls) -> Any:
        """The interpreter's class; raises MissingExtraError where TensorFlow is not installed."""
        return load_tensorflow().lite.Interpreter


@contextlib.contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[step] = round(time.perf_counter() - start, 3)


def load_tensorflow() -> Any:
    """The module tensorflow, without start-up chatter and without a GPU, which small models do not need.

    Raises:
        MissingExtraError: it is not installed.
    """
    # Read by TensorFlow when it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    try:
        import tensorflow as tf
    except ModuleNotFoundError as error:
        raise MissingExtraError("TensorFlow", "convert", error.name) from error
    return tf
