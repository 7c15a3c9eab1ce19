"""The same kind of networks in other files: Keras 2's .h5, a SavedModel, a .tflite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.zoo.data import clothes, motion
from tests.zoo.training import Evidence, fit, fresh_keras, tensorflow


def keras2_h5(folder: str) -> str:
    """Depthwise convolutions as Keras 2 wrote them, with an argument that Keras 3 no longer knows."""
    tensorflow()
    import tf_keras as keras

    keras.backend.clear_session()
    keras.utils.set_random_seed(61)
    layers, data = keras.layers, clothes()
    model = keras.Sequential(
        [
            layers.InputLayer((28, 28, 1), name="image"),
            layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(6.0),
            layers.Conv2D(24, 1, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
    model.fit(data.x, data.y, batch_size=64, epochs=4, verbose=0)
    path = str(Path(folder) / "keras2_h5.h5")
    model.save(path)
    Evidence.classes(data, model.input_names[0]).write(folder, "keras2_h5")
    return path


def two_signatures(folder: str) -> str:
    """A SavedModel whose signatures are the scores (the default) and the features before them."""
    keras = fresh_keras(62)
    tf, data, model = tensorflow(), motion(), _small(keras)
    fit(model, data.x, data.y, epochs=5)
    features = keras.Model(model.inputs, model.layers[-2].output)

    class Both(tf.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.variables_of = [variable.value for variable in model.variables]

        @tf.function(input_signature=[tf.TensorSpec((None, 64, 6), tf.float32, "window")])
        def scores(self, window: Any) -> Any:
            return {"scores": model(window, training=False)}

        @tf.function(input_signature=[tf.TensorSpec((None, 64, 6), tf.float32, "window")])
        def features(self, window: Any) -> Any:
            return {"features": features(window, training=False)}

    both, path = Both(), str(Path(folder) / "two_signatures")
    tf.saved_model.save(both, path, {"serving_default": both.scores, "features": both.features})
    Evidence.classes(data).write(folder, "two_signatures")
    return path


def float_tflite(folder: str) -> str:
    """Float32, dynamic batch, as TensorFlow's converter writes it."""
    keras = fresh_keras(63)
    data, model = motion(), _small(keras)
    fit(model, data.x, data.y, epochs=5)
    path = Path(folder) / "float_tflite.tflite"
    path.write_bytes(tensorflow().lite.TFLiteConverter.from_keras_model(model).convert())
    Evidence.classes(data).write(folder, "float_tflite")
    return str(path)


def _small(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((64, 6), name="window"),
            layers.Conv1D(16, 5, strides=2, activation="relu"),
            layers.Conv1D(16, 5, strides=2, activation="relu"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(7, activation="softmax"),
        ]
    )
