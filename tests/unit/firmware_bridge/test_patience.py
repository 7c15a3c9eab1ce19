"""The wait for an answer: as long as answers take, longer where they do not come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.patience import Patience


def test_it_learns_how_long_answers_take():
    patience = Patience(1.0, 0.02, 10.0)
    for _ in range(50):
        patience.answered(0.1, 0)
    patience.asked()
    assert 0.1 < patience.wait_s < 0.15


def test_one_loss_is_forgotten_and_a_line_that_grew_slow_is_not():
    patience = Patience(1.0, 0.02, 10.0)
    for _ in range(50):
        patience.answered(0.1, 0)
    patience.asked()
    learned_s = patience.wait_s
    patience.silent()
    assert patience.wait_s == pytest.approx(2 * learned_s)
    patience.answered(0.1, 1)
    patience.asked()
    assert patience.wait_s == learned_s
    for _ in range(2):
        patience.silent()
    patience.answered(0.1, 2)
    patience.asked()
    assert patience.wait_s == pytest.approx(4 * learned_s)


def test_a_line_that_loses_much_is_asked_often():
    patience = Patience(1.0, 0.02, 15.0)
    for _ in range(50):
        patience.answered(0.1, 0)
    for _ in range(9):
        patience.asked()
        for _ in range(9):
            patience.silent()
        patience.answered(0.1, 9)
    assert patience.wait_s == 1.0


def test_before_anything_was_measured_the_line_may_be_as_slow_as_it_likes():
    patience = Patience(1.0, 0.02, 15.0)
    for _ in range(9):
        patience.silent()
    assert patience.wait_s == 15.0


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 5)), max_size=50))
def test_it_stays_within_its_bounds(answers):
    patience = Patience(0.25, 0.02, 1.25)
    for took_s, silences in answers:
        patience.asked()
        for _ in range(silences):
            patience.silent()
        patience.answered(took_s, silences)
        assert 0.02 <= patience.wait_s <= 1.25
