from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edge_sdk.dataset import Dataset
from edge_sdk.errors import DatasetError
from tests.folders import pictures


def test_windows_are_those_of_the_chosen_groups_with_their_labels(folder: Path) -> None:
    dataset = Dataset.load(folder)
    windows = dataset.windows(["p1", "p3"], 40, 20)
    assert windows.x.shape == (20, 40, 3)
    assert windows.x.dtype == np.float32
    assert windows.y.dtype == np.int64
    assert windows.y.tolist() == [0] * 10 + [1] * 10
    assert sorted(set(windows.group)) == ["p1", "p3"]
    whole = dataset.read(next(r for r in dataset.recordings if r.group == "p1" and r.label == "rest"))
    np.testing.assert_array_equal(windows.x[1], whole.samples[20:60])
    assert len(windows.of(["p3"])) == 10
    assert set(windows.of(["p3"]).group) == {"p3"}


def test_pieces_are_the_same_windows_recording_by_recording(folder: Path) -> None:
    dataset = Dataset.load(folder)
    whole, pieces = dataset.windows(dataset.groups, 40, 20), list(dataset.pieces(dataset.groups, 40, 20))
    assert len(pieces) == len(dataset.recordings)
    np.testing.assert_array_equal(np.concatenate([piece.x for piece in pieces]), whole.x)
    np.testing.assert_array_equal(np.concatenate([piece.y for piece in pieces]), whole.y)
    assert [group for piece in pieces for group in piece.group] == whole.group
    assert not pieces[0].x.flags.owndata


def test_images_are_windows_as_they_are(tmp_path: Path) -> None:
    dataset = pictures(tmp_path / "d")
    assert dataset.layout == "HWC"
    assert dataset.rate_hz is None
    assert dataset.windows(["camera0"], 1, 1).x.shape == (12, 12, 12, 1)


def test_windows_refuse_nan_and_recordings_that_are_all_too_short(folder: Path) -> None:
    path = folder / "recordings/rest/p0_1.csv"
    path.write_text(path.read_text().rstrip("\n") + "\n6.0,nan,1,1\n")
    dataset = Dataset.load(folder)
    with pytest.raises(DatasetError, match="NaN or inf in the samples; see: edgeml data check"):
        dataset.windows(["p0"], 40, 20)
    with pytest.raises(DatasetError, match="no windows of 1000 samples from person p1"):
        dataset.windows(["p1"], 1000, 20)


def test_images_of_unlike_sizes_are_refused(tmp_path: Path) -> None:
    dataset = pictures(tmp_path / "d")
    other = pictures(tmp_path / "e", size=14)
    shutil.copy(other.folder / other.recordings[0].file, dataset.folder / dataset.recordings[0].file)
    with pytest.raises(DatasetError, match=r"size: expected \[14, 14, 1\], found \[12, 12, 1\]"):
        dataset.windows(dataset.groups, 1, 1)
