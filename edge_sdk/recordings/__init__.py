"""Recording files, one kind a module: read into a `Signal` and written from one.

Nothing here knows about dataset folders. Nothing is unpickled, and every malformed file ends in a
`DatasetError` that names the file, and the line where there are lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from edge_sdk.errors import DatasetError, EdgeError, one_line
from edge_sdk.recordings import csv, npz, parquet, png, wav
from edge_sdk.recordings.signal import Signal, refuse

__all__ = ["SUFFIXES", "Signal", "check_size", "read", "write"]

_READERS: dict[str, Callable[[Path, bytes, tuple[str, ...]], Signal]] = {
    ".csv": csv.read,
    ".npz": npz.read,
    ".wav": wav.read,
    ".png": png.read,
    ".parquet": parquet.read,
}
#: The kinds of recordings there are.
SUFFIXES = tuple(_READERS)
#: Largest file that is read.
MAX_BYTES = 2 << 30


def read(path: str | Path, channels: Sequence[str] = ()) -> Signal:
    """Read one recording; the suffix says which kind it is.

    Args:
        path: a .csv, .npz, .wav, .png or .parquet file.
        channels: names for a CSV that has no header; otherwise the file's own names are kept.

    Returns:
        A signal with at least one sample.

    Raises:
        DatasetError: the file is missing, unreadable, empty, malformed, or of another kind.
        MissingExtraError: a png without pillow, or a parquet without pyarrow.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        refuse(path, "not a kind of recording", "one of " + " ".join(SUFFIXES), path.suffix or "no suffix")
    try:
        check_size(path)
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read", found=error.strerror or error) from error
    if not content:
        refuse(path, "the file is empty", remedy="record it again or remove it")
    try:
        return reader(path, content, tuple(channels))
    except EdgeError:
        raise
    except Exception as error:  # numpy, zipfile, struct and pillow raise whatever they like
        raise DatasetError(f"{path}: malformed {path.suffix}", found=one_line(error)) from error


def check_size(path: Path) -> None:
    """Refuse a file that would fill the memory; a sparse one can claim any size.

    Raises:
        DatasetError: it is too large.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        remedy = "cut it into several recordings"
        refuse(path, "too large", f"at most {MAX_BYTES:,} bytes", f"{size:,}", remedy)


def write(path: str | Path, signal: Signal) -> None:
    """Write a signal as .csv (with ``time_s`` where the rate is known), .npz, .parquet or .png.

    Raises:
        DatasetError: an image into anything but a .png, or a signal into one.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if signal.is_image and kind == ".png":
        png.write(path, signal)
    elif not signal.is_image and kind == ".npz":
        npz.write(path, signal)
    elif not signal.is_image and kind == ".parquet":
        parquet.write(path, signal)
    elif not signal.is_image and kind == ".csv":
        csv.write(path, signal)
    else:
        what = "an image" if signal.is_image else "a signal"
        refuse(
            path,
            f"cannot write {what} here",
            "a .png" if signal.is_image else "a .csv, .npz or .parquet",
            kind,
        )
