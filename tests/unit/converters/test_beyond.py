"""Representative inputs of an anomaly detector."""

import dataclasses

import numpy as np
import pytest

from converters import beyond
from converters.evidence import Evidence
from converters.figures import Truth

NORMAL = np.random.default_rng(0).normal(3.0, 1.0, (20, 8, 2)).astype(np.float32)


def evidence():
    truth = Truth("anomaly", np.zeros(20, np.int64), ("a",) * 20)
    return Evidence((NORMAL,), (NORMAL,), truth=truth, calibration_truth=truth)


def score(steepness):
    """Grows with the swing about the mean of all windows, as a detector's does."""

    def said(windows):
        distance = steepness * np.square(windows - NORMAL.mean(axis=(0, 1))).mean(axis=(1, 2))
        return (distance / (1 + distance))[:, None].astype(np.float32)

    return said


@pytest.mark.parametrize("steepness", [0.05, 0.3, 1.0])
def test_ranges_reach_four_times_the_distance_of_the_threshold_and_not_further(steepness):
    found = beyond.widen(evidence(), score(steepness))
    assert found.calibration is not None
    assert found.calibration_truth is not None
    windows, kinds = found.calibration[0], found.calibration_truth.values
    np.testing.assert_array_equal(windows[:20], NORMAL)
    assert kinds.tolist() == [0] * 20 + [1] * 10
    assert windows.dtype == np.float32
    said = score(steepness)(windows)[kinds == 1]
    assert said.max() > score(steepness)(NORMAL[::2]).max()
    assert said.max() < 0.85


def test_a_detector_that_leaves_no_room_keeps_its_normal_windows():
    given = evidence()
    assert beyond.widen(given, score(1000.0)) is given
    assert beyond.widen(dataclasses.replace(given, calibration=None), score(1.0)).calibration is None
