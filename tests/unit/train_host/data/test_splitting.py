from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk.dataset import Dataset
from edge_sdk.dataset.manifest import write_manifest
from edge_sdk.errors import ConfigError, DatasetError
from tests.folders import motion, pictures
from train_host.data.splitting import Amounts, Division, divide, folded, measure, one_group_each, recordings

SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}


def amounts(table: list[list[float]] | np.ndarray) -> Amounts:
    rows = np.asarray(table, float)
    groups = tuple(f"p{i:02d}" for i in range(len(rows)))
    return Amounts(groups, tuple("abcdefgh"[: rows.shape[1]]), rows, rows.sum(axis=1), "s")


def shares(division: Division) -> np.ndarray:
    """[sides, labels], each column summing to one."""
    return division.table / division.table.sum(axis=0)


def test_each_side_gets_its_share_of_every_label() -> None:
    table = np.random.default_rng(0).uniform(5, 60, (40, 4))
    found = shares(divide(amounts(table), SHARES, 0))
    np.testing.assert_allclose(found, np.array([[0.7], [0.1], [0.2]]).repeat(4, axis=1), atol=0.015)


def test_it_beats_drawing_lots_where_groups_have_labels_of_their_own() -> None:
    rng = np.random.default_rng(1)
    table = np.zeros((30, 3))
    table[np.arange(30), rng.integers(0, 3, 30)] = rng.uniform(1, 100, 30)
    wanted = np.array(list(SHARES.values()))[:, None]

    def miss(division: Division) -> float:
        return float(np.abs(shares(division) - wanted).max())

    def lots(seed: int) -> Division:
        on = np.random.default_rng(seed).choice(list(SHARES), 30, p=list(SHARES.values()))
        return Division(amounts(table), tuple(SHARES), dict(zip(amounts(table).groups, on, strict=True)))

    assert miss(divide(amounts(table), SHARES, 0)) < 0.06
    assert miss(divide(amounts(table), SHARES, 0)) < min(miss(lots(seed)) for seed in range(50))


def test_one_group_that_alone_has_a_label_goes_somewhere_and_nothing_is_lost() -> None:
    table = [[10, 0], [10, 0], [10, 0], [10, 0], [10, 30]]
    division = divide(amounts(table), SHARES, 0)
    assert division.table.sum(axis=0).tolist() == [50, 30]
    assert division.side_of["p04"] == "train"


@settings(max_examples=60)
@given(
    table=st.lists(st.lists(st.floats(0, 100), min_size=2, max_size=2), min_size=3, max_size=14),
    seed=st.integers(0, 99),
)
def test_every_side_has_a_group_and_every_group_a_side(table: list[list[float]], seed: int) -> None:
    division = divide(amounts(table), SHARES, seed)
    assert set(division.side_of) == set(amounts(table).groups)
    assert set(division.side_of.values()) == set(SHARES)
    assert division.side_of == divide(amounts(table), SHARES, seed).side_of


def test_another_seed_gives_another_division_of_equal_groups() -> None:
    equal = amounts(np.ones((12, 2)))
    assert len({tuple(divide(equal, SHARES, seed).groups_of("test")) for seed in range(10)}) > 5


def test_a_side_without_a_share_gets_nobody() -> None:
    division = divide(amounts(np.ones((5, 2))), {"train": 0.8, "validation": 0.0, "test": 0.2}, 0)
    assert division.sides == ("train", "test")
    assert len(division.groups_of("test")) == 1


def test_folds_are_of_one_size_and_test_every_group_once() -> None:
    table = np.random.default_rng(2).uniform(5, 60, (23, 3))
    division = folded(amounts(table), 5, 0)
    assert sorted(group for fold in division.sides for group in division.groups_of(fold)) == list(
        amounts(table).groups
    )
    np.testing.assert_allclose(shares(division), 0.2, atol=0.03)


def test_one_group_each_is_as_many_folds_as_groups() -> None:
    division = one_group_each(amounts(np.ones((4, 2))))
    assert division.side_of == {"p00": "1", "p01": "2", "p02": "3", "p03": "4"}


def test_too_few_groups_and_folds_are_refused() -> None:
    with pytest.raises(
        DatasetError, match="too few persons for train, validation, test: expected at least 3"
    ):
        divide(amounts(np.ones((2, 2))), SHARES, 0, "person")
    with pytest.raises(DatasetError, match="expected at least 4, found 3"):
        folded(amounts(np.ones((3, 2))), 4, 0)
    with pytest.raises(ConfigError, match="folds: expected at least 2"):
        folded(amounts(np.ones((3, 2))), 1, 0)
    with pytest.raises(DatasetError, match="at least 2"):
        one_group_each(amounts(np.ones((1, 2))))


def test_a_folder_is_measured_in_seconds_and_in_images(tmp_path: Path) -> None:
    measured = measure(motion(tmp_path / "m", groups=3, seconds=4.0))
    assert (measured.unit, measured.groups, measured.labels) == ("s", ("p0", "p1", "p2"), ("rest", "shake"))
    np.testing.assert_allclose(measured.table, 4.0)
    images = measure(pictures(tmp_path / "p", groups=2, each=3))
    assert images.unit == "images"
    np.testing.assert_array_equal(images.table, 3)


def test_what_is_written_is_what_training_takes(tmp_path: Path) -> None:
    dataset = motion(tmp_path / "d", groups=10)
    division = divide(measure(dataset), SHARES, 5)
    write_manifest(dataset.folder / "manifest.csv", recordings(dataset, division))
    written = Dataset.load(dataset.folder)
    for seed in (0, 1):  # it wins over the seed
        split = written.split(seed, validation=0.1)
        assert [list(split.train), list(split.validation), list(split.test)] == [
            division.groups_of(side) for side in ("train", "validation", "test")
        ]
    division = folded(measure(dataset), 5, 0)
    write_manifest(dataset.folder / "manifest.csv", recordings(dataset, division))
    folds = Dataset.load(dataset.folder).folds(5, 3)
    assert [list(fold.test) for fold in folds] == [division.groups_of(str(n)) for n in range(1, 6)]


def test_recordings_without_a_label_stand_on_no_side(tmp_path: Path) -> None:
    dataset = motion(tmp_path / "d", groups=4)
    (dataset.folder / "recordings/rest/p0_1.csv").rename(dataset.folder / "recordings/p0_1.csv")
    dataset = Dataset.load(dataset.folder)
    written = recordings(dataset, divide(measure(dataset), SHARES, 0))
    assert [r.split for r in written if r.label is None] == [None]
    assert all(r.split for r in written if r.label is not None)
