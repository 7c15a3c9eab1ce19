from __future__ import annotations

from pathlib import Path

import pytest

from tests.folders import motion
from tests.task_folders import bearing
from train_host.config import load
from train_host.fitting.completion import complete, usual_epochs
from train_host.windows.prepare import Prepared, prepare


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    dataset = motion(tmp_path_factory.mktemp("c") / "d")
    return prepare(dataset, dataset.windows(dataset.groups, 40, 20), dataset.split(0))


def test_few_windows_are_seen_more_often_and_many_as_often_as_always() -> None:
    assert [usual_epochs(n, 64) for n in (1, 500, 2_200, 1_000_000)] == [150, 128, 30, 30]
    assert usual_epochs(500, 8) == 30  # small batches make steps, too


def test_what_nobody_says_the_windows_do(tmp_path: Path, prepared: Prepared) -> None:
    dataset = motion(tmp_path / "d")
    found = complete(load().for_dataset(dataset), dataset, prepared)
    assert (found.epochs, found.patience, found.rotation_deg) == (150, 50, 30.0)
    assert complete(found, dataset, prepared) == found


def test_a_detector_of_anomalies_learns_to_the_end(tmp_path: Path) -> None:
    dataset = bearing(tmp_path / "b")
    sides = prepare(dataset, dataset.windows(dataset.groups, 200, 100), dataset.split(0))
    assert complete(load().for_dataset(dataset), dataset, sides).patience == 0
    assert complete(load(patience=5).for_dataset(dataset), dataset, sides).patience == 5


def test_what_is_said_stays(tmp_path: Path, prepared: Prepared) -> None:
    dataset = motion(tmp_path / "d")
    config = load(epochs=3, patience=0, rotation_deg=90.0).for_dataset(dataset)
    assert complete(config, dataset, prepared) == config
