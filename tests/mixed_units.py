"""A data set and models with channels of unlike units: acceleration in g, rotation in dps, pressure in Pa.

Four classes that need every sensor: whether acceleration and rotation swing together or against each other,
and whether pressure lies 20 Pa above or below 101 kPa. Functions that need TensorFlow run in a child process.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk import dataset, modelfile
from edge_sdk.contract import Channel, Contract, Input, Lineage, Output
from edge_sdk.dataset import Dataset, Facts, NewRecording, Signal

WINDOW, HOP, RATE_HZ = 40, 20, 50.0
LABELS = ("still", "turn", "rise", "turn_and_rise")
CHANNELS = (
    *(Channel(name, "g", (-2.0, 2.0)) for name in ("ax", "ay", "az")),
    *(Channel(name, "dps", (-500.0, 500.0)) for name in ("wx", "wy", "wz")),
    Channel("p", "Pa", (90_000.0, 110_000.0)),
)
NAMES = tuple(channel.name for channel in CHANNELS)
MEAN = np.array([0, 0, 0, 0, 0, 0, 101_000], np.float32)
STD = np.array([0.3, 0.3, 0.3, 40, 40, 40, 30], np.float32)


def signal(label: int, seconds: float, seed: int) -> NDArray[np.float32]:
    """float32 [n, 7]: noise, and the marks of the label in every sensor."""
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE_HZ)
    x = rng.normal(size=(n, 7)) * STD + MEAN
    swing = np.sin(2 * np.pi * 3.0 * np.arange(n) / RATE_HZ + rng.uniform(0, 6))
    x[:, 0] += 0.5 * swing
    x[:, 3] += (60 if label & 1 else -60) * swing
    x[:, 6] += 20 if label & 2 else -20
    return x.astype(np.float32)


def write_dataset(folder: Path) -> Dataset:
    """8 subjects, 2 recordings of each class."""
    facts = Facts(name="mixed", channels=CHANNELS, rate_hz=RATE_HZ, labels=LABELS, group="subject")
    recordings = (
        NewRecording(
            Signal(signal(label, 12.0, 100 * subject + 10 * take + label), RATE_HZ, NAMES),
            name,
            f"s{subject}",
            str(take),
            suffix=".npz",
        )
        for subject in range(8)
        for take in range(2)
        for label, name in enumerate(LABELS)
    )
    return dataset.write(folder, facts, recordings)


def train(file: str, folder: str) -> None:
    """A small network with normalisation in its graph, with the members that `edgeml train` writes."""
    from converters.tensorflow import load_tensorflow

    keras = load_tensorflow().keras
    keras.utils.set_random_seed(3)
    data = Dataset.load(folder)
    split = data.split(7)
    training = data.windows(split.train, WINDOW, HOP)
    layers = [
        keras.Input((WINDOW, len(CHANNELS)), name="window"),
        keras.layers.Normalization(mean=MEAN, variance=np.square(STD)),
        keras.layers.Conv1D(16, 5, activation="relu"),
        keras.layers.MaxPool1D(2),
        keras.layers.Conv1D(16, 5, activation="relu"),
        keras.layers.GlobalAveragePooling1D(),
        keras.layers.Dense(len(LABELS), activation="softmax"),
    ]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(training.x, training.y, batch_size=32, epochs=10, verbose=0)
    model.save(file)
    contract = Contract(
        name="mixed",
        task="classification",
        input=Input(CHANNELS, RATE_HZ, WINDOW, HOP),
        output=Output(LABELS),
        lineage=Lineage(dataset=data.digest, split="subject", seed=7),
    )
    facts = {"path": str(data.folder.absolute()), "digest": data.digest}
    run = {"dataset": facts, "split": split.as_dict(), "window": WINDOW, "hop": HOP, "seed": 7}
    members = {modelfile.CONTRACT: contract.to_json(), modelfile.RUN: json.dumps(run).encode()}
    modelfile.add_members(Path(file), members)


def fold_normalisation(file: str, target: str) -> None:
    """The same function of the input, normalisation folded into the first convolution: no float prefix."""
    from converters.tensorflow import load_tensorflow

    keras = load_tensorflow().keras
    model = keras.models.load_model(file)
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv1D))
    kernel, bias = first.get_weights()
    first.set_weights([kernel / STD[None, :, None], bias - np.einsum("kco,c->o", kernel, MEAN / STD)])
    rest = [layer for layer in model.layers if not isinstance(layer, keras.layers.Normalization)]
    folded = keras.Sequential([keras.Input((WINDOW, len(CHANNELS)), name="window"), *rest])
    folded.save(target)
    modelfile.add_members(Path(target), modelfile.read_members(Path(file)))


def export(file: str) -> None:
    """The same model as an .h5 and as a SavedModel, beside it."""
    from converters.tensorflow import load_tensorflow

    model = load_tensorflow().keras.models.load_model(file)
    model.save(Path(file).with_suffix(".h5"))
    model.export(str(Path(file).with_name(Path(file).stem + "_saved")))


def convert_naively(file: str, calibration: str, target: str) -> None:
    """Plain TFLiteConverter, everything in int8 from the input on."""
    from converters.tensorflow import load_tensorflow

    tf = load_tensorflow()
    converter = tf.lite.TFLiteConverter.from_keras_model(tf.keras.models.load_model(file))
    windows = np.load(calibration)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([window[None]] for window in windows)
    Path(target).write_bytes(converter.convert())


def run_in(runtime: str, file: str, windows: str) -> list[list[float]]:
    """The outputs of a model file in a runtime, one window at a time."""
    from edge_sdk.model import Model

    with Model.load(file, target=f"host:?runtime={runtime}") as model:
        outputs: list[list[float]] = model.scores(np.load(windows)).tolist()
    return outputs


def build_odd(folder: str) -> None:
    """Models that need special care, or cannot be converted; none is trained."""
    from converters.tensorflow import load_tensorflow

    keras = load_tensorflow().keras
    keras.utils.set_random_seed(1)
    layers, place = keras.layers, Path(folder)

    class Doubled(layers.Layer):  # type: ignore[misc, name-defined]
        def call(self, x: Any) -> Any:
            return 2 * x

    def save(name: str, *stack: Any) -> None:
        keras.Sequential(list(stack)).save(place / f"{name}.keras")

    save("custom", keras.Input((4,)), Doubled(), layers.Dense(2))
    save("code", keras.Input((4,)), layers.Lambda(lambda x: 2 * x), layers.Dense(2))
    save("lstm", keras.Input((8, 3)), layers.LSTM(4), layers.Dense(2, activation="softmax"))
    save("unrolled", keras.Input((8, 3)), layers.LSTM(4, unroll=True), layers.Dense(2, activation="softmax"))
    save(
        "plain",
        keras.Input((8, 3)),
        layers.Conv1D(4, 3),
        layers.Flatten(),
        layers.Dense(2, activation="softmax"),
    )
    save("open", keras.Input((None, 3)), layers.GlobalAveragePooling1D(), layers.Dense(2))
    spectrum = layers.MelSpectrogram(fft_length=64, sequence_stride=32, num_mel_bins=8, sampling_rate=8000)
    save("mel", keras.Input((512,)), spectrum, layers.Flatten(), layers.Dense(2, activation="softmax"))
    two = [keras.Input((4,)), keras.Input((4,))]
    keras.Model(two, layers.Dense(2)(layers.Add()(two))).save(place / "two.keras")


def without_members(file: Path, target: Path) -> Path:
    """The same model as Keras itself would have saved it."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            if not info.filename.startswith("edgeml/"):
                new.writestr(info, old.read(info))
    return target
