from __future__ import annotations

from pathlib import Path

import pytest

from edge_sdk.dataset import Dataset
from edge_sdk.errors import DatasetError
from tests.folders import manifest


def test_the_split_of_a_manifest_wins_and_validation_is_taken_from_training(folder: Path) -> None:
    sides = {"p0": "test", "p1": "train", "p2": "train", "p3": "", "p4": "train"}
    rows = [f"recordings/rest/{group}_1.csv,rest,{group},{side}" for group, side in sides.items()]
    manifest(folder, *rows, header="file,label,group,split")
    for seed in range(5):
        split = Dataset.load(folder).split(seed, validation=0.25)
        assert split.test == ("p0",)
        assert len(split.validation) == 1
        assert sorted([*split.train, *split.validation]) == ["p1", "p2", "p3", "p4"]
        assert split.by == "person"


def test_a_manifest_with_a_group_on_two_sides_cannot_be_split(folder: Path) -> None:
    manifest(
        folder,
        "recordings/rest/p0_1.csv,rest,p0,train",
        "recordings/shake/p0_1.csv,shake,p0,test",
        header="file,label,group,split",
    )
    with pytest.raises(DatasetError, match="person 'p0' is on two sides"):
        Dataset.load(folder).split(0)


def test_split_and_folds_go_by_group(folder: Path) -> None:
    dataset = Dataset.load(folder)
    split = dataset.split(3)
    assert sorted([*split.train, *split.validation, *split.test]) == list(dataset.groups)
    assert sorted(group for fold in dataset.folds(5, 3) for group in fold.test) == list(dataset.groups)
    with pytest.raises(DatasetError, match="too few groups for 6 folds by person"):
        dataset.folds(6, 3)


def folded(folder: Path, folds: dict[str, object]) -> Dataset:
    rows = [f"{r.file},{r.label},{r.group},{folds[r.group]}" for r in Dataset.load(folder).recordings]
    (folder / "manifest.csv").write_text("\n".join(["file,label,group,fold", *rows]))
    return Dataset.load(folder)


def test_folds_of_the_manifest_win(folder: Path) -> None:
    dataset = folded(folder, {"p0": 2, "p1": 1, "p2": 3, "p3": 1, "p4": 2})
    made = dataset.folds(3, 0)
    assert [fold.test for fold in made] == [("p1", "p3"), ("p0", "p4"), ("p2",)]
    assert all(fold.validation and fold.train for fold in made)
    with pytest.raises(DatasetError, match="fold: expected 5 folds, found 3; take as many"):
        dataset.folds(5, 0)


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ({"p0": 1, "p1": 2, "p2": "", "p3": 1, "p4": 2}, "one for every group, found none for p2"),
        ({"p0": 0, "p1": 2, "p2": 1, "p3": 1, "p4": 2}, "line 2: fold: expected a whole number from 1 on"),
    ],
)
def test_folds_that_are_none_are_refused(folder: Path, folds: dict[str, object], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        folded(folder, folds).folds(2, 0)


def test_a_group_in_two_folds_is_refused(folder: Path) -> None:
    folded(folder, dict.fromkeys(["p0", "p1", "p2", "p3", "p4"], 1))
    path = folder / "manifest.csv"
    path.write_text(path.read_text().replace("p0,1", "p0,2", 1))
    with pytest.raises(DatasetError, match="person 'p0' is in two folds"):
        Dataset.load(folder).folds(2, 0)
