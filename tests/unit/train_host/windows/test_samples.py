from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.dataset import Dataset, Windowed
from edge_sdk.errors import DatasetError
from edge_sdk.windows import cut
from tests.folders import motion, pictures
from train_host.config import Config
from train_host.windows import samples
from train_host.windows.samples import StoredWindows, collect


def stored(dataset: Dataset, window: int, hop: int, folder: Path) -> Windowed:
    return samples._store(dataset.pieces(dataset.groups, window, hop), hop, folder)


def is_stored(windows: Windowed) -> bool:
    x: Any = windows.x
    return isinstance(x, StoredWindows)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return motion(tmp_path_factory.mktemp("data") / "d", groups=4)


@given(window=st.integers(1, 60), hop=st.integers(1, 90))
def test_windows_from_the_file_are_those_in_memory(window: int, hop: int) -> None:
    random = np.random.default_rng(window * 100 + hop)
    lengths = [window + n for n in (0, 1, hop, 3 * hop + 1)]
    recordings = [random.normal(size=(length, 2)).astype(np.float32) for length in lengths]
    pieces = [cut(recording, window, hop) for recording in recordings]
    parts = [Windowed(x, np.full(len(x), n), [f"p{n}"] * len(x)) for n, x in enumerate(pieces)]
    found = samples._store(parts, hop, Path(tempfile.gettempdir()))
    np.testing.assert_array_equal(np.asarray(found.x), np.concatenate(pieces))
    np.testing.assert_array_equal(found.y, np.concatenate([part.y for part in parts]))
    assert found.group == [name for part in parts for name in part.group]


def test_overlap_takes_no_room(dataset: Dataset, tmp_path: Path) -> None:
    x: Any = stored(dataset, 40, 1, tmp_path).x
    size = os.fstat(x.samples.descriptor).st_size
    assert size == len(dataset.recordings) * 120 * 3 * 4


def test_it_stands_where_an_array_would(dataset: Dataset, tmp_path: Path) -> None:
    whole, found = dataset.windows(dataset.groups, 40, 20), stored(dataset, 40, 20, tmp_path)
    assert found.x.shape == whole.x.shape
    assert found.x.dtype == np.float32
    assert (found.x.ndim, len(found)) == (3, len(whole))
    some = found.of(["p1", "p3"])
    assert is_stored(some)
    np.testing.assert_array_equal(some.x, whole.of(["p1", "p3"]).x)
    np.testing.assert_array_equal(found.x[np.array([3, 1])], whole.x[[3, 1]])
    np.testing.assert_array_equal(found.x[2:7], whole.x[2:7])
    x: Any = found.x
    x.announce(np.arange(len(found)))
    x.announce(np.array([], np.int64))


def test_nothing_of_the_file_is_left(dataset: Dataset, tmp_path: Path) -> None:
    found = stored(dataset, 40, 20, tmp_path)
    assert not list(tmp_path.iterdir())
    assert np.asarray(found.x).any()


def test_images_are_whole(tmp_path: Path) -> None:
    dataset = pictures(tmp_path / "d")
    found = stored(dataset, 1, 1, tmp_path)
    np.testing.assert_array_equal(found.x, dataset.windows(dataset.groups, 1, 1).x)


def test_what_fits_is_in_memory_and_what_does_not_is_not(tmp_path: Path) -> None:
    dataset = motion(tmp_path / "d", seconds=600, groups=3)
    config = Config(window=40, hop=1, augment=()).for_dataset(dataset)
    large = collect(dataset, config, tmp_path)
    assert not is_stored(large)
    small = collect(dataset, msgspec.structs.replace(config, memory_mb=1), tmp_path)
    assert is_stored(small)
    np.testing.assert_array_equal(small.x, large.x)
    np.testing.assert_array_equal(small.y, large.y)
    assert small.group == large.group


def test_no_window_at_all_is_said_either_way(dataset: Dataset, tmp_path: Path) -> None:
    config = Config(window=999, hop=1, augment=()).for_dataset(dataset)
    with pytest.raises(DatasetError, match="no windows of 999 samples"):
        collect(dataset, config, tmp_path)
