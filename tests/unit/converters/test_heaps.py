import io
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest

from converters.load import foreign, heaps
from edge_sdk.errors import ModelError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """With texts of several lengths, among numbers."""
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as made:
        made.create_dataset("before", data=np.arange(300_000.0))
        made.attrs["model_config"] = "{" + " " * 3000 + "}"
        for i in range(300):
            made.create_group(f"g{i}").attrs["name"] = "n" * i
        made.create_dataset("after", data=np.frombuffer(b"GCOL" * 1000, np.uint8))
    return path


def test_a_good_file_is_whole(file: Path) -> None:
    data = file.read_bytes()
    assert data.count(b"GCOL\1\0\0\0") > 3
    assert heaps.are_whole(io.BytesIO(data))
    assert heaps.are_whole(io.BytesIO(b""))
    assert heaps.are_whole(io.BytesIO(b"GCOL"))


@pytest.mark.parametrize(("index", "size"), [(1, (1 << 64) - 1), (1, 1 << 40), (0, 0), (0, 8)])
def test_a_size_that_the_library_would_never_get_past(file: Path, index: int, size: int) -> None:
    data = bytearray(file.read_bytes())
    heap = data.index(b"GCOL\1\0\0\0")
    struct.pack_into("<H6xQ", data, heap + 16, index, size)
    assert not heaps.are_whole(io.BytesIO(bytes(data)))
    file.write_bytes(data)
    with pytest.raises(ModelError, match="texts that do not end"):
        foreign.check_h5(file)


def test_a_heap_across_two_blocks(file: Path) -> None:
    data = file.read_bytes()
    heap = data.index(b"GCOL\1\0\0\0")
    for before in range((1 << 20) - heap - 40, (1 << 20) - heap + 8, 4):
        moved = bytearray(before) + data[heap:] if before > 0 else bytearray(data)
        assert heaps.are_whole(io.BytesIO(bytes(moved)))
        at = moved.index(b"GCOL\1\0\0\0")
        struct.pack_into("<H6xQ", moved, at + 16, 1, (1 << 64) - 1)
        assert not heaps.are_whole(io.BytesIO(bytes(moved)))
