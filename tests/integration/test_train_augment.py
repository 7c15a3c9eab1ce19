from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from edge_sdk.contract import Channel, Statistics
from train_host import prepare
from train_host.config import Config

pytestmark = pytest.mark.integration

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # TensorFlow's own, while it is imported
    pytest.importorskip("keras", reason="pip install 'edgeml-kit[train]'")
    from train_host import augment

SENSORS = [
    *(Channel(n, "g") for n in ("ax", "ay", "az")),
    Channel("p", "Pa"),
    *(Channel(f"w{n}", "dps") for n in "xyz"),
]
STATISTICS = Statistics((0.0,) * 7, (1.0, 1.0, 1.0, 50.0, 1.0, 1.0, 1.0))
X = np.random.default_rng(1).normal(size=(64, 25, 7)).astype(np.float32)


def layer(name: str, **options: object) -> object:
    (made,) = augment.build(Config(augment=(name,), seed=3, **options), SENSORS, STATISTICS)  # type: ignore[arg-type]
    return made


def test_the_table_has_a_layer_for_every_name_there_is() -> None:
    assert set(augment.TABLE) == set(prepare.AUGMENTATIONS)


@pytest.mark.parametrize("name", sorted(prepare.AUGMENTATIONS))
def test_nothing_changes_outside_of_training(name: str) -> None:
    np.testing.assert_array_equal(np.asarray(layer(name)(X, training=False)), X)  # type: ignore[operator]


@pytest.mark.parametrize("name", sorted(prepare.AUGMENTATIONS))
def test_a_seed_gives_the_same_changes(name: str) -> None:
    first, second = (np.asarray(layer(name)(X, training=True)) for _ in range(2))  # type: ignore[operator]
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, X)


def test_rotation_is_one_proper_rotation_for_all_sensors_of_a_window() -> None:
    turned = np.asarray(layer("rotation", rotation_deg=180.0)(X, training=True))  # type: ignore[operator]
    np.testing.assert_array_equal(turned[:, :, 3], X[:, :, 3])  # the pressure has no direction
    for window in range(len(X)):
        # the matrix that turns the accelerometer must turn the gyroscope too
        matrix, *_ = np.linalg.lstsq(X[window, :, :3], turned[window, :, :3], rcond=None)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-4)
        assert np.linalg.det(matrix) == pytest.approx(1, abs=1e-3)
        np.testing.assert_allclose(X[window, :, 4:] @ matrix, turned[window, :, 4:], atol=1e-4)


def test_angles_reach_the_limit_and_never_pass_it() -> None:
    turned = np.asarray(layer("rotation", rotation_deg=40.0)(X, training=True))  # type: ignore[operator]
    angles = []
    for window in range(len(X)):
        matrix, *_ = np.linalg.lstsq(X[window, :, :3], turned[window, :, :3], rcond=None)
        angles.append(math.degrees(math.acos(np.clip((np.trace(matrix) - 1) / 2, -1, 1))))
    assert max(angles) < 40.1
    assert max(angles) > 30
    assert min(angles) < 10


def test_jitter_is_as_strong_as_each_channel_moves() -> None:
    noise = np.asarray(layer("jitter", jitter=0.1)(X, training=True)) - X  # type: ignore[operator]
    np.testing.assert_allclose(noise.std(axis=(0, 1)), np.array(STATISTICS.std) * 0.1, rtol=0.1)


def test_shift_turns_a_window_round() -> None:
    moved = np.asarray(layer("shift", shift=0.2)(X, training=True))  # type: ignore[operator]
    by = [
        next(n for n in range(-5, 6) if np.array_equal(np.roll(one, -n, axis=0), other))
        for one, other in zip(X, moved, strict=True)
    ]
    assert len(set(by)) > 5


def test_speed_changes_the_pitch_around_the_middle() -> None:
    time = np.arange(2001, dtype=np.float32)
    waves = np.tile(np.cos((time - 1000) / 10)[None, :, None], (32, 1, 7)).astype(np.float32)
    played = np.asarray(layer("speed", speed=0.2)(waves, training=True))[:, :, 0]  # type: ignore[operator]
    np.testing.assert_allclose(played[:, 1000], 1, atol=1e-6)
    bins = np.abs(np.fft.rfft(played * np.hanning(2001), 1 << 16)).argmax(axis=1)
    rates = bins * 2 * np.pi / (1 << 16) * 10
    assert 0.79 < rates.min() < 0.9
    assert 1.1 < rates.max() < 1.21


def test_scaling_multiplies_a_whole_window_by_one_number() -> None:
    scaled = np.asarray(layer("scaling", scaling=0.2)(X, training=True))  # type: ignore[operator]
    factors = scaled / X
    np.testing.assert_allclose(factors, np.broadcast_to(factors[:, :1, :1], X.shape), rtol=1e-4)
    assert 0.8 <= factors.min() < 0.9
    assert 1.1 < factors.max() <= 1.2001
