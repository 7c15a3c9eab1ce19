"""Where built models are kept: each is built once, and again when the source of its builder has changed."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters import environments
from edge_sdk.child import Worker
from edge_sdk.closing import Closing
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

    @property
    def truths(self) -> Path:
        """What each output should be, `output_0`, `output_1`, …."""
        return self.data.with_suffix(".truth.npz")

    @property
    def outputs(self) -> Path:
        """What the model says of `data` in its own framework, by the same names."""
        return self.data.with_suffix(".outputs.npz")

    def measured(self, outputs: Path | None = None) -> list[float]:
        """How good outputs are, the model's own or others, by the measures of the entry's floors."""
        with np.load(self.truths) as truths, np.load(outputs or self.outputs) as found:
            names = [f"output_{n}" for n in range(len(self.entry.floors))]
            assert found.files == names
            pairs: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = [
                (found[name], truths[name]) for name in names
            ]
        return [MEASURES[floor.measure](*pair) for floor, pair in zip(self.entry.floors, pairs, strict=True)]


class Store(Closing):
    """Built models in a folder, one folder each, and the processes that build and run them.

    Args:
        folder: for this session, or the one that EDGEML_ZOO names, for all.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._workers: dict[str | None, Worker] = {}

    @classmethod
    def within(cls, session: Path) -> Store:
        """The folder that EDGEML_ZOO names, else one of this test session."""
        folder = Path(os.environ.get("EDGEML_ZOO") or session / "zoo").absolute()
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder)

    def built(self, entry: Entry) -> Built:
        """The model, built now where it is not there yet.

        Raises:
            MissingExtraError: its framework is not installed.
        """
        folder = self._folder / f"{entry.name}-{_digest(entry)}"
        built = Built(entry, folder / entry.file, folder / f"{entry.name}.npz")
        if not folder.is_dir():
            unfinished = folder.with_suffix(f".{os.getpid()}")
            unfinished.mkdir()
            try:
                path = self._call(entry, entry.builder, folder=str(unfinished))
                assert Path(path) == unfinished / entry.file
                self._run(Built(entry, unfinished / entry.file, unfinished / built.data.name))
                unfinished.rename(folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
        return built

    def measured_naive(self, entry: Entry, target: Path, *, per_channel: bool) -> list[float]:
        """How good a model is as converted to int8 by TFLiteConverter alone.

        Args:
            entry: the model.
            target: .npz that its outputs are written to.
            per_channel: whether each channel of a weight has a scale of its own.
        """
        built = self.built(entry)
        files = {"model": str(built.model), "data": str(built.data), "target": str(target)}
        self._call(entry, "tests.zoo.original:run_naive", **files, per_channel=per_channel)
        return built.measured(target)

    def close(self) -> None:
        """End the processes."""
        while self._workers:
            self._workers.popitem()[1].close()

    def _run(self, built: Built) -> None:
        files = {"model": str(built.model), "data": str(built.data), "target": str(built.outputs)}
        self._call(built.entry, built.entry.runner, **files)

    def _call(self, entry: Entry, function: str, **arguments: Any) -> Any:
        name = entry.environment
        if name not in self._workers:
            self._workers[name] = Worker() if name is None else environments.worker(name, ["tests"])
        return self._workers[name].call(function, timeout_s=TIMEOUT_S, **arguments)


def _digest(entry: Entry) -> str:
    """Of all that decides what the builder builds."""
    here = Path(__file__).parent
    sources = [here / f"{name}.py" for name in (entry.family, "data", "training", "original")]
    if entry.environment is not None:
        sources += [here / "foreign.py", here.parent / f"{entry.environment}_models.py"]
    decides = hashlib.sha256(b"".join(source.read_bytes() for source in sources))
    decides.update(f"{PUBLIC.is_dir()} {version('tensorflow')}".encode())
    return decides.hexdigest()[:12]
