"""Text in the style of UCI-HAR: a folder a side, whose files have a line a window.

    activity_labels.txt                        optional: number and name a line
    train/y_train.txt                          number of the activity of each window
    train/subject_train.txt                    who each window is of
    train/Inertial Signals/ax_train.txt        the samples of each window; one file a channel

Windows of one subject and activity that overlap by half are joined again, so that other windows can be cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import DatasetError, one_line
from edge_sdk.recordings import Signal
from edge_sdk.recordings.signal import float32
from train_host.data.importing.request import Advance, Piece, Request

_SIGNALS, _NAMES = "Inertial Signals", "activity_labels.txt"
#: Files beside the folders that belong to them, or say what was done.
BESIDE = (_NAMES, "features.txt", "features_info.txt", "README.txt")


def folders(source: Path) -> list[Path]:
    """The sides at and below a place."""
    return sorted(path.parent for path in source.rglob(_SIGNALS) if path.is_dir())


def read(path: Path, request: Request, advance: Advance) -> Iterator[Piece]:
    """The recordings of one side."""
    files = sorted((path / _SIGNALS).glob("*.txt"))
    ending = f"_{path.name}"
    named = [(file.stem.removesuffix(ending), file) for file in files]
    wanted = [channel.name for channel in request.channels]
    if not wanted:
        wanted = [name for name, _ in named]
    missing = [name for name in wanted if name not in dict(named)]
    if missing or not wanted:
        found = ", ".join(name for name, _ in named) or "none"
        _refuse(path / _SIGNALS, "channels", missing[0] if missing else "a file a channel", found)
    labels = _column(path / f"y{ending}.txt")
    subjects = _column(path / f"subject{ending}.txt")
    names = _activities(path.parent / _NAMES)
    windows: list[NDArray[np.float32]] = []
    for name in wanted:
        file = dict(named)[name]
        table = _table(file)
        if len(table) != len(labels) or (windows and table.shape != windows[0].shape):
            expected = f"{len(labels)} windows of {windows[0].shape[1] if windows else 'one length'}"
            _refuse(file, "lines", expected, f"{len(table)} of {table.shape[1]}")
        windows.append(table)
        advance(file.stat().st_size)
    if len(subjects) != len(labels):
        _refuse(path / f"subject{ending}.txt", "lines", str(len(labels)), str(len(subjects)))
    side = {"train": "train", "test": "test"}.get(path.name)
    samples = np.stack(windows, axis=2)  # [n, window, channels]
    for number, (first, last) in enumerate(_joined(samples, labels, subjects), start=1):
        yield Piece(
            path=path,
            signal=Signal(_continuous(samples[first : last + 1]), None, tuple(wanted)),
            label=names.get(int(labels[first]), str(labels[first])),
            knows_label=True,
            group=str(subjects[first]),
            id=str(number),
            split=side,
        )


def _joined(
    samples: NDArray[np.float32], labels: NDArray[np.int64], subjects: NDArray[np.int64]
) -> Iterator[tuple[int, int]]:
    """First and last window of every run that was one recording."""
    half = samples.shape[1] // 2
    same = (labels[1:] == labels[:-1]) & (subjects[1:] == subjects[:-1])
    same &= (samples[1:, :half] == samples[:-1, samples.shape[1] - half :]).all(axis=(1, 2))
    ends = np.flatnonzero(np.append(~same, True))
    yield from zip([0, *(ends[:-1] + 1)], ends, strict=True)


def _continuous(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """One signal of windows that overlap by half."""
    half = windows.shape[1] // 2
    later = windows[1:, half:].reshape(-1, windows.shape[2])
    return np.ascontiguousarray(np.concatenate([windows[0], later]))


def _activities(path: Path) -> dict[int, str]:
    if not path.is_file():
        return {}
    names = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        index, _, name = line.strip().partition(" ")
        if not line.strip():
            continue
        if not index.isdecimal() or not name.strip():
            _refuse(path, f"line {number}", "number and name of an activity", line[:40])
        names[int(index)] = name.strip()
    return names


def _column(path: Path) -> NDArray[np.int64]:
    table = _table(path)
    if table.shape[1] != 1 or (table != np.floor(table)).any():
        _refuse(path, "lines", "one whole number a line", f"{table.shape[1]} columns")
    return table[:, 0].astype(np.int64)


def _table(path: Path) -> NDArray[np.float32]:
    try:
        table = np.loadtxt(path, dtype=np.float64, ndmin=2)
    except (OSError, ValueError) as error:  # says which row and column
        raise DatasetError(f"{path}: malformed", expected="numbers", found=one_line(error)) from error
    if not table.size:
        _refuse(path, "lines", "at least one", "none")
    return float32(table)


def _refuse(path: Path, where: str, expected: str, found: str) -> NoReturn:
    raise DatasetError(f"{path}: {where}", expected=expected, found=found)
