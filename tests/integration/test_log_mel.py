"""The log-mel spectrogram in the graph, against numpy, and what it refuses."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_sdk.contract import Statistics
from edge_sdk.errors import ConfigError

pytestmark = pytest.mark.integration

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # TensorFlow's own, while it is imported
    keras = pytest.importorskip("keras", reason="pip install 'edgeml-kit[train]'")
    from train_host import architectures
    from train_host.architectures.head import Head
    from train_host.architectures.log_mel import LogMel, log_mel

SOUND = np.random.default_rng(1).uniform(-1, 1, (2, 4000, 1)).astype(np.float32)
NOTHING = Statistics((0.0,), (1.0,))


@pytest.mark.parametrize(
    "facts",
    [
        LogMel(rate_hz=8000, highest_hz=3800),
        LogMel(rate_hz=16000, highest_hz=7600, frame_ms=25, hop_ms=10, mels=40, floor=1e-5),
    ],
    ids=["8 kHz", "16 kHz, frames that are no power of two"],
)
def test_features_are_logarithms_of_energies(facts: LogMel, tmp_path: Path) -> None:
    model = log_mel(4000, facts)
    assert model.weights == []
    model.save(tmp_path / "log_mel.keras")
    found = keras.models.load_model(tmp_path / "log_mel.keras").predict(SOUND, verbose=0)
    # a frame lies in the middle of its transform
    starts = np.arange(0, 4000 - facts.length + 1, facts.hop) + (facts.length - facts.frame) // 2
    assert found.shape == (2, facts.frames(4000), facts.mels) == (2, len(starts), facts.mels)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(facts.frame) / facts.frame)
    for features, samples in zip(found, SOUND[:, :, 0].astype(np.float64), strict=True):
        frames = np.stack([samples[at : at + facts.frame] * window for at in starts])
        energy = np.abs(np.fft.rfft(frames, facts.length)) ** 2 @ facts.filters()
        np.testing.assert_allclose(features, np.log(energy + facts.floor), atol=1e-3)


def test_the_unit_of_a_vibration_changes_nothing() -> None:
    facts, std = LogMel(rate_hz=8000, highest_hz=3800), float(SOUND.std())
    volts, counts = (
        log_mel(4000, facts.of_spread(scale * std)).predict(scale * SOUND, verbose=0) for scale in (1e-4, 1e4)
    )
    np.testing.assert_allclose(volts, counts, atol=1e-3)
    assert volts.std() > 0.1  # not lost below the floor
    assert facts.of_spread(std).full_scale == 1.0
    assert LogMel(rate_hz=8000, highest_hz=3800, full_scale=9.81).of_spread(1e4).full_scale == 9.81


def test_bands_are_triangles_beside_each_other() -> None:
    filters = LogMel(rate_hz=8000, highest_hz=3800, frame_ms=256).filters()
    peaks = filters.argmax(axis=0)
    assert (np.diff(peaks) > 0).all()
    assert filters.max() <= 1
    inside = filters[peaks[1] : peaks[-2]].sum(axis=1)
    np.testing.assert_allclose(inside, 1, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "options", "complaint"),
    [
        ((8000, 3), {}, "one channel, found 3"),
        ((8000, 1), {"highest_hz": 5000.0}, "0 <= lowest < highest <= 4000"),
        ((8000, 1), {"frame_ms": 2000.0}, "frame_ms: .* at most 8000 .* found 16000 and 16384"),
        ((8000, 1), {"hop_ms": 0.0}, "hop_ms: expected at least one sample"),
        ((8000, 1), {"floor": 0.0}, "floor: expected more than 0"),
        ((8000, 1), {"mels": 300}, "band 1 lies between two bins of 31.25 Hz"),
        ((8000, 1), {"mel": 40}, "did you mean 'mels'"),
        ((8000, 1), {"pool": "median"}, "pool: expected time, max, mean, found median"),
    ],
)
def test_what_cannot_be_computed_is_one_error(
    shape: tuple[int, ...], options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint) as raised:
        architectures.build("ds_cnn", shape, Head(10), NOTHING, options, rate_hz=8000.0)
    assert "\n" not in str(raised.value)


def test_sound_without_a_rate_has_no_spectrogram() -> None:
    with pytest.raises(ConfigError, match="rate_hz: expected the rate of sound in dataset.toml, found none"):
        architectures.build("ds_cnn", (8000, 1), Head(10), NOTHING, {}, rate_hz=None)


@pytest.mark.parametrize(("pool", "features"), [("time", 13 * 8), ("max", 8), ("mean", 8)])
def test_what_is_left_of_time(pool: str, features: int) -> None:
    options = {"filters": 8, "pool": pool}
    model = architectures.build("ds_cnn", (8000, 1), Head(10), NOTHING, options, rate_hz=8000.0)
    assert model.layers[-1].kernel.shape == (features, 10)
