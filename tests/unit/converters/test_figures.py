"""Figures of values and of several labels, and what a gate makes of two models."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.figures import Truth, errors, multilabel
from edge_sdk.contract import Channel
from edge_sdk.errors import SpecError

metrics = pytest.importorskip("sklearn.metrics", reason="pip install 'edgeml-kit[train]'")
FLOW, PRESSURE = Channel("flow", "l/min"), Channel("pressure", "Pa")
GROUPS = tuple("ab" * 20)


def values(n=40, seed=0):
    random = np.random.default_rng(seed)
    true = np.stack([random.uniform(0, 30, n), random.uniform(100_900, 101_100, n)], axis=1)
    return true, true + random.normal(size=(n, 2)) * [0.5, 8.0]


def test_errors_of_one_value_are_in_its_unit():
    true, said = values()
    found = errors.evaluate(said[:, :1], true[:, :1], GROUPS, [FLOW])
    assert found.error == pytest.approx(metrics.mean_absolute_error(true[:, 0], said[:, 0]))
    one = found.targets[0]
    assert one.rmse == pytest.approx(metrics.root_mean_squared_error(true[:, 0], said[:, 0]))
    assert one.r2 == pytest.approx(metrics.r2_score(true[:, 0], said[:, 0]))
    assert found.interval[0] < found.error < found.interval[1]
    assert np.mean(list(found.per_group.values())) == pytest.approx(found.error)
    assert found.unit == "l/min"
    assert "l/min" in found.headline()


def test_errors_of_several_values_are_in_units_of_their_spread():
    true, said = values()
    found = errors.evaluate(said, true, GROUPS, [FLOW, PRESSURE])
    shares = np.abs(said - true).mean(axis=0) / true.std(axis=0)
    assert found.error == pytest.approx(shares.mean())
    assert [target.unit for target in found.targets] == ["l/min", "Pa"]
    assert found.as_dict()["targets"][1]["mae"] == pytest.approx(np.abs(said - true)[:, 1].mean())


def test_a_value_that_never_changes_has_no_r2():
    found = errors.evaluate(np.array([[1.0], [3.0]]), np.full((2, 1), 2.0))
    assert found.targets[0].r2 is None
    assert found.error == 1.0


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=30))
def test_average_precision_is_that_of_scikit_learn(windows):
    scores = np.array([score for score, _ in windows], float)
    holds = np.array([true for _, true in windows])
    found = multilabel.average_precision(scores, holds)
    if not holds.any():
        assert found is None
        return
    assert found == pytest.approx(metrics.average_precision_score(holds, scores))


def test_labels_are_judged_each_and_together():
    truth = np.array([[1, 0], [1, 1], [0, 0], [0, 1]], np.float32)
    scores = np.array([[0.9, 0.6], [0.8, 0.7], [0.1, 0.2], [0.2, 0.4]])
    found = multilabel.evaluate(scores, truth, list("abab"), ("fan", "mixer"))
    said = scores >= 0.5
    assert found.accuracy == metrics.accuracy_score(truth > 0, said) == 0.5
    assert found.f1_macro == pytest.approx(metrics.f1_score(truth > 0, said, average="macro"))
    assert found.f1_micro == pytest.approx(metrics.f1_score(truth > 0, said, average="micro"))
    assert [label.recall for label in found.per_label] == [1.0, 0.5]
    assert [label.precision for label in found.per_label] == [1.0, 0.5]
    assert found.per_group == {"a": 0.5, "b": 0.5}


def test_a_label_that_never_holds_has_no_recall():
    found = multilabel.evaluate(np.zeros((3, 2)), np.array([[1, 0]] * 3), None, ("fan", "mixer"))
    absent = found.per_label[1]
    assert (absent.recall, absent.precision, absent.f1, absent.average_precision) == (None,) * 4
    assert found.f1_macro == 0.0


def test_shapes_that_differ_are_refused():
    with pytest.raises(SpecError, match=r"expected scores \[4, 2\], found \[4, 3\]"):
        multilabel.evaluate(np.zeros((4, 3)), np.zeros((4, 2)))
    with pytest.raises(SpecError, match=r"expected values \[4, 2\], found \[4, 1\]"):
        errors.evaluate(np.zeros((4, 1)), np.zeros((4, 2)))


def test_a_regression_may_grow_by_a_share_of_its_error():
    true, said = values(400)
    truth = Truth("regression", true, tuple("ab" * 200), targets=(FLOW, PRESSURE))
    worse = true + 1.04 * (said - true)
    judged = truth.judge(said, worse)
    assert judged.lost == pytest.approx(0.04)
    assert judged.interval is not None
    assert judged.interval[0] < 0.04 < judged.interval[1]
    assert judged.failure(0.05) is None
    failure = judged.failure(0.03)
    assert failure is not None
    assert "its error grew by 4.0%" in failure
    assert judged.agreement is None


def test_a_perfect_regression_may_lose_a_little():
    true, _ = values()
    off = true + true.std(axis=0) * 1e-4
    truth = Truth("regression", true, targets=(FLOW, PRESSURE))
    assert truth.judge(true, off).lost == pytest.approx(0.01, rel=0.01)


def test_rare_labels_fail_the_gate_that_all_together_pass():
    truth = np.zeros((200, 2), np.float32)
    truth[:, 0], truth[:4, 1] = 1, 1
    before = np.where(truth > 0, 0.9, 0.1)
    after = before.copy()
    after[:2, 1] = 0.2
    judged = Truth("multilabel", truth, labels=("often", "seldom")).judge(before, after)
    assert judged.lost == pytest.approx(0.01)
    failure = judged.failure(0.01)
    assert failure is not None
    assert failure.startswith("F1 16.7 points")
    assert judged.agreement == 0.99


def test_a_detector_loses_area():
    scores, kinds = np.linspace(0, 1, 20)[:, None], np.repeat([0, 1], 10)
    judged = Truth("anomaly", kinds, labels=("normal", "worn")).judge(scores, scores[::-1])
    assert (judged.lost, judged.agreement) == (1.0, 0.0)
    assert judged.failure(0.5) == "AUC 100.0 points, from 1.000 to 0.000"


def test_which_output_a_truth_is_about():
    truth = Truth("multilabel", np.zeros((5, 3), np.float32))
    assert truth.fits(np.zeros((5, 3)))
    assert not truth.fits(np.zeros((5, 1)))
    assert Truth("anomaly", np.zeros(5, int)).fits(np.zeros((5, 1)))
