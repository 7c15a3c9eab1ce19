"""The text files of a dataset folder are plain files of a size that fits into memory."""

from __future__ import annotations

from pathlib import Path

from edge_sdk.errors import DatasetError

_MOST_BYTES = 64 << 20


def check_plain(path: Path, expected: str) -> None:
    """A pipe would never end, nor would a device; a sparse file can claim any size.

    Raises:
        DatasetError: it is none, or too large.
    """
    if not path.is_file():
        raise DatasetError(f"{path}: cannot be read", expected=expected, found="no plain file")
    if path.stat().st_size > _MOST_BYTES:
        raise DatasetError(f"{path}: too large", expected=f"at most {_MOST_BYTES >> 20} MB")
