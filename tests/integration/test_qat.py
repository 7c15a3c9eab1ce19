"""Quantization-aware training on a model that int8 hurts: channels of very unlike size share one range."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from converters import compare
from edge_sdk.dataset import Dataset, Split
from tests.folders import motion
from train_host.config import Config
from train_host.windows.prepare import Prepared, prepare

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings(
        "ignore:__array__ implementation:DeprecationWarning"
    ),  # of TensorFlow's tensors
]

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # TensorFlow's own, while it is imported
    keras = pytest.importorskip("keras", reason="pip install 'edgeml-kit[train]'")
    from train_host import qat
    from train_host.fitting import fit
    from train_host.fitting.session import Session
    from train_host.fold import _converted
    from train_host.qat.equalization import equalize, pairs
    from train_host.qat.fake_quantization import Quantized

CONFIG = Config(
    window=40,
    hop=10,
    epochs=30,
    batch=32,
    augment=(),
    learning_rate=5e-3,
    model={"dropout": 0.1},
    qat_epochs=8,
)
#: The largest channel over the smallest.
UNLIKE = 3000.0


@dataclass(frozen=True)
class Case:
    """A float model, and what int8 makes of it before and after quantization-aware training."""

    model: Any
    given: Prepared
    statistics: list[NDArray[Any]]
    before: dict[str, NDArray[np.float32]]
    after: dict[str, NDArray[np.float32]]
    rounded: NDArray[np.float32]

    def accuracy(self, outputs: NDArray[np.float32]) -> float:
        """On the test windows."""
        return float((outputs.argmax(axis=1) == self.given.test.y).mean())


def hurt(model: Any) -> None:
    """Make channels large and small, and undo it in the next layer: the same function, in float."""
    layers = model.layers
    for at, layer in enumerate(layers):
        behind = [other for other in layers[at + 1 :] if isinstance(other, keras.layers.Conv1D)]
        if isinstance(layer, keras.layers.BatchNormalization) and behind:
            gamma, beta, mean, variance = layer.get_weights()
            by = np.geomspace(1, UNLIKE, len(gamma)).astype(np.float32)
            layer.set_weights([gamma * by, beta * by, mean, variance])
            behind[0].set_weights([behind[0].get_weights()[0] / by[None, :, None]])


def normal(model: Any) -> list[NDArray[Any]]:
    """The statistics that normalisation works with."""
    return [
        array
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
        for array in layer.get_weights()[2:]
    ]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("qat")
    dataset: Dataset = motion(folder / "d", groups=4, labels=("rest", "shake", "spin", "wave"), seconds=20)
    config = CONFIG.for_dataset(dataset)
    windows = dataset.windows(dataset.groups, 40, 10)
    random = np.random.default_rng(0)
    windows.x[:] += random.normal(scale=0.1, size=windows.x.shape)
    given = prepare(dataset, windows, Split(("p0", "p1"), (), ("p2", "p3"), "person"))
    model = fit.fit(dataset, given, config).model
    hurt(model)

    def outputs(name: str) -> dict[str, NDArray[np.float32]]:
        (folder / name).mkdir()
        converted = _converted(model, given, "int8", 0, folder / name)
        return {"float32": fit.scores(model, given.test), "int8": converted}

    before = outputs("before")
    quantized = Quantized(model)
    quantized.measure(given.train.x)
    rounded = quantized.model.predict(given.test.x, verbose=0)
    statistics = normal(model)
    qat.tune(model, dataset, given, config, Session())
    return Case(model, given, statistics, before, outputs("after"), rounded)


def test_the_copy_says_what_int8_will_say(case: Case) -> None:
    float32, int8 = case.before["float32"], case.before["int8"]
    assert compare.sqnr_db(int8, case.rounded) > compare.sqnr_db(int8, float32) + 6


def test_what_int8_lost_comes_back(case: Case) -> None:
    float32, int8 = (case.accuracy(case.before[key]) for key in ("float32", "int8"))
    meant, later = case.before["float32"], case.after["int8"]
    assert float32 > 0.8
    assert int8 < float32 - 0.2  # it does hurt
    assert case.accuracy(later) > float32 - 0.08
    assert compare.sqnr_db(meant, later) > compare.sqnr_db(meant, case.before["int8"]) + 3


def test_statistics_stay_and_the_file_is_plain_keras(case: Case, tmp_path: Path) -> None:
    for before, after in zip(case.statistics, normal(case.model), strict=True):
        np.testing.assert_array_equal(before, after)
    case.model.save(tmp_path / "m.keras")
    kinds = {type(layer).__module__.split(".")[0] for layer in case.model.layers}
    assert kinds == {"keras"}
    loaded = keras.models.load_model(tmp_path / "m.keras")
    x = case.given.test.x[:8]
    np.testing.assert_allclose(loaded.predict(x, verbose=0), case.after["float32"][:8], atol=1e-6)


def stack(*layers: Any, shape: tuple[int, ...] = (12, 4)) -> Any:
    """A model of these layers whose channels are of very unlike size."""
    random = np.random.default_rng(3)
    x = inputs = keras.Input(shape)
    for layer in layers:
        x = layer(x)
    for layer in layers:
        if layer.weights:
            layer.set_weights(
                [
                    np.abs(random.normal(size=array.shape)) * np.geomspace(0.05, 20, array.shape[-1]) + 0.1
                    for array in layer.get_weights()
                ]
            )
    return keras.Model(inputs, x)


L = keras.layers


#: Layers, and between how many of them channels may have any size.
STACKS: dict[str, tuple[Callable[[], list[Any]], int]] = {
    "convolutions": (
        lambda: [L.Conv1D(6, 3), L.ReLU(), L.MaxPooling1D(2), L.Conv1D(5, 2, activation="relu"), L.Dense(3)],
        2,
    ),
    "normalised": (
        lambda: [L.Dense(6), L.BatchNormalization(), L.ReLU(), L.GlobalAveragePooling1D(), L.Dense(3)],
        1,
    ),
    "depthwise ahead": (
        lambda: [L.DepthwiseConv1D(3, depth_multiplier=2), L.Activation("relu"), L.Dense(3)],
        1,
    ),
    "depthwise behind": (lambda: [L.Dense(6, use_bias=False), L.DepthwiseConv1D(3), L.Dense(3)], 2),
    "ReLU6": (lambda: [L.Conv1D(6, 3), L.ReLU(max_value=6), L.Dense(3)], 0),
    "tanh": (lambda: [L.Conv1D(6, 3, activation="tanh"), L.Dense(3)], 0),
    "flattened": (lambda: [L.Conv1D(6, 3), L.Flatten(), L.Dense(3)], 0),
}


@pytest.mark.parametrize("name", list(STACKS))
def test_channels_become_of_like_size_and_the_function_stays(name: str) -> None:
    layers, count = STACKS[name]
    made = stack(*layers())
    x = np.random.default_rng(4).uniform(0.1, 1, (32, 12, 4)).astype(np.float32)
    before = made.predict(x, verbose=0)
    between = [keras.Model(made.inputs, pair.target.input) for pair in pairs(made)]
    sizes = [one.predict(x, verbose=0) for one in between]
    assert equalize(made, x) == count
    np.testing.assert_allclose(made.predict(x, verbose=0), before, rtol=1e-4)
    for one, old in zip(between, sizes, strict=True):
        axes = tuple(range(old.ndim - 1))
        new = one.predict(x, verbose=0).max(axis=axes)
        assert new.max() / new.min() < old.max(axis=axes).max() / old.max(axis=axes).min()
