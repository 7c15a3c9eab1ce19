"""Damaged and hostile inputs of the converter, made from good ones; the same for the same seed.

mutated         good files of every kind, cut short, flipped, overwritten, put out of order
archives        crafted .keras files: bombs, paths that lead out, pickles, configurations
flatbuffers     crafted .tflite files: cycles, sizes, names, constants, archives behind them
folders         crafted SavedModels and dataset folders: links, sizes
kinds           files that are not what their name says, and things that are no files
samples         .npz files that do not fit a good model
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes:
        name: for the message of a failing test.
        model: what is converted.
        data: what it is converted with; None for nothing.
        may_pass: whether it may be harmless: a flipped bit in a weight is no damage that can be seen.
        endless: whether it never ends, so that the time limit is its one line.
    """

    name: str
    model: Path
    data: Path | None = None
    may_pass: bool = False
    endless: bool = False


class Touch:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)
