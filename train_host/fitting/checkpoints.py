"""Checkpoints of a training that may be killed at any moment: files that are whole or not there.

A file is an .npz, whose checksums tell a damaged one; the older of the two that are kept is taken then. Its
name says which run wrote it, which phase of it, and after how many steps. Nothing is unpickled.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import DeviceError
from edge_sdk.modelfile import write_atomic

#: So many of a phase are kept: one may turn out to be damaged.
KEPT = 2
#: At the end of an epoch one is due as soon as writing costs no more than this share of the time.
_SHARE = 0.03
_FACTS = "facts"


@dataclass(frozen=True)
class Checkpoint:
    """What a training goes on from.

    Attributes:
        facts: JSON-able; under ``identity`` what must be the same when it goes on.
        arrays: by name.
    """

    facts: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    def to_bytes(self) -> bytes:
        """The file."""
        written = io.BytesIO()
        facts = np.frombuffer(json.dumps(self.facts).encode(), np.uint8)
        np.savez(written, allow_pickle=False, **{_FACTS: facts}, **self.arrays)
        return written.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Checkpoint:
        """The checkpoint that `to_bytes` wrote."""
        with np.load(io.BytesIO(content), allow_pickle=False) as members:
            facts = json.loads(members[_FACTS].tobytes())
            return cls(facts, {name: members[name] for name in members.files if name != _FACTS})


class Checkpoints:
    """Those of one phase of one run.

    Args:
        folder: where the files lie, of all phases; made when the first is written.
        identity: what decides the outcome: config, dataset, versions.
        run: names the run; a new one gets a later number than the one before.
        phase: a run may fit several times.
        every_s: within an epoch one is written after so many seconds.
    """

    def __init__(
        self, folder: Path, identity: Mapping[str, Any], run: int, phase: str = "fit", every_s: float = 30.0
    ) -> None:
        self.folder, self.identity, self.run, self.phase = folder, dict(identity), run, phase
        self.every_s = every_s
        self._written_s: float | None = None
        self._cost_s = 0.0
        self._began_s = time.monotonic()

    def of(self, phase: str) -> Checkpoints:
        """Those of another phase of the same run."""
        return Checkpoints(self.folder, self.identity, self.run, phase, self.every_s)

    def due(self, *, epoch_ended: bool) -> bool:
        """Whether it is time to write one; the first epoch always ends with one."""
        if self._written_s is None:
            return epoch_ended or time.monotonic() - self._began_s >= self.every_s
        since_s = time.monotonic() - self._written_s
        return since_s >= (self._cost_s / _SHARE if epoch_ended else self.every_s)

    def write(self, steps: int, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write one, and remove what it makes superfluous: older ones, those of runs that were given up.

        Args:
            steps: done since the beginning of the phase.
            facts: JSON-able.
            arrays: by name.

        Raises:
            DeviceError: the disk is full, or the folder cannot be written.
        """
        started_s = time.monotonic()
        content = Checkpoint({**facts, "identity": self.identity}, dict(arrays)).to_bytes()
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise DeviceError(f"cannot write {self.folder}", found=error.strerror or error) from error
        write_atomic(self.folder / f"{self.run:020d}.{self.phase}.{steps:012d}.npz", content)
        for path in self.folder.iterdir():
            if not path.name.startswith(f"{self.run:020d}."):
                path.unlink()
        for path in self._mine()[KEPT:]:
            path.unlink()
        self._written_s = time.monotonic()
        self._cost_s = self._written_s - started_s

    def newest(self) -> Checkpoint | None:
        """The newest of this phase that can be read; None where there is none."""
        return next((found for path in self._mine() if (found := _read(path)) is not None), None)

    def _mine(self) -> list[Path]:
        return sorted(self.folder.glob(f"{self.run:020d}.{self.phase}.*.npz"), reverse=True)


@dataclass(frozen=True)
class Unfinished:
    """A run that was interrupted.

    Attributes:
        run: its number.
        facts: of its newest checkpoint.
    """

    run: int
    facts: dict[str, Any]


def unfinished(folder: Path) -> Unfinished | None:
    """The run whose checkpoints lie in a folder; None where there is none that can be read."""
    for path in sorted(
        folder.glob("*.npz"), key=lambda path: (path.name.split(".")[0], path.stat().st_mtime_ns)
    )[::-1]:
        if (found := _read(path, facts_only=True)) is not None:
            return Unfinished(int(path.name.split(".")[0]), found.facts)
    return None


def differences(
    before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = ""
) -> list[tuple[str, Any, Any]]:
    """What is not the same in two identities: dotted names with both values.

    >>> differences({"config": {"seed": 1}}, {"config": {"seed": 2}})
    [('config.seed', 1, 2)]
    """
    found: list[tuple[str, Any, Any]] = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{prefix}{key}.")
        elif old != new:
            found.append((prefix + key, old, new))
    return found


def _read(path: Path, *, facts_only: bool = False) -> Checkpoint | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as members:
            facts = json.loads(members[_FACTS].tobytes())
            wanted = [] if facts_only else [name for name in members.files if name != _FACTS]
            return Checkpoint(facts, {name: members[name] for name in wanted})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
