from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train_host.data.importing.rates import evened, resample


def tone(rate_hz: float, frequency_hz: float, seconds: float = 1.0) -> np.ndarray:
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return np.sin(2 * np.pi * frequency_hz * time_s)[:, None].astype(np.float32)


@pytest.mark.parametrize(
    ("old_hz", "new_hz"),
    [(44100, 16000), (8000, 16000), (48000, 8000), (100, 62.5), (16000, 11025), (52, 50)],
)
def test_a_tone_keeps_time_and_strength_at_another_rate(old_hz: float, new_hz: float) -> None:
    frequency = 0.15 * min(old_hz, new_hz)
    made = resample(tone(old_hz, frequency), old_hz, new_hz)
    wanted = tone(new_hz, frequency)
    assert made.dtype == np.float32
    assert abs(len(made) - len(wanted)) <= 1
    inside = slice(len(wanted) // 5, -(len(wanted) // 5))  # the ends are continued, not repeated
    np.testing.assert_allclose(made[: len(wanted)][inside], wanted[inside], atol=3e-3)


def test_what_the_lower_rate_cannot_hold_is_gone() -> None:
    made = resample(tone(16000, 6000), 16000, 8000)
    assert np.abs(made[100:-100]).max() < 2e-3


@given(level=st.floats(-100, 100), old=st.integers(1, 60), new=st.integers(1, 60), n=st.integers(1, 50))
def test_a_constant_stays_one_up_to_its_ends(level: float, old: int, new: int, n: int) -> None:
    made = resample(np.full((n, 2), level, np.float32), old, new)
    assert made.shape == (-(-n * new // old), 2)
    np.testing.assert_allclose(made, np.float32(level), rtol=1e-5, atol=1e-6)


def test_rates_that_are_practically_equal_change_nothing() -> None:
    samples = tone(50, 3)
    assert resample(samples, 50, 50.01) is samples


def test_uneven_samples_come_to_lie_on_even_times() -> None:
    time_s = np.sort(np.random.default_rng(1).uniform(0, 2, 400))
    line = np.stack([3 * time_s, -time_s], axis=1).astype(np.float32)
    made = evened(line, time_s, 100)
    assert len(made) == int((time_s[-1] - time_s[0]) * 100) + 1
    wanted = time_s[0] + np.arange(len(made)) / 100
    np.testing.assert_allclose(made, np.stack([3 * wanted, -wanted], axis=1), atol=1e-5)
