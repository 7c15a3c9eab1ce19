from __future__ import annotations

import math
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_sdk.contract import Channel, Statistics
from edge_sdk.dataset import Dataset, Split
from edge_sdk.errors import ConfigError
from tests.folders import motion
from train_host import augment
from train_host.augment import Facts
from train_host.augment.strengths import Strengths
from train_host.config import Config
from train_host.windows.prepare import prepare

pytestmark = pytest.mark.integration

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # TensorFlow's own, while it is imported
    keras = pytest.importorskip("keras", reason="pip install 'edgeml-kit[train]'")
    from train_host import architectures
    from train_host.architectures.head import Head
    from train_host.augment.learner import learner

SENSORS = [
    *(Channel(n, "g") for n in ("ax", "ay", "az")),
    Channel("p", "Pa"),
    *(Channel(f"w{n}", "dps") for n in "xyz"),
]
STATISTICS = Statistics((0.0,) * 7, (1.0, 1.0, 1.0, 50.0, 1.0, 1.0, 1.0))
RANDOM = np.random.default_rng(1)
SILENCE = math.log(1e-3)
X = {
    "signals": RANDOM.normal(size=(64, 25, 7)).astype(np.float32),
    "sound": RANDOM.normal(size=(64, 1024, 1)).astype(np.float32),
    "spectrogram": np.log(RANDOM.exponential(size=(64, 30, 16)) + 1e-3).astype(np.float32),
    "images": RANDOM.uniform(0, 255, size=(64, 12, 16, 3)).astype(np.float32),
}


def layer(name: str, kind: str, background: Any = None, **strengths: Any) -> Any:
    x, signals = X[kind], kind == "signals"
    channels = SENSORS if signals else [Channel(f"c{n}") for n in range(x.shape[-1])]
    mean = tuple(x.reshape(-1, x.shape[-1]).mean(axis=0).tolist())
    statistics = STATISTICS if signals else Statistics(mean, (1.0,) * x.shape[-1])
    facts = Facts(Strengths(**strengths), channels, statistics, SILENCE, background)
    return augment.TABLE[name].build(facts, seed=3)


def changed(name: str, kind: str, background: Any = None, **strengths: Any) -> NDArray[np.float32]:
    return np.asarray(layer(name, kind, background, **strengths)(X[kind], training=True))


CASES = [
    (name, "spectrogram" if entry.changes == "spectrogram" else kind)
    for name, entry in augment.TABLE.items()
    for kind in entry.kinds
]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_nothing_changes_outside_of_training(name: str, kind: str) -> None:
    np.testing.assert_array_equal(np.asarray(layer(name, kind)(X[kind], training=False)), X[kind])


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_seed_gives_the_same_changes_and_each_batch_others(name: str, kind: str) -> None:
    one, other = layer(name, kind), layer(name, kind)
    first, again = (np.asarray(made(X[kind], training=True)) for made in (one, other))
    np.testing.assert_array_equal(first, again)
    assert first.shape == X[kind].shape
    assert np.isfinite(first).all()
    assert not np.array_equal(first, X[kind])
    assert not np.array_equal(np.asarray(one(X[kind], training=True)), first)


def test_rotation_is_one_proper_rotation_for_all_sensors_of_a_window() -> None:
    x, turned = X["signals"], changed("rotation", "signals", rotation_deg=180.0)
    np.testing.assert_array_equal(turned[:, :, 3], x[:, :, 3])  # the pressure has no direction
    for window in range(len(x)):
        # the matrix that turns the accelerometer must turn the gyroscope too
        matrix, *_ = np.linalg.lstsq(x[window, :, :3], turned[window, :, :3], rcond=None)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-4)
        assert np.linalg.det(matrix) == pytest.approx(1, abs=1e-3)
        np.testing.assert_allclose(x[window, :, 4:] @ matrix, turned[window, :, 4:], atol=1e-4)


def test_angles_reach_the_limit_and_never_pass_it() -> None:
    x, turned = X["signals"], changed("rotation", "signals", rotation_deg=40.0)
    angles = []
    for window in range(len(x)):
        matrix, *_ = np.linalg.lstsq(x[window, :, :3], turned[window, :, :3], rcond=None)
        angles.append(math.degrees(math.acos(np.clip((np.trace(matrix) - 1) / 2, -1, 1))))
    assert max(angles) < 40.1
    assert max(angles) > 30
    assert min(angles) < 10


