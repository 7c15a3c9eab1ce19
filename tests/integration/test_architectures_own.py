"""One's own Keras function, and transfer learning from one's own .keras: built, or refused in one line."""

from __future__ import annotations

import doctest
import json
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_sdk.contract import Statistics
from edge_sdk.errors import ConfigError, UnknownNameError
from edge_sdk.modelfile import digest_of
from tests.folders import motion

pytestmark = [
    pytest.mark.integration,
    # Keras' own, while it saves
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # TensorFlow's own, while it is imported
    keras = pytest.importorskip("keras", reason="pip install 'edgeml-kit[train]'")
    from train_host import architectures
    from train_host.architectures import cnn1d, cnn2d
    from train_host.architectures.head import Head
    from train_host.architectures.log_mel import LogMel

DOCUMENT = Path(__file__).parents[2] / "docs" / "architectures.md"
SHAPE = (32, 3)
PLAIN = Statistics((0.0, 0.5, 0.0), (1.0, 2.0, 1.0))
GRAY = Statistics((128.0,), (64.0,))
X = np.random.default_rng(2).normal(size=(4, *SHAPE)).astype(np.float32)
NETS = """
import keras
from train_host.architectures.normalization import normalization

def good(shape, head, statistics, *, filters=8):
    x = inputs = keras.Input(shape)
    x = keras.layers.Conv1D(filters, 5, strides=2, activation="relu")(normalization(statistics)(x))
    return keras.Model(inputs, head(keras.layers.GlobalAveragePooling1D()(x)))

def number(shape, head, statistics):
    return 7

def fails(shape, head, statistics):
    x = keras.Input(shape)
    return keras.layers.Reshape((5, 5))(x)

def long(shape, head, statistics):
    x = keras.Input(shape)
    return keras.Model(x, keras.layers.Conv1D(4, 3)(x))

def other_input(shape, head, statistics):
    x = keras.Input((7, 3))
    return keras.Model(x, head(keras.layers.Flatten()(x)))

def two(shape, head, statistics):
    x = keras.Input(shape)
    y = head(keras.layers.Flatten()(x))
    return keras.Model(x, [y, y])

def logits(shape, head, statistics):
    x = keras.Input(shape)
    y = keras.layers.Dense(head.units, bias_initializer="ones")(keras.layers.Flatten()(x))
    return keras.Model(x, y)

class Twice(keras.layers.Layer):
    def call(self, x):
        return 2 * x

def foreign(shape, head, statistics):
    x = keras.Input(shape)
    return keras.Model(x, head(keras.layers.Flatten()(Twice()(x))))

def code(shape, head, statistics):
    x = keras.Input(shape)
    y = keras.layers.Lambda(lambda x: 2 * x)(x)
    return keras.Model(x, head(keras.layers.Flatten()(y)))

def rated(shape, head, statistics, rate_hz, **more):
    assert rate_hz == 50.0 and more == {"anything": 1}
    return good(shape, head, statistics)

not_a_function = 7
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The current folder of these tests: one's own networks, and a base that was trained before."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_nets.py").write_text(NETS)
    base = architectures.build("cnn1d", SHAPE, Head(5), PLAIN)
    base.set_weights([array + 0.1 * X.std() * (n % 3) for n, array in enumerate(base.get_weights())])
    base.save(folder / "base.keras")
    return folder


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return folder


def built(name: str, options: dict[str, Any] | None = None, **more: Any) -> Any:
    return architectures.build(f"own_nets:{name}", SHAPE, Head(4), PLAIN, options, rate_hz=50.0, **more)


def test_ones_own_function_makes_the_model() -> None:
    assert built("good").count_params() < built("good", {"filters": 32}).count_params()
    assert built("rated", {"anything": 1}).output_shape == (None, 4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("number", "result: expected a keras.Model, found int"),
        ("fails", r"fails: found ValueError: .* \(line 15\)"),
        ("long", r"shape of its output: expected \[None, 4\], found \[None, 30, 4\]; end with keras.Model"),
        ("other_input", r"shape of its input: expected \[None, 32, 3\], found \[None, 7, 3\]"),
        ("two", "expected one input and one output"),
        ("logits", "output: expected probabilities, found 1 to 1; end with"),
        ("foreign", "layer 'twice'.*expected Keras' own layers.*found Twice"),
        ("code", "expected Keras' own layers, but Lambda.*found Lambda"),
        ("not_a_function", "expected a function, found int"),
    ],
    ids=lambda value: value.split()[0] if " " not in value else "",
)
def test_what_could_not_be_trained_or_converted_is_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        built(name)
    assert "\n" not in str(caught.value)


def test_unknown_options_suggest_the_nearest(folder: Path) -> None:
    with pytest.raises(ConfigError, match="option 'filtres'.*did you mean 'filters'"):
        built("good", {"filtres": 3})
    (folder / "broken_nets.py").write_text("import nothing_of_that_name\ndef f(a, b, c): ...")
    with pytest.raises(ConfigError, match=r"its module fails: found ModuleNotFoundError.*\(line 1\)"):
        architectures.build("broken_nets:f", SHAPE, Head(4), PLAIN)


def transferred(shape: tuple[int, ...] = SHAPE, head: Head = Head(4), **options: Any) -> Any:  # noqa: B008 - frozen
    return architectures.build("transfer", shape, head, PLAIN, {"base": "base.keras", **options})


def test_a_transfer_keeps_what_was_learned_and_only_a_new_last_layer_learns() -> None:
    base, model = keras.models.load_model("base.keras"), transferred()
    ahead = keras.Model(base.input, base.layers[-1].input)(X, training=False)
    kept = keras.Model(model.input, model.layers[-1].input)(X, training=False)
    np.testing.assert_array_equal(np.asarray(kept), np.asarray(ahead))
    assert [weight.path for weight in model.trainable_weights] == ["y/kernel", "y/bias"]
    assert model.output_shape == (None, 4)
    model.compile("adam", "sparse_categorical_crossentropy")
    before = (
        [np.array(weight) for weight in model.get_layer("conv1d").weights] if "conv1d" in names(model) else []
    )
    model.fit(X, np.arange(4), epochs=2, verbose=0)
    for old, new in zip(before, model.get_layer("conv1d").weights if before else [], strict=True):
        np.testing.assert_array_equal(old, np.array(new))


def names(model: Any) -> list[str]:
    return [layer.name for layer in model.layers]


def test_freezing_takes_a_share_a_layer_or_names() -> None:
    learned = [layer.name for layer in transferred().layers if layer.weights and layer.name != "y"]

    def frozen(freeze: Any) -> list[str]:
        model = transferred(freeze=freeze)
        return [layer.name for layer in model.layers if layer.name in learned and not layer.trainable]

    assert frozen(0) == []
    assert frozen(0.5) == learned[: round(len(learned) / 2)]
    assert frozen(learned[2]) == learned[:3]
    assert frozen([learned[1]]) == [learned[1]]
    with pytest.raises(ConfigError, match="freeze: expected a share from 0 to 1"):
        transferred(freeze=2)
    with pytest.raises(UnknownNameError, match="layer of freeze: 'absent'"):
        transferred(freeze="absent")


def test_a_cut_may_be_anywhere_and_what_has_axes_left_is_pooled() -> None:
    convolution = next(name for name in names(transferred()) if name.startswith("conv"))
    model = transferred(cut=convolution)
    assert model.get_layer("pooled").output.shape == (None, 24)
    with pytest.raises(UnknownNameError, match="layer of base.keras: 'absent'"):
        transferred(cut="absent")


def test_another_window_is_taken_where_layers_allow_it_and_refused_where_not(folder: Path) -> None:
    model = transferred((48, 3))
    base = keras.models.load_model("base.keras")
    np.testing.assert_array_equal(base.get_weights()[0], model.get_weights()[0])
    assert model(np.zeros((1, 48, 3), np.float32)).shape == (1, 4)
    assert all(not layer.trainable for layer in model.layers[1].layers if layer.weights)
    with pytest.raises(
        ConfigError, match=r"its input: expected \[32, 3\].*found windows of \[32, 6\]; take window"
    ):
        transferred((32, 6))
    architectures.build("mlp", SHAPE, Head(5), PLAIN).save(folder / "dense.keras")
    with pytest.raises(
        ConfigError, match=r"dense.keras: its input: expected \[32, 3\].*found windows of \[48, 3\]"
    ):
        transferred((48, 3), base="dense.keras")


def test_gray_images_reach_a_base_of_colours_in_its_own_range(folder: Path) -> None:
    image = keras.Input((16, 16, 3))
    seen = keras.layers.Conv2D(3, 1, use_bias=False, name="seen")(image)
    pooled = keras.layers.GlobalAveragePooling2D()(seen)
    colours = keras.Model(image, keras.layers.Dense(2)(pooled))
    colours.get_layer("seen").set_weights([np.eye(3)[None, None]])
    colours.save(folder / "colours.keras")
    model = architectures.build(
        "transfer",
        (20, 20, 1),
        Head(3),
        GRAY,
        {"base": "colours.keras", "scale": 1 / 127.5, "offset": -1.0},
    )
    features = keras.Model(model.input, model.layers[-1].input)
    np.testing.assert_allclose(np.asarray(features(np.full((1, 20, 20, 1), 255.0))), [[1, 1, 1]], atol=1e-6)
    np.testing.assert_allclose(np.asarray(features(np.zeros((1, 20, 20, 1)))), [[-1, -1, -1]], atol=1e-6)


def test_a_base_that_is_none_is_told(folder: Path) -> None:
    (folder / "text.keras").write_text("no zip")
    with pytest.raises(ConfigError, match="text.keras: Keras cannot load it"):
        transferred(base="text.keras")
    x = keras.Input((4,))
    keras.Model(x, keras.layers.Dense(2)(x)).save(folder / "shallow.keras")
    with pytest.raises(ConfigError, match="learned layers: expected two at least"):
        transferred(base="shallow.keras")


def test_sound_reaches_families_as_a_spectrogram_with_options_of_its_own() -> None:
    quiet = Statistics((0.0,), (1.0,))
    model = architectures.build(
        "cnn1d", (8000, 1), Head(3), quiet, {"mels": 20, "filters": [8, 8, 8]}, rate_hz=8000.0
    )
    assert model.get_layer("bands").output.shape[2] == 20
    raw = architectures.build("cnn1d", (8000, 1), Head(3), quiet, rate_hz=1000.0)
    assert "log_mel" not in names(raw)
    with pytest.raises(ConfigError, match="option 'mels'"):
        architectures.build("cnn1d", (8000, 1), Head(3), quiet, {"mels": 20}, rate_hz=1000.0)
    with pytest.raises(ConfigError, match="lowest_hz and highest_hz"):
        architectures.build("cnn1d", (8000, 1), Head(3), quiet, {"highest_hz": 9000.0}, rate_hz=8000.0)
    assert LogMel(rate_hz=8000.0, highest_hz=3800.0).mels == 32


def test_a_detector_leaves_the_course_of_long_windows_out() -> None:
    head, quiet = Head(1, None, alarm=True), Statistics((0.0, 0.0), (1.0, 1.0))
    short, long = (
        architectures.build("autoencoder", (window, 2), head, quiet).get_layer("standard").output.shape
        for window in (200, 12_000)
    )
    assert (short, long) == ((None, 3, 34), (None, 1, 68))


def test_long_windows_have_more_stages_of_longer_strides() -> None:
    assert doctest.testmod(cnn1d).failed == 0
    for window in (10, 200, 500, 24_000):
        filters, kernels, strides = cnn1d.stages(window)
        assert len(filters) == len(kernels) == len(strides)
        assert all(kernel > stride for kernel, stride in zip(kernels, strides, strict=True))
        assert window / np.prod(strides) <= 25
    quiet = Statistics((0.0,), (1.0,))
    own = architectures.build("cnn1d", (2000, 1), Head(3), quiet, {"filters": [8, 8, 8]})
    assert [layer.strides for layer in own.layers if "conv" in layer.name] == [(2,)] * 3


def test_large_images_have_more_stages() -> None:
    assert doctest.testmod(cnn2d).failed == 0
    assert [len(cnn2d.stages(side)) for side in (8, 12, 32, 64, 128, 224)] == [2, 2, 3, 4, 5, 6]
    small, large = (architectures.build("cnn2d", (side, side, 1), Head(2), GRAY) for side in (28, 200))
    assert {model.layers[-3].input.shape[1] for model in (small, large)} <= {4, 5, 6}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the document's network was trained by the document's command."""
    place = tmp_path_factory.mktemp("trained")
    motion(place / "data", groups=4)
    (place / "nets.py").write_text(_block("python"))
    (command,) = (line for line in _block("sh", 1).splitlines() if "nets:small" in line)
    _run(place, command.partition("#")[0] + " --epochs 1")
    return place


def test_the_document_s_network_trains_and_the_record_names_its_file(trained: Path) -> None:
    text = (trained / "nets.py").read_bytes()
    assert json.loads((trained / "model.run.json").read_text())["architecture"] == {
        "name": "nets:small",
        "source": {"file": str(trained / "nets.py"), "digest": digest_of(text)},
    }


def test_its_costs_are_measured_with_its_options(trained: Path) -> None:
    (trained / "few.toml").write_text("window = 40\n[model]\nfilters = 4\n")
    said = json.loads(_run(trained, "edgeml train --list data --arch nets:small --config few.toml --json"))
    assert (said["shape"], said["rate_hz"], said["default"]) == ([40, 3], 20.0, "cnn1d")
    found = said["architectures"]["nets:small"]
    assert found["parameters"] == (5 * 3 * 4 + 4) + (4 * 2 + 2)
    assert found["macs"] == 18 * 4 * 15 + 8
    assert found["boards"]["cortex-m4"]["runs"]


def test_what_it_has_learned_is_the_base_of_another(trained: Path) -> None:
    said = _run(trained, "edgeml train data -o next.keras --base model.keras --epochs 1 --json")
    assert json.loads(said)["model"] == "next.keras"
    record = json.loads((trained / "next.run.json").read_text())
    assert record["config"]["model"] == {"base": "model.keras"}
    source = {
        "file": str(trained / "model.keras"),
        "digest": digest_of((trained / "model.keras").read_bytes()),
    }
    assert record["architecture"] == {"name": "transfer", "source": source}


def _block(kind: str, number: int = 0) -> str:
    blocks = re.findall(rf"^```{kind}\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    return str(blocks[number])


def _run(place: Path, command: str) -> str:
    words = [sys.executable, "-m", "edge_sdk", *shlex.split(command)[1:]]
    done = subprocess.run(words, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
