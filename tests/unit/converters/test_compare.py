import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters import compare
from edge_sdk.errors import SpecError


def one_hot(labels: list[int], classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[labels]


def test_accuracy_confusion_classes_and_groups_are_counted_by_hand() -> None:
    scores = one_hot([0, 1, 1, 2, 0, 0], 4)
    found = compare.evaluate(scores, np.array([0, 1, 2, 2, 0, 1]), ["a", "a", "a", "b", "b", "b"])
    assert found.accuracy == pytest.approx(4 / 6)
    assert found.confusion.tolist() == [[2, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert found.per_class == (1.0, 0.5, 0.5, None)
    assert found.per_group == {"a": pytest.approx(2 / 3), "b": pytest.approx(2 / 3)}
    assert found.n == 6
    assert found.as_dict()["confusion"][1] == [1, 1, 0, 0]


def test_wilson_gives_the_published_interval() -> None:
    # Newcombe 1998, table I: 81 of 263.
    low, high = compare.wilson(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert compare.wilson(0, 10)[0] == 0.0
    assert compare.wilson(10, 10)[1] == 1.0
    assert compare.wilson(0, 0) == (0.0, 1.0)


@given(st.integers(1, 400), st.data())
def test_wilson_contains_the_share(n: int, data: st.DataObject) -> None:
    correct = data.draw(st.integers(0, n))
    low, high = compare.wilson(correct, n)
    assert 0 <= low <= correct / n <= high <= 1


def test_groups_that_differ_widen_the_interval_and_the_seed_repeats_it() -> None:
    hits = np.repeat([1, 1, 0, 1, 0, 1], 100).astype(bool)
    groups = [name for name in "abcdef" for _ in range(100)]
    plain, clustered = compare.interval(hits), compare.interval(hits, groups, seed=3)
    assert clustered[0] < plain[0] - 0.1
    assert clustered[1] > plain[1] + 0.1
    assert clustered == compare.interval(hits, groups, seed=3)


def test_alike_groups_do_not_give_a_narrower_interval_than_their_windows() -> None:
    hits = np.tile([True, True, False], 20)
    groups = [name for name in "ab" for _ in range(30)]
    assert compare.interval(hits, groups) == compare.wilson(40, 60)
    assert compare.interval(hits, ["one"] * 60) == compare.wilson(40, 60)


def test_sqnr_of_a_known_error() -> None:
    reference = np.array([3.0, 4.0])
    assert compare.sqnr_db(reference, np.array([3.5, 4.0])) == pytest.approx(20.0)
    assert compare.sqnr_db(reference, reference) == math.inf
    assert compare.sqnr_db(np.zeros(2), np.ones(2)) == -math.inf


def test_difference_counts_agreement_and_errors() -> None:
    a = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    b = np.array([[0.8, 0.2], [0.6, 0.4]], np.float32)
    apart = compare.difference(a, b)
    assert apart.agreement == 0.5
    assert apart.max_error == pytest.approx(0.4)
    assert apart.mean_error == pytest.approx(0.25)
    assert apart.n == 2
    assert compare.difference(a[:, :1], b[:, :1]).agreement is None


def test_a_single_score_is_the_probability_of_the_second_class() -> None:
    scores = np.array([[0.9], [0.4], [0.5]], np.float32)
    assert compare.decide(scores).tolist() == [1, 0, 1]
    assert compare.decide(scores[:, 0]).tolist() == [1, 0, 1]
    assert compare.evaluate(scores, np.array([1, 0, 0])).confusion.tolist() == [[1, 1], [0, 1]]
    assert compare.accuracy(scores, np.array([1, 0, 0])) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("labels", "groups", "complaint"),
    [
        ([0, 1], None, "one label and one group for each score"),
        ([0, 1, 1], ["a"], "one label and one group for each score"),
        ([0, 1, 2], None, "expected 0 to 1, found 0 to 2"),
    ],
)
def test_what_does_not_fit_is_refused(labels: list[int], groups: list[str] | None, complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint):
        compare.evaluate(np.eye(3, 2), np.array(labels), groups)


def test_nothing_to_evaluate_is_refused() -> None:
    with pytest.raises(SpecError, match="at least one window"):
        compare.evaluate(np.empty((0, 3)), np.empty(0, int))
    with pytest.raises(SpecError, match="comparison"):
        compare.difference(np.ones((2, 3)), np.ones((2, 2)))
    with pytest.raises(SpecError, match="scores"):
        compare.evaluate(np.ones((2, 2, 2)), np.zeros(2, int))