def test_jitter_is_as_strong_as_each_channel_moves() -> None:
    noise = changed("jitter", "signals", jitter=0.1) - X["signals"]
    np.testing.assert_allclose(noise.std(axis=(0, 1)), np.array(STATISTICS.std) * 0.1, rtol=0.1)


def test_a_dropped_channel_stands_at_its_mean() -> None:
    there = (changed("drop", "signals", drop=0.5) != 0).any(axis=1)
    lost = (~there).sum(axis=1)
    assert set(lost.tolist()) == {0, 1}
    assert 0.3 < lost.mean() < 0.7
    assert len(set(np.argmin(there[lost == 1], axis=1).tolist())) > 3


def test_shift_turns_a_window_round() -> None:
    moved = changed("shift", "signals", shift=0.2)
    by = [
        next(n for n in range(-5, 6) if np.array_equal(np.roll(one, -n, axis=0), other))
        for one, other in zip(X["signals"], moved, strict=True)
    ]
    assert len(set(by)) > 5


def test_speed_changes_the_pitch_around_the_middle() -> None:
    time = np.arange(2001, dtype=np.float32)
    waves = np.tile(np.cos((time - 1000) / 10)[None, :, None], (32, 1, 7)).astype(np.float32)
    played = np.asarray(layer("speed", "signals", speed=0.2)(waves, training=True))[:, :, 0]
    np.testing.assert_allclose(played[:, 1000], 1, atol=1e-6)
    bins = np.abs(np.fft.rfft(played * np.hanning(2001), 1 << 16)).argmax(axis=1)
    rates = bins * 2 * np.pi / (1 << 16) * 10
    assert 0.79 < rates.min() < 0.9
    assert 1.1 < rates.max() < 1.21


def test_a_warped_window_keeps_its_ends_and_its_order() -> None:
    ramps = np.tile(np.linspace(0, 1, 101, dtype=np.float32)[None, :, None], (16, 1, 2))
    warped = np.asarray(layer("warp", "signals", warp=0.4)(ramps, training=True))
    np.testing.assert_allclose(warped[:, 0], 0, atol=1e-5)
    np.testing.assert_allclose(warped[:, -1], 1, atol=1e-5)
    paces = np.diff(warped[:, :, 0], axis=1) * 100
    assert paces.min() > 0.3
    assert paces.max() > 1.15
    assert np.abs(warped - ramps).max() > 0.02


def test_scaling_and_gain_multiply_a_whole_window_by_one_number() -> None:
    cases: list[tuple[str, dict[str, float], float, float]] = [
        ("scaling", {"scaling": 0.2}, 0.8, 1.2),
        ("gain", {"gain_db": 6.0}, 0.5012, 1.9953),
    ]
    for name, strength, low, high in cases:
        factors = changed(name, "sound", **strength) / X["sound"]
        np.testing.assert_allclose(factors, np.broadcast_to(factors[:, :1], factors.shape), rtol=1e-3)
        assert low * 0.999 <= factors.min() < low * 1.2
        assert high * 0.85 < factors.max() <= high * 1.001


def test_gains_are_of_each_channel_by_itself() -> None:
    gains = changed("gains", "signals", gains=1.0) / X["signals"]
    np.testing.assert_allclose(gains, np.broadcast_to(gains[:, :1], gains.shape), rtol=1e-3)
    assert 0.5 <= gains.min() < 0.6
    assert 1.8 < gains.max() <= 2.0
    assert np.ptp(gains[:, 0], axis=1).min() > 0.05


def test_noise_is_as_loud_as_asked_and_in_half_of_the_windows() -> None:
    x = X["sound"]
    noise = changed("noise", "sound", snr_db=(10.0, 20.0)) - x
    hit = np.abs(noise).max(axis=(1, 2)) > 0
    assert 0.3 < hit.mean() < 0.7
    snr_db = 10 * np.log10((x[hit] ** 2).mean(axis=(1, 2)) / (noise[hit] ** 2).mean(axis=(1, 2)))
    assert 9.9 < snr_db.min() < 12
    assert 18 < snr_db.max() < 20.1
    spectrum = np.abs(np.fft.rfft(noise[hit, :, 0])) ** 2
    tilt = spectrum[:, 10:60].mean(axis=1) / spectrum[:, 400:500].mean(axis=1)
    assert tilt.max() > 10 * tilt.min()  # of many colours


