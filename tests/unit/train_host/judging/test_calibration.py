from __future__ import annotations

import json

import numpy as np
import pytest

from train_host.judging import calibration, reliability


def drawn(n: int, true_temperature: float, labels: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose true probabilities are those at `true_temperature`, and labels drawn from them."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(n, labels)) * 3
    scores = calibration.probabilities(logits, [true_temperature], softmax=True)
    truth = (random.random(n)[:, None] > scores.cumsum(axis=1)).sum(axis=1)
    return logits, np.minimum(truth, labels - 1)


def groups(n: int, count: int) -> list[str]:
    """So many people, each with as many windows in a row."""
    return [f"p{number * count // n}" for number in range(n)]


@pytest.mark.parametrize("temperature", [0.5, 1.7, 4.0])
def test_it_finds_the_temperature_that_the_labels_were_drawn_at(temperature: float) -> None:
    logits, truth = drawn(6000, temperature)
    choice = calibration.choose(logits, truth, groups(6000, 50))
    assert choice.applied
    assert choice.temperatures == pytest.approx((temperature,), rel=0.08)
    assert choice.n == 6000


def test_what_is_calibrated_already_stays_nearly_as_it_is() -> None:
    logits, truth = drawn(4000, 1.0, seed=3)
    choice = calibration.choose(logits, truth, groups(4000, 40))
    assert choice.temperatures == pytest.approx((1.0,), abs=0.06)


def test_what_few_people_say_is_drawn_towards_one() -> None:
    logits, truth = drawn(4000, 4.0)
    found = [calibration.choose(logits, truth, groups(4000, count)).temperatures[0] for count in (1, 3, 100)]
    assert found == pytest.approx([4**0.5, 4**0.75, 4**0.99], rel=0.05)


def test_nothing_to_mend_is_said() -> None:
    logits, truth = drawn(4000, 1.0, seed=3)
    choice = calibration.choose(logits, truth, groups(4000, 1))
    assert not choice.applied
    assert choice.reason == "there is nothing to mend: the temperature would be 1.01"


def test_a_temperature_that_helps_one_part_only_is_not_taken() -> None:
    """One group has most of the windows and is not sure enough; four others are too sure."""
    cold, cold_truth = drawn(900, 0.4, seed=2)
    hot, hot_truth = drawn(400, 1.6, seed=1)
    logits, truth = np.concatenate([cold, hot]), np.concatenate([cold_truth, hot_truth])
    choice = calibration.choose(logits, truth, ["a"] * 900 + groups(400, 4))
    assert not choice.applied
    assert choice.temperatures == (1.0,)
    assert choice.reason == "a temperature helps the groups it is chosen on, and not others"


@pytest.mark.parametrize(
    ("n", "wrong", "reason"),
    [(60, 30, "60 validation windows are too few"), (400, 4, "4 of 400 validation windows are wrong")],
)
def test_too_little_to_choose_by_is_said(n: int, wrong: int, reason: str) -> None:
    truth = np.arange(n) % 3
    said = truth.copy()
    said[:wrong] = (said[:wrong] + 1) % 3
    choice = calibration.choose(np.eye(3)[said] * 4, truth, groups(n, 1))
    assert not choice.applied
    assert choice.reason is not None
    assert choice.reason.startswith(reason)


def test_each_of_several_labels_has_a_temperature_of_its_own() -> None:
    random = np.random.default_rng(4)
    logits = random.normal(size=(5000, 3)) * 3
    chances = calibration.probabilities(logits, [2.0, 0.5, 1.0], softmax=False)
    truth = (random.random(chances.shape) < chances).astype(np.float32)
    choice = calibration.choose(logits, truth, groups(5000, 50))
    assert choice.applied
    assert choice.temperatures == pytest.approx((2.0, 0.5, 1.0), rel=0.15)


def test_figures_of_a_model_that_says_what_is_true() -> None:
    logits, truth = drawn(8000, 1.0)
    scores = calibration.probabilities(logits, [1.0], softmax=True)
    found = reliability.reliability(scores, truth, [np.arange(8000) // 100])
    assert found.ece.value < 0.02
    for figure in (found.ece, found.brier, found.nll):
        assert figure.interval[0] <= figure.value <= figure.interval[1]
    assert sum(one.n for one in found.curve) == 8000
    for one in found.curve:
        if one.n > 200:
            assert one.interval[0] - 0.02 <= one.confidence <= one.interval[1] + 0.02


def test_figures_by_hand() -> None:
    """Two windows at 0.8, one right; two at 0.6, both right."""
    scores = np.array([[0.8, 0.2], [0.8, 0.2], [0.4, 0.6], [0.4, 0.6]])
    truth = np.array([0, 1, 1, 1])
    found = reliability.reliability(scores, truth)
    assert found.ece.value == pytest.approx((2 * abs(0.8 - 0.5) + 2 * abs(0.6 - 1.0)) / 4)
    assert found.brier.value == pytest.approx((2 * 0.04 + 2 * 0.64 + 2 * 2 * 0.16) / 4)
    assert found.nll.value == pytest.approx(-(np.log(0.8) + np.log(0.2) + 2 * np.log(0.6)) / 4)
    assert [one.confidence for one in found.curve] == pytest.approx([0.6, 0.8])
    assert [(one.accuracy, one.n) for one in found.curve] == [(1.0, 2), (0.5, 2)]


def test_a_window_of_several_labels_counts_once_a_label() -> None:
    scores, truth = np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([[1, 0], [1, 0]])
    found = reliability.reliability(scores, truth)
    assert found.ece.value == pytest.approx(0.1)
    assert found.brier.value == pytest.approx(0.01)
    assert sum(one.n for one in found.curve) == 4


def test_a_comparison_tells_what_was_gained_paired() -> None:
    logits, truth = drawn(3000, 3.0)
    clusters = [np.arange(3000) // 100]
    choice = calibration.choose(logits, truth, groups(3000, 30))
    before = calibration.probabilities(logits, [1.0], softmax=True)
    after = calibration.probabilities(logits, choice.temperatures, softmax=True)
    np.testing.assert_array_equal(before.argmax(axis=1), after.argmax(axis=1))
    found = calibration.compare(choice, before, after, truth, clusters)
    assert found.after.ece.value < found.before.ece.value
    assert found.gain is not None
    assert found.gain.value == pytest.approx(found.before.nll.value - found.after.nll.value)
    assert found.gain.interval[0] > 0
    json.dumps(found.as_dict(), allow_nan=False)


def test_an_unchanged_model_has_the_same_figures_twice_and_no_gain() -> None:
    logits, truth = drawn(200, 1.0)
    scores = calibration.probabilities(logits, [1.0], softmax=True)
    found = calibration.compare(calibration.unchanged("not asked for"), scores, scores, truth)
    assert found.gain is None
    assert found.before == found.after
    assert found.as_dict()["reason"] == "not asked for"


def test_certain_and_wrong_costs_much_and_is_no_infinity() -> None:
    found = reliability.reliability(np.array([[1.0, 0.0]] * 3), np.array([1, 1, 0]))
    assert np.isfinite(found.nll.value)
    assert found.nll.value > 10
