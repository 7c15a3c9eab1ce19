from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_sdk.dataset import Dataset
from edge_sdk.errors import DatasetError
from tests.folders import RATE_HZ, manifest


def test_a_piece_beyond_the_end_is_refused(folder: Path) -> None:
    manifest(folder, "recordings/rest/p0_1.csv,rest,p0,1,9,,")
    dataset = Dataset.load(folder)
    with pytest.raises(DatasetError, match=r"p0_1\.csv: 1 to 9 s: expected 6\.00 s"):
        dataset.read(dataset.recordings[0])


def test_columns_are_taken_by_name_whatever_their_order(folder: Path) -> None:
    path = folder / "recordings/rest/p0_1.csv"
    rows = ["az,extra,ax,ay", *(f"{n},0,{n + 1},{n + 2}" for n in range(50))]
    path.write_text("\n".join(rows))
    dataset = Dataset.load(folder)
    signal = dataset.read(dataset.recordings[0])
    assert signal.samples[0].tolist() == [1, 2, 0]
    assert signal.rate_hz == RATE_HZ

    path.write_text(path.read_text().replace("az", "bz", 1))
    with pytest.raises(DatasetError, match="channel 'az' is missing.*found bz, extra, ax, ay"):
        dataset.read(dataset.recordings[0])


def test_another_rate_and_another_number_of_channels_are_refused(folder: Path) -> None:
    dataset = Dataset.load(folder)
    path = folder / "recordings/rest/p0_1.csv"
    path.write_text("time_s,ax,ay,az\n" + "\n".join(f"{n / 25},1,2,3" for n in range(50)))
    with pytest.raises(
        DatasetError, match=r"p0_1\.csv: recorded at another rate: expected 20 Hz, found 25 Hz"
    ):
        dataset.read(dataset.recordings[0])
    np.savez(path.with_suffix(".npz"), samples=np.zeros((50, 2)))
    path.unlink()
    dataset = Dataset.load(folder)
    with pytest.raises(DatasetError, match=r"channels: expected 3 \(ax, ay, az\), found 2"):
        dataset.read(dataset.recordings[0])
