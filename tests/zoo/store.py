"""Where built models are kept: each is built once, and again when the source of its builder has changed."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_sdk.child import Worker
from tests.zoo import Entry
from tests.zoo.data import PUBLIC
from tests.zoo.measures import MEASURES

TIMEOUT_S = 240.0


@dataclass(frozen=True)
class Built:
    """A model of the zoo on disk.

    Attributes:
        entry: whose it is.
        model: the file or folder.
        data: inputs by name, labels and groups, as a user would give them.
    """

    entry: Entry
    model: Path
    data: Path

    def measured(self, outputs: Path) -> list[float]:
        """How good the outputs in an .npz are, by the measures of the entry's floors."""
        with np.load(self.data.with_suffix(".truth.npz")) as truths, np.load(outputs) as found:
            names = [f"output_{n}" for n in range(len(self.entry.floors))]
            assert found.files == names
            pairs: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = [
                (found[name], truths[name]) for name in names
            ]
        return [MEASURES[floor.measure](*pair) for floor, pair in zip(self.entry.floors, pairs, strict=True)]


@dataclass(frozen=True)
class Store:
    """Built models in a folder, one folder each.

    Attributes:
        folder: for this session, or the one that EDGEML_ZOO names, for all.
        worker: in which the builders of this interpreter run.
    """

    folder: Path
    worker: Worker

    @classmethod
    def within(cls, session: Path, worker: Worker) -> Store:
        """The folder that EDGEML_ZOO names, else one of this test session."""
        folder = Path(os.environ.get("EDGEML_ZOO") or session / "zoo").absolute()
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder, worker)

    def built(self, entry: Entry) -> Built:
        """The model, built now where it is not there yet."""
        folder = self.folder / f"{entry.name}-{_digest(entry)}"
        if not folder.is_dir():
            unfinished = folder.with_suffix(f".{os.getpid()}")
            unfinished.mkdir()
            try:
                path = self.worker.call(entry.builder, timeout_s=TIMEOUT_S, folder=str(unfinished))
                assert Path(path) == unfinished / entry.file
                unfinished.rename(folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
        return Built(entry, folder / entry.file, folder / f"{entry.name}.npz")


def _digest(entry: Entry) -> str:
    """Of all that decides what the builder builds."""
    here = Path(__file__).parent
    sources = [here / f"{name}.py" for name in (entry.family, "data", "training")]
    decides = hashlib.sha256(b"".join(source.read_bytes() for source in sources))
    decides.update(f"{PUBLIC.is_dir()} {version('tensorflow')}".encode())
    return decides.hexdigest()[:12]
