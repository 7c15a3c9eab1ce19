from __future__ import annotations

import pytest

from train_host.fitting.course import Course
from train_host.fitting.pace import Pace


def test_the_rate_is_of_what_was_done_since_the_first_report() -> None:
    now = [100.0]
    course = Course(epochs=10, epoch=4)  # one that went on
    pace = Pace(course, steps=5, windows=320, clock=lambda: now[0])
    now[0], course.step = 130.0, 1  # compiled for long
    assert pace.facts() == {}
    now[0], course.epoch, course.step = 134.0, 6, 1
    facts = pace.facts()
    assert facts["windows_per_s"] == pytest.approx(2 * 320 / 4)
    assert facts["left_s"] == pytest.approx((10 * 5 - 31) * 4 / 10)


def test_nothing_is_said_as_long_as_nothing_is_known() -> None:
    pace = Pace(Course(epochs=1), steps=2, windows=4, clock=lambda: 1.0)
    assert pace.facts() == {}
    assert pace.facts() == {}
