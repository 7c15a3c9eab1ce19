"""A worker on another machine, over its connection: functions of edge_sdk run there as in a child process.

edge_sdk itself travels: nothing of edgeml has to be installed there, and versions cannot differ.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import select
import shlex
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edge_sdk import child, landing, ssh
from edge_sdk.child import Limit
from edge_sdk.errors import ChildError, DeviceError, EdgeError

#: For the worker to remove its files when it is told to end, s.
_END_S = 2.0
_TOO_OLD = ".".join(map(str, landing.PYTHON))


class RemoteWorker(child.Worker):
    """One process on another machine for several calls; once it has ended, it stays so: its state is lost.

    Args:
        connection: to the machine; stays open when the worker ends.
        python: program there; ``~`` is the home folder there.
        packages: folder there in which Python looks for packages before it looks elsewhere; empty for none.
        start_s: for it to start, s.
    """

    def __init__(
        self,
        connection: ssh.Connection,
        python: str = "python3",
        *,
        packages: str = "",
        start_s: float = 60.0,
    ) -> None:
        super().__init__()
        self._connection, self._program, self._start_s = connection, python, start_s
        self._folder = packages
        self._where = connection.address
        self._token = secrets.token_hex(16)
        self._archive = _sources()
        source = Path(landing.__file__).read_text(encoding="utf-8")
        self._landing = f"{source}\n\nland({self._token!r}, {len(self._archive)})\n".encode()
        self._ended = False
        self._facts: dict[str, Any] = {}

    def start(self) -> Mapping[str, Any]:
        """Start it now, instead of at the first call.

        Returns:
            Facts about the machine: ``python``, ``executable``, ``machine``, ``bits`` (32 or 64).

        Raises:
            DeviceError: the connection failed, or what edge_sdk needs is not there.
            ChildTimeoutError: it took too long.
        """
        with self._named():
            self._start()
        return self._facts

    def call(
        self,
        function: str,
        /,
        *,
        timeout_s: float,
        on_progress: child.Progress | None = None,
        **arguments: Any,
    ) -> Any:
        """As `child.call`; raises DeviceError where the connection is lost."""
        with self._named():
            return super().call(function, timeout_s=timeout_s, on_progress=on_progress, **arguments)

    def close(self) -> None:
        """End it, and wait a little until it has tidied up there."""
        process = self._process
        if process is not None and process.stdin is not None and process.stdout is not None:
            self._ended = True
            limit, out = Limit("", _END_S), process.stdout.fileno()
            with contextlib.suppress(OSError):
                process.stdin.close()
                while limit.left_s and select.select([out], [], [], limit.left_s)[0]:
                    if not os.read(out, 1 << 16):
                        break
        super().close()

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except ChildError as error:
            raise error.within(self._where) from error

    @property
    def ended(self) -> bool:
        """Whether it died or was ended."""
        return self._ended

    def _launch(self) -> tuple[list[str], dict[str, str]]:
        # Words that every login shell takes alike.
        start = f"import sys; exec(sys.stdin.buffer.read({len(self._landing)}))"
        home, python = "~/" * self._program.startswith("~/"), self._program.removeprefix("~/")
        path = f"env {shlex.quote(f'PYTHONPATH={self._folder}')} " if self._folder else ""
        return self._connection.command(f"{path}{home}{shlex.quote(python)} -c '{start}'"), ssh.environment()

    def _start(self) -> subprocess.Popen[bytes]:
        if self._process is not None:
            return self._process
        if self._ended:
            raise DeviceError(f"{self._where}: the worker has ended", remedy="load the model again")
        process, limit = super()._start(), Limit(f"the start of {self._program}", self._start_s)
        try:
            self._write(process, self._landing + self._archive, limit)
            line = b""
            while not line.startswith(self._token.encode()):  # what a login shell prints comes first
                line = super()._read_line(process, limit)
            self._facts = json.loads(line[len(self._token) :])
            self._check()
        except BaseException:
            self.close()
            raise
        return process

    def _check(self) -> None:
        found = f"Python {self._facts['python']} ({self._facts['executable']})"
        if tuple(map(int, self._facts["python"].split(".")[:2])) < landing.PYTHON:
            raise DeviceError(
                f"{self._where}: Python is too old",
                expected=f"{_TOO_OLD} or newer, as Raspberry Pi OS has since bookworm",
                found=found,
                remedy="name another one that is there: ?python=/path/to/python",
            )
        if self._facts["missing"]:
            raise self.lacks(self._facts["missing"][0])

    def lacks(self, package: str) -> DeviceError:
        """The error for a package that is not there, with what to install."""
        packages, query = "ai-edge-litert numpy", "python=~/edgeml/bin/python"
        if self._facts.get("bits") == 32:  # LiteRT has no wheel for it
            packages, query = "tflite-runtime 'numpy<2'", f"{query}&runtime=tflite_runtime"
        return DeviceError(
            f"{self._where}: {package} is not installed",
            found=f"Python {self._facts['python']} ({self._facts['executable']}) without it",
            remedy=f"install there: python3 -m venv ~/edgeml && ~/edgeml/bin/pip install {packages}; "
            f"then ssh://{self._where}?{query}",
        )

    def _read_line(self, process: subprocess.Popen[bytes], limit: Limit) -> bytes:
        line = b""
        while not line.startswith(b"{"):  # something that a login shell left in the background may print too
            line = super()._read_line(process, limit)
        return line

    def _death(self, task: str, status: int) -> EdgeError:
        words = self._last_words()
        if status == ssh.CONNECTION_FAILED and self._facts:  # the last words are the worker's
            remedy = "is it still switched on and in this network?"
            return DeviceError(f"{self._where}: the connection was lost", remedy=remedy)
        if status == ssh.CONNECTION_FAILED:
            return self._connection.failure(words or "")
        if status in (126, 127):
            return DeviceError(
                f"{self._where}: no Python {self._program!r} there",
                found=words,
                remedy=f"install python3 ({_TOO_OLD} or newer), or name one: ?python=/path/to/python",
            )
        status = 128 - status if status > 128 else status
        after = f" after: {words}" if words else ""
        return ChildError(f"{task} died", found=f"{child.cause(status)}{after}")


def _sources() -> bytes:
    """All of edge_sdk as a zip archive, the same bytes every time."""
    root, archive = Path(__file__).parent, io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(root.rglob("*.py")):
            info = zipfile.ZipInfo(path.relative_to(root.parent).as_posix())
            info.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(info, path.read_bytes())
    return archive.getvalue()
