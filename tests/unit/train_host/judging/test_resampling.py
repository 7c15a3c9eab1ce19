from __future__ import annotations

import doctest

import numpy as np
import pytest

from train_host.judging import resampling


def mean(sums: np.ndarray) -> np.ndarray:
    return np.asarray(sums[:, 0] / sums[:, 1])


def parts(values: np.ndarray) -> np.ndarray:
    return np.stack([values, np.ones(len(values))], axis=1)


def test_the_examples_hold() -> None:
    assert doctest.testmod(resampling).failed == 0


def test_the_interval_covers_the_mean_of_independent_values_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(60):
        values = np.random.default_rng(seed).exponential(2.0, 100)
        low, high = resampling.interval(parts(values), mean, seed=seed)
        covered += low <= 2.0 <= high
    assert covered >= 51


def test_windows_that_are_alike_within_a_group_widen_the_interval() -> None:
    random = np.random.default_rng(0)
    group = np.repeat(np.arange(8), 100)
    values = random.normal(size=8)[group] + 0.1 * random.normal(size=800)
    apart = resampling.interval(parts(values), mean)
    together = resampling.interval(parts(values), mean, [group])
    assert together[1] - together[0] > 0.5
    assert together[1] - together[0] >= apart[1] - apart[0]


def test_of_two_ways_to_draw_the_wider_one_counts() -> None:
    random = np.random.default_rng(1)
    recording = np.repeat(np.arange(20), 30)
    values = random.normal(size=20)[recording]
    group = np.where(recording < 10, "a", "b")
    both = resampling.interval(parts(values), mean, [group, recording])
    for names in (group, recording):
        one = resampling.interval(parts(values), mean, [names])
        assert both[0] <= one[0]
        assert both[1] >= one[1]


def test_one_group_is_no_help_and_the_same_input_gives_the_same_interval() -> None:
    values = np.random.default_rng(2).normal(size=300)
    alone = resampling.interval(parts(values), mean, [["a"] * 300])
    assert alone == resampling.interval(parts(values), mean)
    assert alone != resampling.interval(parts(values), mean, seed=1)
    assert resampling.interval(parts(values[:1]), mean) == pytest.approx((values[0], values[0]))


@pytest.mark.parametrize("count", [0, 1, 3, 20, 400, 5000])
def test_the_interval_of_a_rate_is_exact(count: int) -> None:
    """Against the definition: at each end of the interval the tail has 2.5 %."""
    low, high = resampling.poisson(count)
    random = np.random.default_rng(count)
    assert (random.poisson(high, 400_000) <= count).mean() == pytest.approx(0.025, abs=0.0015)
    if count:
        assert (random.poisson(low, 400_000) >= count).mean() == pytest.approx(0.025, abs=0.0015)
    else:
        assert low == 0.0