def test_silence_gets_no_noise_that_would_be_all_there_is() -> None:
    nothing = np.zeros((16, 512, 1), np.float32)
    heard = np.asarray(layer("noise", "sound")(nothing, training=True))
    assert np.abs(heard).max() < 1e-3


def test_noise_can_be_recordings() -> None:
    hum = np.sin(np.arange(1024) / 5).astype(np.float32)[None, :, None]
    noise = changed("noise", "sound", hum, snr_db=(0.0, 0.0)) - X["sound"]
    noise = noise[np.abs(noise).max(axis=(1, 2)) > 0][:, :, 0]
    for one in noise:
        assert np.corrcoef(one, hum[0, :, 0])[0, 1] > 0.999


def test_masks_hide_stretches_behind_the_mean() -> None:
    x = X["spectrogram"]
    masked = changed("masks", "spectrogram", mask_time=0.3, mask_bands=0.4)
    different = masked != x
    means = np.broadcast_to(x.mean(axis=(1, 2), keepdims=True), x.shape)
    np.testing.assert_allclose(masked[different], means[different], rtol=1e-4)
    frames, bands = different.all(axis=2).sum(axis=1), different.all(axis=1).sum(axis=1)
    assert 5 < frames.max() <= 18
    assert 3 < bands.max() <= 7
    assert frames.min() <= 5


def test_tone_moves_bands_smoothly_and_leaves_silence_alone() -> None:
    loud = np.full((32, 5, 16), 3.0, np.float32)
    heard = np.asarray(layer("tone", "spectrogram", tone_db=6.0)(loud, training=True))
    moved_db = (heard - loud) * 10 / math.log(10)
    np.testing.assert_allclose(moved_db, np.broadcast_to(moved_db[:, :1], moved_db.shape), atol=1e-4)
    assert 4 < np.abs(moved_db).max() < 6.01
    assert np.abs(np.diff(moved_db, axis=2)).max() < 12 * 4 / 15 + 0.01
    quiet = np.full((32, 5, 16), SILENCE, np.float32)
    np.testing.assert_allclose(
        np.asarray(layer("tone", "spectrogram")(quiet, training=True)), quiet, atol=1e-3
    )


def test_voice_stretches_the_bands() -> None:
    ramp = np.tile(np.arange(40, dtype=np.float32), (32, 3, 1))
    factors = np.asarray(layer("voice", "spectrogram", voice=0.2)(ramp, training=True))[:, 0, 20] / 20
    assert 0.79 < factors.min() < 0.87
    assert 1.13 < factors.max() < 1.21


