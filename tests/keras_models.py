"""Keras models and SavedModels for the loaders' tests; everything here runs in a process with TensorFlow."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SEED = 3


def keras_3() -> Any:
    from converters.tensorflow import load_tensorflow

    load_tensorflow()
    import keras

    keras.utils.set_random_seed(SEED)
    return keras


def keras_2() -> Any:
    from converters.tensorflow import load_tensorflow

    load_tensorflow()
    import tf_keras

    tf_keras.utils.set_random_seed(SEED)
    return tf_keras


def _sequence(k: Any, *layers: Any, shape: tuple[int | None, ...] = (20, 6)) -> Any:
    return k.Sequential([k.Input(shape), *layers, k.layers.Dense(4)])


def _encoder_decoder(k: Any) -> Any:
    x = k.Input((20, 6))
    y, h, c = k.layers.LSTM(8, return_sequences=True, return_state=True)(x)
    return k.Model(x, k.layers.Dense(3)(k.layers.LSTM(8)(y, initial_state=[h, c])))


def _nested(k: Any) -> Any:
    inner = k.Sequential([k.Input((20, 6)), k.layers.LSTM(8, return_sequences=True)])
    x = k.Input((20, 6))
    return k.Model(x, k.layers.Dense(2)(k.layers.LSTM(4)(inner(x))))


def _several(k: Any) -> Any:
    """Inputs and outputs whose order, alphabetical order and shapes all differ, two of the same shape."""
    left, right = k.Input((4,), name="left"), k.Input((4,), name="a_right")
    word = k.Input((3,), name="word", dtype="int32")
    embedded = k.layers.Flatten()(k.layers.Embedding(5, 2)(word))
    joined = k.layers.Concatenate()([k.layers.Subtract()([k.layers.Dense(4)(left), right]), embedded])
    outputs = [k.layers.Dense(3, name=name)(joined) for name in ("zone", "alarm", "mood")]
    return k.Model({"a_right": right, "left": left, "word": word}, outputs)


def _image(k: Any) -> Any:
    layers = k.layers
    return k.Sequential(
        [
            k.Input((16, 16, 3)),
            layers.Rescaling(1 / 255, name="scale_pixels"),
            layers.Conv2D(8, 3, activation="relu"),
            layers.DepthwiseConv2D(3),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4, activation="softmax"),
        ]
    )


RECURRENT: dict[str, Callable[[Any], Any]] = {
    "lstm": lambda k: _sequence(k, k.layers.LSTM(16)),
    "lstm_no_bias": lambda k: _sequence(k, k.layers.LSTM(16, use_bias=False)),
    "lstm_stacked": lambda k: _sequence(k, k.layers.LSTM(16, return_sequences=True), k.layers.LSTM(8)),
    "lstm_backwards": lambda k: _sequence(
        k, k.layers.LSTM(16, go_backwards=True, return_sequences=True), k.layers.Flatten()
    ),
    "lstm_relu": lambda k: _sequence(k, k.layers.LSTM(16, activation="relu")),
    "lstm_masked": lambda k: _sequence(k, k.layers.Masking(), k.layers.LSTM(16)),
    "lstm_states": _encoder_decoder,
    "lstm_nested": _nested,
    "lstm_each": lambda k: _sequence(
        k, k.layers.TimeDistributed(k.layers.LSTM(4)), k.layers.LSTM(3), shape=(5, 7, 2)
    ),
    "bidirectional": lambda k: _sequence(k, k.layers.Bidirectional(k.layers.LSTM(16))),
    "bidirectional_sum": lambda k: _sequence(
        k, k.layers.Bidirectional(k.layers.LSTM(8, return_sequences=True), merge_mode="sum"), k.layers.LSTM(4)
    ),
    "convolution_lstm": lambda k: _sequence(
        k, k.layers.Conv1D(8, 3), k.layers.BatchNormalization(), k.layers.ReLU(), k.layers.LSTM(16)
    ),
    "gru": lambda k: _sequence(k, k.layers.GRU(16)),
    "gru_reset_before": lambda k: _sequence(k, k.layers.GRU(16, reset_after=False)),
    "simple_rnn": lambda k: _sequence(k, k.layers.SimpleRNN(16)),
    "gru_long": lambda k: _sequence(k, k.layers.GRU(4), shape=(300, 3)),
}
OTHER: dict[str, Callable[[Any], Any]] = {
    "image": _image,
    "several": _several,
    "open_length": lambda k: k.Sequential(
        [k.Input((None, 3), name="signal"), k.layers.Conv1D(4, 3), k.layers.GlobalMaxPooling1D()]
    ),
    "spectrogram": lambda k: _sequence(
        k,
        k.layers.STFTSpectrogram(mode="log", frame_length=64, frame_step=32, fft_length=64, name="stft"),
        k.layers.Flatten(),
        shape=(512, 1),
    ),
    "text": lambda k: k.Sequential(
        [k.Input((1,), dtype="string"), k.layers.TextVectorization(vocabulary=["a"])]
    ),
    "stateful": lambda k: k.Sequential([k.Input((20, 6), batch_size=1), k.layers.LSTM(4, stateful=True)]),
    "not_built": lambda k: k.Sequential([k.layers.Dense(3)]),
    "not_a_number": lambda k: _poisoned(k, np.nan),
    "infinite": lambda k: _poisoned(k, np.inf),
    "lambda": lambda k: k.Sequential([k.Input((4,)), k.layers.Lambda(_write_a_file)]),
    "fixed_batch": lambda k: k.Sequential([k.Input((4,), batch_size=8), k.layers.Dense(2)]),
    "mixed_precision": lambda k: k.Sequential(
        [k.Input((4,)), k.layers.Dense(8, dtype="mixed_float16"), k.layers.Dense(2)]
    ),
    "random_at_inference": lambda k: k.Sequential([k.Input((4,)), k.layers.Dropout(0.5), k.layers.Dense(2)]),
}


def _write_a_file(x: Any) -> Any:
    import os
    from pathlib import Path

    Path(os.environ["EDGEML_TEST_TRAP"]).write_text("code ran")
    return x


def _poisoned(k: Any, value: float) -> Any:
    model = k.Sequential([k.Input((4,)), k.layers.Dense(3, name="first"), k.layers.Dense(2, name="second")])
    weights = model.layers[1].get_weights()
    weights[0][0, 0] = value
    model.layers[1].set_weights(weights)
    return model


def write(name: str, file: str, *, version: int = 3) -> None:
    """Save a model, with weights large enough to matter."""
    k = keras_3() if version == 3 else keras_2()
    if name == "lambda":
        os.environ["EDGEML_TEST_TRAP"] = os.devnull  # Keras runs it to find its output's shape
    model = {**RECURRENT, **OTHER}[name](k)
    if name in RECURRENT:
        rng = np.random.default_rng(SEED)
        model.set_weights(
            [w if "variance" in v.name else w + rng.normal(0, 0.2, w.shape) for w, v in _pairs(model)]
        )
    model.save(file)


def _pairs(model: Any) -> list[tuple[Any, Any]]:
    return list(zip(model.get_weights(), model.weights, strict=True))


def write_custom_layer(file: str) -> None:
    k = keras_3()

    @k.saving.register_keras_serializable("somebody")
    class Odd(k.layers.Layer):  # type: ignore[name-defined, misc]
        def call(self, x: Any) -> Any:
            return x + 1

    k.Sequential([k.Input((4,)), Odd()]).save(file)


def write_weights(file: str) -> None:
    k = keras_3()
    model = _image(k)
    model.save_weights(file)


def write_keras_2_call(file: str, function: str) -> None:
    """An .h5 with a TFOpLambda, renamed to another function of TensorFlow."""
    import h5py

    k = keras_2()
    import tensorflow as tf

    x = k.Input((4,))
    k.Model(x, k.layers.Dense(2)(tf.math.abs(x))).save(file)
    with h5py.File(file, "r+") as opened:
        config = opened.attrs["model_config"].replace("math.abs", function)
        opened.attrs["model_config"] = config


def rewrite_config(file: str, target: str, old: str, new: str) -> None:
    """A .keras file with its configuration changed."""
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(target, "w") as copy:
        for info in source.infolist():
            data = source.read(info)
            if info.filename == "config.json":
                text = data.decode()
                assert old in text
                data = text.replace(old, new).encode()
                json.loads(data)
            copy.writestr(info, data)


def predict(file: str, inputs: str, outputs: str, order: list[str], *, version: int = 3) -> None:
    """What Keras itself says, arrays by the names of the model's inputs and outputs."""
    k = keras_3() if version == 3 else keras_2()
    model = k.models.load_model(file, compile=False)
    with np.load(inputs) as arrays:
        given = {name: arrays[str(i)] for i, name in enumerate(order)}
    answers = model.predict(given if len(given) > 1 else next(iter(given.values())), verbose=0)
    answers = answers if isinstance(answers, list) else [answers]
    names = [tensor._keras_history[0].name for tensor in model.outputs]
    np.savez(outputs, **dict(zip(names, answers, strict=True)))


