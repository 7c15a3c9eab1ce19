"""A dataset folder that grows: recordings are added one by one, each whole or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from edge_sdk import recordings as files
from edge_sdk.dataset.facts import FACTS, RATE_TOLERANCE, Facts, read_facts
from edge_sdk.dataset.listing import RECORDINGS
from edge_sdk.dataset.manifest import MANIFEST, Recording, read_manifest, write_manifest
from edge_sdk.dataset.naming import check_name
from edge_sdk.errors import DatasetError, DeviceError, Fatal, Retry, first_of
from edge_sdk.modelfile import write_atomic
from edge_sdk.recordings import Signal

#: Of a file that is being written; `listing` looks at nothing that begins with a dot.
WORK = ".recording"
#: A disk that is full may be freed; these nobody mends but a person.
_FOR_GOOD = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}


class Collection:
    """A dataset folder to add to.

    Args:
        folder: made where there is none. One that is there keeps its facts, and what is added must fit them.
        facts: of a new folder; of an old one its channels and its rate are held against them.

    Attributes:
        facts: of the folder now.

    Raises:
        DatasetError: the folder holds something else, or another kind of recordings.
        DeviceError: it cannot be made or written.
    """

    def __init__(self, folder: Path, facts: Facts) -> None:
        self.folder = folder
        try:
            (folder / RECORDINGS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise failed(folder, error) from error
        with self._locked():
            if not (folder / FACTS).exists():
                _check_empty(folder)
                write_atomic(folder / FACTS, facts.to_toml().encode())
        self.facts = read_facts(folder / FACTS)
        _check_alike(folder, self.facts, facts)

    def add(
        self,
        signal: Signal,
        label: str | None,
        group: str,
        name: str,
        *,
        suffix: str = ".npz",
        again: bool = False,
    ) -> str:
        """Write one recording.

        Args:
            signal: its samples.
            label: what it shows; None where nobody has said so yet.
            group: who or what was recorded.
            name: what tells it from the others of its label and group; made unlike where it is not.
            suffix: the kind of file.
            again: one of that name is the same recording, which is written once more.

        Returns:
            The file, relative to the folder.

        Raises:
            DatasetError: a label or group that no file can have.
            DeviceError: it cannot be written; nothing is left of it.
        """
        for part in filter(None, (label, group)):
            check_name(part)
        temporary = self.folder / WORK / f"{os.getpid()}{suffix}"
        try:
            with self._locked():
                if label is not None:
                    self._know(label)
                temporary.parent.mkdir(exist_ok=True)
                files.write(temporary, signal)
                with temporary.open("rb") as written:
                    os.fsync(written.fileno())
                path = self._place(label, group, name, suffix, again=again)
                path.parent.mkdir(exist_ok=True)
                temporary.replace(path)
                _sync(path.parent)
                file = path.relative_to(self.folder).as_posix()
                self._list(file, Recording(file, label, group))
        except OSError as error:
            raise failed(self.folder, error) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        return file

    def remove(self, file: str) -> None:
        """Take one recording out again."""
        try:
            with self._locked():
                (self.folder / file).unlink(missing_ok=True)
                self._list(file)
        except OSError as error:
            raise failed(self.folder, error) from error

    def close(self) -> None:
        """Leave nothing of ours beside the recordings."""
        with contextlib.suppress(OSError):  # another recorder may have its takes there
            (self.folder / WORK).rmdir()

    def _know(self, label: str) -> None:
        """A folder that spells its labels out learns a new one; its place is the last, as scores have one."""
        self.facts = read_facts(self.folder / FACTS)
        if self.facts.labels and label not in self.facts.labels:
            self.facts = dataclasses.replace(self.facts, labels=(*self.facts.labels, label))
            write_atomic(self.folder / FACTS, self.facts.to_toml().encode())

    def _place(self, label: str | None, group: str, name: str, suffix: str, *, again: bool) -> Path:
        place = self.folder / RECORDINGS / (label or "")
        path, number = place / f"{group}_{name}{suffix}", 1
        while path.exists() and not again:  # a clock that was set back says the same time twice
            number += 1
            path = place / f"{group}_{name}-{number}{suffix}"
        return path

    def _list(self, file: str, *now: Recording) -> None:
        """Say what the recordings of a file are now, where there is a manifest: it alone says so."""
        manifest, targets = self.folder / MANIFEST, self.facts.target_names
        if manifest.exists():
            others = [each for each in read_manifest(manifest, targets) if each.file != file]
            write_manifest(manifest, [*others, *now], targets)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time: two may record into one folder."""
        try:
            lock = os.open(self.folder / RECORDINGS, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise failed(self.folder, error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def failed(folder: Path, error: OSError) -> DeviceError:
    """What a disk said, as an error that says whether it may pass."""
    if isinstance(error, DeviceError):
        return error
    kind = Fatal if error.errno in _FOR_GOOD else Retry
    remedy = "free some space" if error.errno == errno.ENOSPC else "see that the folder can be written"
    return kind(f"{folder}: cannot be written", found=error.strerror or str(error), remedy=remedy)


def _check_empty(folder: Path) -> None:
    foreign = [path.name for path in folder.iterdir() if path.name not in (WORK, RECORDINGS)]
    if foreign or any((folder / RECORDINGS).iterdir()):
        raise DatasetError(
            f"{folder}: no {FACTS}",
            expected="a dataset folder, an empty one or none",
            found=first_of(sorted(foreign)) or RECORDINGS,
            remedy="give another folder",
        )


def _check_alike(folder: Path, known: Facts, new: Facts) -> None:
    """See that what comes is of the kind of what is there."""
    names = [tuple(channel.name for channel in each.channels) for each in (known, new)]
    if names[0] != names[1]:
        raise DatasetError(
            f"{folder}: channels",
            expected=", ".join(names[0]),
            found=", ".join(names[1]),
            remedy="record them into a folder of their own, or name them with --channels",
        )
    if known.rate_hz and new.rate_hz and abs(new.rate_hz / known.rate_hz - 1) > RATE_TOLERANCE:
        raise DatasetError(
            f"{folder}: rate",
            expected=f"{known.rate_hz:g} Hz",
            found=f"{new.rate_hz:g} Hz",
            remedy="record into a folder of its own, or set the sensor's rate",
        )


def _sync(folder: Path) -> None:
    """A new file survives a power cut only when its folder's entry does."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
