from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_sdk.contract import Channel
from edge_sdk.dataset import Split
from edge_sdk.errors import ConfigError, DatasetError
from tests.folders import motion
from train_host.windows.prepare import prepare, statistics, triplets


def channels(*names: str, unit: str = "g") -> list[Channel]:
    return [Channel(name, unit) for name in names]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (channels("ax", "ay", "az", "wx", "wy", "wz"), [(0, 1, 2), (3, 4, 5)]),
        (channels("az", "p", "ay", "ax"), [(3, 2, 0)]),
        (channels("acc_x_raw", "acc_y_raw", "acc_z_raw"), [(0, 1, 2)]),
        (channels("AccX", "AccY", "AccZ", unit="m/s2"), [(0, 1, 2)]),
        (channels("x", "y", "z", unit=""), [(0, 1, 2)]),
        (channels("ax", "ay"), []),
        (channels("x", "y", "z", unit="mm"), []),
        ([*channels("ax", "ay"), Channel("az", "dps")], []),
        (channels("max_x", "max_y", "max_z", unit="dps"), [(0, 1, 2)]),
    ],
)
def test_sensors_with_three_axes_are_found_by_name_and_unit(given: list[Channel], found: list[tuple]) -> None:
    assert triplets(given) == found


def test_triplets_that_are_named_are_taken_as_named() -> None:
    given = channels("forward", "left", "up", unit="mm")
    assert triplets(given, [("left", "up", "forward")]) == [(1, 2, 0)]
    with pytest.raises(ConfigError, match="found down"):
        triplets(given, [("left", "up", "down")])


def test_statistics_come_from_the_training_side_only(tmp_path: Path) -> None:
    dataset = motion(tmp_path / "d")
    windows = dataset.windows(dataset.groups, 40, 20)
    prepared = prepare(dataset, windows, Split(("p0", "p1"), ("p2",), ("p3", "p4"), "person"))
    assert set(prepared.train.group) == {"p0", "p1"}
    assert prepared.validation is not None
    assert set(prepared.validation.group) == {"p2"}
    assert set(prepared.test.group) == {"p3", "p4"}
    np.testing.assert_allclose(prepared.statistics.mean, prepared.train.x.mean(axis=(0, 1)), atol=1e-5)
    np.testing.assert_allclose(prepared.statistics.std, prepared.train.x.std(axis=(0, 1)), atol=1e-5)
    assert prepared.statistics != statistics(prepared.test.x)


def test_without_validation_groups_there_is_no_validation_side(tmp_path: Path) -> None:
    dataset = motion(tmp_path / "d")
    windows = dataset.windows(dataset.groups, 40, 20)
    assert prepare(dataset, windows, Split(("p0",), (), ("p1",))).validation is None


def test_a_label_that_nobody_trains_on_is_an_error(tmp_path: Path) -> None:
    dataset = motion(tmp_path / "d")
    for path in (dataset.folder / "recordings/shake").glob("p[01]_*"):
        path.unlink()
    dataset = type(dataset).load(dataset.folder)
    windows = dataset.windows(dataset.groups, 40, 20)
    with pytest.raises(DatasetError, match="nothing to learn label 'shake' from"):
        prepare(dataset, windows, Split(("p0", "p1"), (), ("p2",)))


def test_a_side_whose_recordings_are_too_short_is_an_error(tmp_path: Path) -> None:
    dataset = motion(tmp_path / "d")
    windows = dataset.windows(["p0", "p1"], 40, 20)
    with pytest.raises(DatasetError, match="no windows on the test side: found person p2"):
        prepare(dataset, windows, Split(("p0",), ("p1",), ("p2",), "person"))
