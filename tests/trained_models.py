"""Three networks that Keras made and trained, for the tests of C: ``python -m tests.trained_models``.

It writes tests/golden/c_library/NAME.tflite, int8 from end to end; nothing else needs TensorFlow or the data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.zoo.data import clothes
from tests.zoo.training import fit, fresh_keras, tensorflow

GOLDEN = Path(__file__).parent / "golden" / "c_library"
#: Pictures that train; enough for weights that are no noise.
_PICTURES = 1500
_CLASSES = 10


def resnet_8() -> bytes:
    """MLPerf Tiny's: [32, 32, 3], three residual blocks of 16, 32 and 64 channels."""
    keras = fresh_keras(81)
    layers = keras.layers

    def normal(x: Any, channels: int, stride: int, kernel: int = 3) -> Any:
        x = layers.Conv2D(channels, kernel, strides=stride, padding="same", use_bias=False)(x)
        return layers.BatchNormalization(momentum=0.9)(x)

    image = keras.Input((32, 32, 3))
    x = layers.ReLU()(normal(image, 16, 1))
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        y = normal(layers.ReLU()(normal(x, channels, stride)), channels, 1)
        short = x if stride == 1 else normal(x, channels, stride, kernel=1)
        x = layers.ReLU()(layers.Add()([short, y]))
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    return _of_pictures(keras.Model(image, layers.Dense(_CLASSES, activation="softmax")(x)), 32)


def mobilenet_96() -> bytes:
    """MobileNet, an eighth as wide, on [96, 96, 3]; pixels are scaled in the graph."""
    keras = fresh_keras(82)
    layers = keras.layers

    def normal(x: Any) -> Any:
        return layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.9)(x))

    image = keras.Input((96, 96, 3))
    x = layers.Rescaling(2.0, offset=-1.0)(image)
    x = normal(layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False)(x))
    steps = [(8, 1), (16, 2), (16, 1), (32, 2), (32, 1), (64, 2), *[(64, 1)] * 5, (128, 2), (128, 1)]
    for channels, stride in steps:
        x = normal(layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(x))
        x = normal(layers.Conv2D(channels, 1, use_bias=False)(x))
    x = layers.GlobalAveragePooling2D()(x)
    return _of_pictures(keras.Model(image, layers.Dense(_CLASSES, activation="softmax")(x)), 96)


def streaming() -> bytes:
    """One frame [1, 8] an inference; rings of past frames are state. It tells if a tone rises or falls."""
    tf, keras = tensorflow(), fresh_keras(83)
    layers = keras.layers

    class Ring(layers.Layer):  # type: ignore[misc, name-defined]
        """The newest frames and those before them."""

        def __init__(self, past: int) -> None:
            super().__init__()
            self.count = past

        def build(self, shape: Any) -> None:
            self.past = self.add_weight(
                shape=(1, self.count, shape[-1]), initializer="zeros", trainable=False
            )

        def call(self, frame: Any) -> Any:
            every = tf.concat([self.past, frame], 1)
            self.past.assign(every[:, 1:])
            return every

    learned = [
        layers.Conv1D(12, 3, activation="relu"),
        layers.DepthwiseConv1D(5, activation="relu"),
        layers.Conv1D(10, 1, activation="relu"),
        layers.Flatten(),
        layers.Dense(3, activation="softmax"),
    ]
    rng = np.random.default_rng(83)
    slope, at = rng.integers(-1, 2, 1500), rng.uniform(2, 6, 1500)
    places = at[:, None] + 0.25 * slope[:, None] * np.arange(14)
    frames = np.exp(-((places[..., None] - np.arange(8)) ** 2)) + rng.normal(size=(1500, 14, 8)) * 0.1
    fit(keras.Sequential([keras.Input((14, 8)), *learned]), frames.astype(np.float32), slope + 1, epochs=6)
    frame = keras.Input((1, 8), batch_size=1)
    x = learned[0](Ring(2)(frame))
    x = learned[2](learned[1](Ring(4)(x)))
    stream = keras.Model(frame, learned[4](learned[3](Ring(7)(x))))
    return _quantized(stream, frames.reshape(-1, 1, 8)[:500].astype(np.float32))


def _of_pictures(model: Any, size: int) -> bytes:
    """Trained for a few seconds on clothes, enlarged to that size."""
    data = clothes()
    times = size // 28
    rest = size - 28 * times
    large = data.x[:_PICTURES].repeat(times, 1).repeat(times, 2)
    edges = ((0, 0), (rest // 2, rest - rest // 2), (rest // 2, rest - rest // 2), (0, 0))
    pictures = np.broadcast_to(np.pad(large, edges), (len(large), size, size, 3)).astype(np.float32)
    fit(model, pictures, data.y[:_PICTURES], epochs=4, rate=0.004)
    return _quantized(model, pictures[:100])


def _quantized(model: Any, examples: Any) -> bytes:
    """By plain TFLiteConverter, as people bring them."""
    tf = tensorflow()
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([example[None]] for example in examples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


if __name__ == "__main__":
    for build in (resnet_8, mobilenet_96, streaming):
        (GOLDEN / f"{build.__name__}.tflite").write_bytes(build())
