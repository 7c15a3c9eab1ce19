"""The folder in which a model is made, hidden beside its place: ``.motion.keras.training``.

Files are written in there and moved out when all are complete. Checkpoints lie there until then, so that a
training that was killed can go on. One training at a time works in it: whoever does, and the process that
trains for them, hold a lock that the system lets go of when they die.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from edge_sdk.errors import DeviceError

#: How long a process that was killed may take to be gone, s.
_DYING_S = 5.0


class Workspace:
    """The working folder of one model.

    Args:
        output: the place of the model.

    Raises:
        DeviceError: another training of this model goes on, or the place cannot be written.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.folder = output.parent / f".{output.name}.training"
        self.building = self.folder / "files"
        self.checkpoints = self.folder / "checkpoints"
        self.samples = self.folder / "samples"
        self.lock_path = self.folder / "lock"
        self.stop_path = self.folder / "stop"
        self._done = False

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(exist_ok=True)
            self._lock = _locked(self.lock_path, self.output)
            self._clear()
            self.building.mkdir()
        except DeviceError:
            raise
        except OSError as error:
            raise DeviceError(f"cannot write {self.output}", found=error.strerror or error) from error
        return self

    def publish(self) -> None:
        """Move what was made to its place, the model last; nothing is left to go on from."""
        others = sorted(path for path in self.building.iterdir() if path.name != self.output.name)
        for path in (*others, self.building / self.output.name):
            path.replace(self.output.parent / path.name)
        self._done = True

    def discard(self) -> None:
        """Leave nothing: what was made is in another's hands."""
        self._done = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear()
        if self._done or not any(self.checkpoints.glob("*.npz")):
            shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)

    def _clear(self) -> None:
        """Remove what a killed training may have left, but for what another can go on from."""
        shutil.rmtree(self.building, ignore_errors=True)
        self.stop_path.unlink(missing_ok=True)
        for temporary in self.checkpoints.glob(".*"):
            temporary.unlink(missing_ok=True)


def share(lock_path: Path) -> None:
    """Keep others out of a workspace for as long as this process lives.

    Raises:
        DeviceError: the lock cannot be had.
    """
    descriptor = os.open(lock_path, os.O_RDWR | os.O_CLOEXEC)  # open until the process ends
    fcntl.flock(descriptor, fcntl.LOCK_SH)


def _locked(path: Path, output: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    end_s = time.monotonic() + _DYING_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < end_s:
                time.sleep(0.05)
                continue
            os.close(descriptor)
            raise DeviceError(
                f"{output}: another training of it goes on",
                remedy="wait until it has ended, or give another -o",
            ) from None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                fcntl.flock(descriptor, fcntl.LOCK_SH)  # the process that trains takes it as well
                return descriptor
        os.close(descriptor)  # whoever had it removed the folder when done
        path.parent.mkdir(exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