def test_flip_mirrors_half_of_the_images() -> None:
    x, seen = X["images"], changed("flip", "images")
    mirrored = [np.array_equal(one, other[:, ::-1]) for one, other in zip(seen, x, strict=True)]
    kept = [np.array_equal(one, other) for one, other in zip(seen, x, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 0.3 < np.mean(mirrored) < 0.7


def test_crop_moves_images_and_their_edges_go_on() -> None:
    moves = set()
    for one, other in zip(changed("crop", "images", crop=0.2), X["images"], strict=True):
        found = [
            (down, right)
            for down in range(-3, 4)
            for right in range(-4, 5)
            if np.array_equal(
                one, other[np.clip(np.arange(12) + down, 0, 11)][:, np.clip(np.arange(16) + right, 0, 15)]
            )
        ]
        assert len(found) == 1
        moves.add(found[0])
    assert len(moves) > 15
    assert max(down for down, _ in moves) == 2
    assert max(right for _, right in moves) == 3


def test_tilt_turns_around_the_middle() -> None:
    dots = np.zeros((64, 21, 21, 1), np.float32)
    dots[:, 10, 10] = 255
    dots[:, 9:12, 16:19] = 255
    turned = np.array(layer("tilt", "images", tilt_deg=30.0)(dots, training=True))[..., 0]
    assert (turned[:, 10, 10] > 200).all()
    turned[:, 8:13, 8:13] = 0
    rows, columns = np.mgrid[:21, :21] - 10
    weight = turned.sum(axis=(1, 2))
    angles = np.degrees(
        np.arctan2((turned * rows).sum(axis=(1, 2)) / weight, (turned * columns).sum(axis=(1, 2)) / weight)
    )
    assert -31 < angles.min() < -20
    assert 20 < angles.max() < 31


def test_light_stays_within_the_range_and_tints() -> None:
    seen = changed("light", "images", light=0.5)
    assert seen.min() >= 0
    assert seen.max() <= 255
    levels = seen.mean(axis=(1, 2))
    assert np.ptp(levels.mean(axis=1)) > 60
    spread = (seen.std(axis=(1, 2)) / X["images"].std(axis=(1, 2))).max(axis=1) / (
        seen.std(axis=(1, 2)) / X["images"].std(axis=(1, 2))
    ).min(axis=1)
    assert spread.max() > 1.1  # of one colour more than of another


def test_cutout_hides_one_rectangle_in_half_of_the_images() -> None:
    different = (changed("cutout", "images", cutout=0.5) != X["images"]).any(axis=3)
    assert 0.2 < different.any(axis=(1, 2)).mean() < 0.7
    for image in different:
        rows, columns = image.any(axis=1), image.any(axis=0)
        assert image.sum() == rows.sum() * columns.sum()  # a rectangle
        assert rows.sum() <= 6
        assert columns.sum() <= 8


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A folder of sound: as `tests.folders.motion`, but one channel at 4 kHz."""
    dataset = motion(tmp_path_factory.mktemp("sound") / "d", groups=3)
    return replace(dataset, rate_hz=4000.0, channels=(Channel("audio", "", (-1.0, 1.0)),))


def prepared(dataset: Dataset, x: NDArray[np.float32]) -> Any:
    from edge_sdk.dataset import Windowed

    groups = [f"p{n % 3}" for n in range(len(x))]
    windows = Windowed(x, np.arange(len(x), dtype=np.int64) % 2, groups)
    return prepare(dataset, windows, Split(("p0", "p1"), (), ("p2",), "person"))


def test_the_learner_shares_the_weights_of_the_model_which_holds_none_of_it(words: Dataset) -> None:
    x = RANDOM.normal(scale=0.1, size=(24, 1024, 1)).astype(np.float32)
    given = prepared(words, x)
    model = architectures.build(
        "ds_cnn", x.shape[1:], Head(2), given.statistics, {"filters": 8}, rate_hz=4000.0
    )
    before = model.predict(x, verbose=0)
    config = Config(window=1024, hop=1024, augment=("auto",)).for_dataset(words)
    assert {"gain", "tone"} <= set(config.augment)
    learning = learner(model, words, given, config)
    np.testing.assert_allclose(learning.predict(x, verbose=0), before, atol=1e-6)
    assert {id(w) for w in learning.trainable_variables} == {id(w) for w in model.trainable_variables}
    learning.compile("sgd", "sparse_categorical_crossentropy")
    learning.fit(given.train.x, given.train.y, verbose=0)
    after = model.predict(x, verbose=0)
    assert np.abs(after - before).max() > 1e-4
    np.testing.assert_allclose(learning.predict(x, verbose=0), after, atol=1e-6)
    assert not any("augment" in type(part).__module__ for part in model._flatten_layers())


def test_a_background_is_taken_from_the_training_side(words: Dataset) -> None:
    x = np.zeros((24, 1024, 1), np.float32)
    x[::2] = 0.1 * RANDOM.normal(size=(12, 1024, 1))
    x[1::2] = np.sin(np.arange(1024) / 5)[None, :, None]  # the label shake
    given = prepared(words, x)
    config = Config(augment=("noise",), background="shake", snr_db=(0.0, 0.0))
    model = architectures.build("cnn1d", x.shape[1:], Head(2), given.statistics, {}, rate_hz=4000.0)
    noise = learner(model, words, given, config).layers[1]
    assert noise.recordings.shape == (8, 1024, 1)
    np.testing.assert_array_equal(noise.recordings[0], x[1])


def test_a_model_without_a_spectrogram_has_none_to_be_masked(words: Dataset) -> None:
    x = np.zeros((24, 1024, 1), np.float32)
    model = keras.Sequential([keras.Input((1024, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    with pytest.raises(ConfigError, match="masks changes the spectrogram.*expected a layer named 'bands'"):
        learner(model, words, prepared(words, x), Config(augment=("masks",)))


def test_nothing_to_augment_leaves_the_model_itself(tmp_path: Path) -> None:
    dataset = motion(tmp_path / "d", groups=3)
    windows = dataset.windows(dataset.groups, 40, 20)
    given = prepare(dataset, windows, Split(("p0", "p1"), (), ("p2",), "person"))
    model = architectures.build("cnn1d", (40, 3), Head(2), given.statistics, {})
    assert learner(model, dataset, given, Config(augment=())) is model
