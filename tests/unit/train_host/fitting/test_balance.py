from __future__ import annotations

import numpy as np
import pytest

from edge_sdk.errors import ConfigError
from train_host.fitting.balance import check, table

LABELS = ("idle", "fall")


def test_balanced_labels_weigh_the_same_in_all() -> None:
    y = np.array([0] * 30 + [1] * 10)
    weights = table("balanced", y, LABELS)
    assert weights is not None
    assert weights[y].mean() == pytest.approx(1)
    assert weights[0] * 30 == pytest.approx(weights[1] * 10)


def test_a_table_names_those_that_differ() -> None:
    weights = table({"fall": 5}, np.array([0, 1]), LABELS)
    assert weights is not None
    assert weights.tolist() == [1, 5]
    assert table(None, np.array([0, 1]), LABELS) is None


def test_weights_that_fit_nothing_are_refused() -> None:
    check("balanced", LABELS, "classification")
    check(None, (), "regression")
    with pytest.raises(ConfigError, match=r"unknown label 'fal'.*did you mean 'fall'"):
        check({"fal": 2.0}, LABELS, "classification")
    for weight in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="class_weights: fall: expected more than 0"):
            check({"fall": weight}, LABELS, "classification")
    with pytest.raises(ConfigError, match="found a dataset for regression"):
        check("balanced", (), "regression")
