from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_sdk.errors import ConfigError, DatasetError
from tests.folders import motion
from train_host.config import Config
from train_host.folds import ALL, Plan, _Teller, summary


def fold(value: float, after: float, hits: dict[str, Any] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"test": ["p"], "figure": "accuracy", "value": value, "n": 4, "epochs": 3}
    return found | {"converted": {"value": after, "agreement": 1.0}, "hits": hits}


def hits(before: list[int], after: list[int], group: str) -> dict[str, Any]:
    return {"before": before, "after": after, "group": [group] * len(before)}


def test_all_is_a_fold_a_group(tmp_path: Path) -> None:
    dataset = motion(tmp_path / "d", groups=4)
    splits = Plan(ALL).splits(dataset, Config(validation=0.0))
    assert sorted(split.test for split in splits) == [(f"p{n}",) for n in range(4)]
    assert all(not split.validation and len(split.train) == 3 for split in splits)


def test_what_cannot_be_planned_is_refused(tmp_path: Path) -> None:
    dataset = motion(tmp_path / "d", groups=4)
    with pytest.raises(DatasetError, match="too few groups for 9 folds"):
        Plan(9).check(dataset, Config())
    with pytest.raises(ConfigError, match="workers: expected at least 1, found 0"):
        Plan(2, workers=0).check(dataset, Config())


def test_no_more_workers_than_folds() -> None:
    assert Plan(3, workers=8).crew(3) == 3
    assert 1 <= Plan(2).crew(2) <= 2


def test_a_summary_has_means_the_drop_and_its_paired_interval() -> None:
    said = [
        fold(1.0, 0.75, hits([1, 1, 1, 1], [1, 1, 1, 0], "p0")),
        fold(0.5, 0.5, hits([1, 1, 0, 0], [1, 1, 0, 0], "p1")),
    ]
    found = summary(said, "person", "int8")
    assert (found["accuracy"], found["n"]) == (0.75, 8)
    folds = found["folds"]
    assert (folds["by"], folds["mean"], folds["figure"]) == ("person", 0.75, "accuracy")
    assert folds["sd"] == pytest.approx(0.3536, abs=1e-4)
    converted = folds["converted"]
    assert (converted["recipe"], converted["mean"], converted["drop"]) == ("int8", 0.625, 0.125)
    low, high = converted["drop_interval"]
    assert low < 0.125 < high
    assert all("hits" not in each for each in folds["each"])  # one a window is too long to print


def test_of_an_error_less_is_better() -> None:
    said = [{**fold(2.0, 2.5), "figure": "error"}, {**fold(4.0, 4.5), "figure": "error"}]
    found = summary(said, "machine", "int8")
    assert found["error"] == 3.0
    assert found["folds"]["converted"]["drop"] == 0.5
    assert "drop_interval" not in found["folds"]["converted"]


def test_without_a_recipe_nothing_is_converted() -> None:
    said = [{key: value for key, value in fold(0.5, 0).items() if key != "converted"} for _ in range(2)]
    assert "converted" not in summary(said, "person", None)["folds"]


def test_progress_says_which_fold_and_how_long_all_take() -> None:
    heard: list[dict[str, Any]] = []
    teller = _Teller(heard.append, 3)
    teller(2, {"epoch": 1, "loss": 0.5, "left_s": 9.0})
    teller.done()
    teller(3, {"epoch": 1, "loss": 0.4})
    assert heard[0] == {"epoch": 1, "loss": 0.5, "fold": 2, "folds": 3}  # one fold's end is not that of all
    assert heard[1]["left_s"] >= 0
