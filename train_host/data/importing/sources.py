"""Which files are recordings, and of which format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edge_sdk import recordings
from edge_sdk.errors import DatasetError, EdgeError, first_of
from train_host.data.importing import edge_impulse, har, images, label_files, tables
from train_host.data.importing.request import Advance, Piece, Request

Reader = Callable[[Path, Request, Advance], Iterator[Piece]]
#: What a message names; folders of UCI-HAR are found by what lies in them.
_SUFFIXES = (*recordings.SUFFIXES, *images.SUFFIXES, *edge_impulse.SUFFIXES)


def find(sources: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The recordings at and below some places, and the files there that are none; hidden ones are left out.

    Returns:
        Files, and folders that are read as one; and the other files.

    Raises:
        DatasetError: a place does not exist, or there are no recordings at all.
    """
    usable: list[Path] = []
    others: list[Path] = []
    for source in sources:
        if not source.exists():
            raise DatasetError(f"{source}: no such file or folder")
        folders = [] if source.is_file() else har.folders(source)
        usable += folders
        inside = (
            [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
        )
        for path in inside:
            below = path.relative_to(source)
            if any(part.startswith(".") for part in below.parts) or any(f in path.parents for f in folders):
                continue
            if _reader(path) is not None:
                usable.append(path)
            elif path.name not in label_files.NAMES and not (folders and path.name in har.BESIDE):
                others.append(path)
    if not usable:
        where = first_of(sources)
        raise DatasetError(f"{where}: no recordings", expected=f"files that end in {' '.join(_SUFFIXES)}")
    return usable, others


def read(path: Path, request: Request, advance: Advance) -> Iterator[Piece]:
    """The pieces of one of the places that `find` gave, cut where annotations beside it say so.

    Raises:
        DatasetError: it is malformed; names the file and the place in it.
        MissingExtraError: what reads this format is not installed.
    """
    try:
        for piece in _chosen(path, request)(path, request, advance):
            yield from label_files.apply(piece)
    except EdgeError:
        raise
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read", found=error.strerror or error) from error


def size_of(path: Path) -> int:
    """Bytes of what `find` gave."""
    if path.is_dir():
        return sum(inner.stat().st_size for inner in path.rglob("*") if inner.is_file())
    return path.stat().st_size


def _chosen(path: Path, request: Request) -> Reader:
    """What reads one of the places that `find` gave."""
    if path.is_dir():
        return har.read
    if request.columns and path.suffix.lower() in tables.SUFFIXES:
        return tables.read
    recordings.check_size(path)
    reader = _reader(path)
    assert reader is not None
    return reader


def _reader(path: Path) -> Reader | None:
    kind = path.suffix.lower()
    if kind == ".png" or kind in images.SUFFIXES:
        return images.read
    if kind in recordings.SUFFIXES:
        return _recording
    if kind in edge_impulse.SUFFIXES and edge_impulse.is_one(path):
        return edge_impulse.read
    return None


def _recording(path: Path, request: Request, advance: Advance) -> Iterator[Piece]:
    """A file that a dataset folder holds, too."""
    try:
        signal = recordings.read(path, [channel.name for channel in request.channels])
    except DatasetError as error:
        if path.suffix.lower() not in tables.SUFFIXES or error.expected not in ("a number", "numbers"):
            raise
        remedy = "if it is a long table, name its columns: --label-column, --group-column, --time-column"
        raise error.rebuilt({**error.as_dict(), "remedy": remedy}) from error
    yield Piece(path=path, signal=signal, whole=True)
    advance(path.stat().st_size)
