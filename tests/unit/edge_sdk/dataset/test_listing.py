from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from edge_sdk.dataset import Dataset
from edge_sdk.errors import DatasetError


def test_a_recording_without_a_label_is_kept_and_never_trained_on(folder: Path) -> None:
    shutil.copy(folder / "recordings/rest/p0_1.csv", folder / "recordings/new_1.csv")
    dataset = Dataset.load(folder)
    assert [r.label for r in dataset.recordings].count(None) == 1
    assert "new" not in dataset.groups
    assert len(dataset.windows([*dataset.groups, "new"], 40, 20)) == 50


def test_folders_that_are_no_datasets_say_what_to_do(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        Dataset.load(tmp_path / "absent")
    with pytest.raises(DatasetError, match=r"no dataset\.toml.*edgeml data import"):
        Dataset.load(tmp_path)
    shutil.rmtree(folder / "recordings")
    with pytest.raises(DatasetError, match="no recordings"):
        Dataset.load(folder)


def test_names_without_a_group_and_strange_files_are_refused(folder: Path) -> None:
    path = (folder / "recordings/rest/p0_1.csv").rename(folder / "recordings/rest/walk.csv")
    with pytest.raises(DatasetError, match=r"no group in the name: expected <group>_<id>\.csv"):
        Dataset.load(folder)
    path.rename(folder / "recordings/rest/readme.txt")
    with pytest.raises(DatasetError, match=r"readme\.txt: does not belong here"):
        Dataset.load(folder)


@pytest.mark.parametrize("name", ["dataset.toml", "manifest.csv"])
def test_pipes_devices_and_sparse_files_are_not_read(folder: Path, name: str) -> None:
    path = folder / name
    for make, says in (
        (lambda: os.mkfifo(path), "no plain file"),
        (lambda: path.symlink_to("/dev/zero"), "no plain file"),
        (lambda: (path.touch(), os.truncate(path, 1 << 40)), "too large"),
    ):
        path.unlink(missing_ok=True)
        make()
        with pytest.raises(DatasetError, match=says):
            Dataset.load(folder)


def test_a_sparse_recording_is_not_read(folder: Path) -> None:
    os.truncate(next(folder.rglob("*.csv")), 1 << 40)
    with pytest.raises(DatasetError, match="too large"):
        Dataset.load(folder)
