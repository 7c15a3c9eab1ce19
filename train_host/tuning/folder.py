"""The folder of a search: what was asked, the journal, and the models that no other one beats."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from edge_sdk.closing import Closing
from edge_sdk.errors import ConfigError, DeviceError, EdgeError
from edge_sdk.modelfile import write_atomic

JOURNAL, ASKED, FOUND, TRIALS = "journal.log", "study.json", "found.json", "trials"
#: What `edgeml train --config` makes a trial from, anew and on the standard split.
CONFIG = "config.json"
#: Where trials work; whatever is left there was given up.
_RUNNING, _LOCK = ".running", ".lock"


class Folder(Closing):
    """Where a search keeps everything; the same search finds it again.

    Args:
        path: made where there is none.
        asked: what makes it the same search.
        again: throw away an earlier one.

    Raises:
        ConfigError: it holds another search, or something else.
        DeviceError: it cannot be written, or a search goes on in it.
    """

    def __init__(self, path: Path, asked: Mapping[str, Any], *, again: bool = False) -> None:
        self.path = path
        self.journal, self.running = path / JOURNAL, path / _RUNNING
        try:
            path.mkdir(parents=True, exist_ok=True)
            if not (path / ASKED).exists() and {each.name for each in path.iterdir()} - {_LOCK}:
                raise ConfigError(
                    f"{path}: exists", expected="no folder, or that of a search", found="something else"
                )
            self._lock = _locked(path)
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            self._begin(asked, again=again)
        except BaseException:
            os.close(self._lock)
            raise

    def _begin(self, asked: Mapping[str, Any], *, again: bool) -> None:
        path, known = self.path, self.path / ASKED
        try:
            if known.exists() and not again:
                _check_same(path, json.loads(known.read_text(encoding="utf-8")), asked)
            for left in path.glob(f"{JOURNAL}.lock*"):
                left.unlink()  # of a process that was killed; this one alone has the folder
            if again:
                for old in (self.journal, path / FOUND):
                    old.unlink(missing_ok=True)
                shutil.rmtree(path / TRIALS, ignore_errors=True)
            write_atomic(known, json.dumps(asked, indent=1, ensure_ascii=False).encode() + b"\n")
            shutil.rmtree(self.running, ignore_errors=True)
            self.running.mkdir()
        except (OSError, ValueError) as error:
            raise _unusable(path, error) from error

    def place(self, number: int, name: str) -> Path:
        """Where a file of a trial on the front lies."""
        return self.path / TRIALS / str(number) / name

    def keep(self, number: int, files: Mapping[str, bytes]) -> None:
        """Put the files of a trial there.

        Args:
            number: of the trial.
            files: by name.

        Raises:
            DeviceError: they cannot be written.
        """
        try:
            for name, content in files.items():
                path = self.place(number, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(path, content)
        except OSError as error:
            raise DeviceError(f"{self.path}: cannot be written", found=error.strerror or error) from error

    def tidy(self, numbers: Collection[int]) -> None:
        """Keep the files of these trials alone."""
        kept = {str(number) for number in numbers}
        for folder in (self.path / TRIALS).glob("*"):
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Remove what trials that were given up have left, and let others in."""
        shutil.rmtree(self.running, ignore_errors=True)
        os.close(self._lock)


def _unusable(path: Path, error: Exception) -> EdgeError:
    return error if isinstance(error, EdgeError) else DeviceError(f"{path}: cannot be used", found=error)


def _locked(path: Path) -> int:
    """The file that is open as long as a search goes on; the system lets go of it when the process dies."""
    descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DeviceError(
            f"{path}: a search goes on in it", remedy="wait until it has ended, or give another -o"
        ) from None
    return descriptor


def _check_same(path: Path, known: dict[str, Any], asked: Mapping[str, Any]) -> None:
    for key, value in json.loads(json.dumps(asked)).items():
        before = known.get(key)
        if before == value:
            continue
        name, expected, found = _difference(key, before, value)
        raise ConfigError(
            f"{path}: another search, its {name} differs",
            expected=expected,
            found=found,
            remedy="give another folder, or --force to begin anew",
        )


def _difference(name: str, before: Any, now: Any) -> tuple[str, Any, Any]:
    """The first place in which two differ."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*now, *before]:
            if before.get(key) != now.get(key):
                return _difference(f"{name}.{key}", before.get(key), now.get(key))
    return name, _words(before), _words(now)


def _words(value: Any) -> str:
    if value is None:
        return "none"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:19] + "…" if text.startswith("sha256:") else text
