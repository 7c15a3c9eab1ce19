"""How well a score tells what is normal from what is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.figures import detection
from edge_sdk.errors import SpecError

metrics = pytest.importorskip("sklearn.metrics", reason="pip install 'edgeml-kit[train]'")
KINDS = ("normal", "worn", "loose")


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40))
def test_areas_are_those_of_scikit_learn_ties_included(windows):
    scores = np.array([score for score, _ in windows], float)
    odd = np.array([kind for _, kind in windows])
    if odd.all() or not odd.any():
        return
    assert detection.area(scores[odd], scores[~odd]) == pytest.approx(metrics.roc_auc_score(odd, scores))
    partial = metrics.roc_auc_score(odd, scores, max_fpr=detection.PARTIAL)
    assert detection.partial_area(scores, odd) == pytest.approx(partial)


def test_what_happens_at_the_threshold():
    scores = [0.1, 0.2, 0.5, 0.6, 0.9, 0.4]
    found = detection.evaluate(np.array(scores), np.array([0, 0, 0, 1, 1, 2]), list("aabbab"), KINDS)
    assert found.figure == "auc"
    assert found.auc == pytest.approx(8 / 9)  # 0.4 is above two of three
    assert found.detection is not None
    assert found.detection[0] == pytest.approx(2 / 3)
    assert found.false_alarms is not None
    assert found.false_alarms[0] == pytest.approx(1 / 3)  # a score at the threshold is an alarm
    assert found.accuracy == pytest.approx(4 / 6)
    assert found.per_label == {"worn": 1.0, "loose": 0.0}
    assert found.per_group == {"a": 1.0, "b": pytest.approx(1 / 3)}
    assert found.interval[0] < found.auc < found.interval[1]
    assert found.as_dict()["detection"]["value"] == pytest.approx(2 / 3)


def test_without_anomalies_only_false_alarms_are_known():
    found = detection.evaluate(np.array([0.1, 0.7, 0.2, 0.3]), np.zeros(4, int))
    assert (found.auc, found.pauc, found.detection) == (None, None, None)
    assert (found.figure, found.value) == ("accuracy", 0.75)
    assert found.false_alarms is not None
    assert found.false_alarms[0] == 0.25
    assert "no anomalies" in found.headline()


def test_one_group_that_is_unlike_the_others_widens_the_interval():
    random = np.random.default_rng(0)
    odd = np.tile([0, 1], 150)
    group = np.repeat(["a", "b", "c"], 100)
    alike = random.normal(size=300) + 1.5 * odd
    unlike = alike - np.where(group == "c", 3.0, 0.0) * odd
    widths = []
    for scores in (alike, unlike):
        low, high = detection.evaluate(scores, odd, list(group)).interval
        widths.append(high - low)
    assert widths[1] > 3 * widths[0]


def test_a_detector_without_a_mistake_is_not_certain():
    low, high = detection.evaluate(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1])).interval
    assert low < 0.9
    assert high == 1.0


def test_lengths_that_differ_are_refused():
    with pytest.raises(SpecError, match="expected 3 scores, found 2"):
        detection.evaluate(np.zeros(2), np.zeros(3, int))
