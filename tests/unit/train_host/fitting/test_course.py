from __future__ import annotations

import json

from train_host.fitting.course import Course


def after(losses: list[float], patience: int = 2, epochs: int = 9) -> Course:
    course = Course(epochs, patience)
    for loss in losses:
        course.complete({"loss": 0.1, "val_loss": loss})
    return course


def test_it_is_over_after_the_last_epoch() -> None:
    assert not after([3, 2, 1], epochs=4).over
    assert after([3, 2, 1], epochs=3).over


def test_it_is_over_when_patience_is_and_the_least_loss_was_best() -> None:
    assert not after([3, 1, 2]).over
    course = after([3, 1, 2, 1])  # as good is not better
    assert course.over
    assert course.best_epoch == 2


def test_without_patience_the_last_epoch_is_kept() -> None:
    course = after([1, 2, 3, 4], patience=0)
    assert not course.over
    assert course.best_epoch == 4


def test_a_loss_that_is_no_number_is_never_best() -> None:
    nan = float("nan")
    assert after([nan, 2, nan]).best_epoch == 2
    assert after([nan, nan]).best_epoch == 2


def test_it_goes_on_where_it_was() -> None:
    course = after([3, 1, 2])
    course.step, course.seconds = 7, 1.5
    again = Course(1)
    again.restore(json.loads(json.dumps(course.as_dict())))
    assert again == course