def int8(model: str, windows: str, output: str, *, repaired: bool = True) -> None:
    """The float .tflite as int8, calibrated on windows; with and without what `converters.lstm` repairs."""
    from converters import lstm
    from converters.tensorflow import load_tensorflow

    load_tensorflow()
    from tensorflow.lite.python.convert import mlir_quantize
    from tensorflow.lite.python.optimize.calibrator import Calibrator

    with np.load(windows) as arrays:
        samples = [[window[None]] for window in arrays["0"]]
    flatbuffer = lstm.with_intermediates(Path(model).read_bytes())
    calibrated = bytes(Calibrator(flatbuffer).calibrate(lambda: iter(samples)))
    quantized = bytes(mlir_quantize(lstm.widen_cells(calibrated) if repaired else calibrated))
    Path(output).write_bytes(lstm.align_states(quantized) if repaired else quantized)


def run_micro(model: str, inputs: str, outputs: str) -> None:
    """The file in TFLite Micro, reset before each window; in a process without TensorFlow."""
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_file(model, arena_size=400_000)
    rows = []
    with np.load(inputs) as arrays:
        for window in arrays["0"]:
            interpreter.reset()
            interpreter.set_input(window[None], 0)
            interpreter.invoke()
            rows.append(interpreter.get_output(0)[0].copy())
    np.savez(outputs, **{"0": np.stack(rows)})
