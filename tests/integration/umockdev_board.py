"""A virtual board: devices in /sys and /dev for child processes, by Debian's umockdev."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PRELOAD = "libumockdev-preload.so.0"


class Board:
    """A testbed, held open by a process of its own; gone when this is closed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._server = subprocess.Popen(
            ["umockdev-wrapper", "/usr/bin/python3", str(HERE / "umockdev_server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.root = Path(self("root"))
        #: For child processes that shall see the board.
        self.env = {
            **os.environ,
            "LD_PRELOAD": PRELOAD,
            "UMOCKDEV_DIR": str(self.root),
            "PYTHONPATH": str(HERE.parents[1]),
        }
        self._users: subprocess.Popen[str] | None = None

    def __call__(self, do: str, **facts: Any) -> Any:
        """Ask the server for something; see `Server` in umockdev_server.py."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps({"do": do, **facts}) + "\n")
        self._server.stdin.flush()
        answer = self._server.stdout.readline()
        assert answer, f"the testbed ended at {do!r}"
        return json.loads(answer)

    def connect(self, **request: Any) -> socket.socket:
        """A process on the board that does what is asked; see umockdev_user.py."""
        address = str(self.folder / "users.socket")
        if self._users is None:
            self._users = subprocess.Popen(
                [sys.executable, str(HERE / "umockdev_user.py"), address],
                env={**self.env, "OPENBLAS_NUM_THREADS": "1"},  # it forks
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert self._users.stdout is not None
            assert self._users.stdout.readline() == "ready\n"
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address)
        connection.sendall(json.dumps(request).encode() + b"\n")
        return connection

    def wait(self, condition: Callable[[], object], timeout_s: float = 20.0) -> None:
        """Until something outside is so."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "it did not become so in time"
            time.sleep(0.01)

    def close(self) -> None:
        for process in filter(None, (self._users, self._server)):
            process.communicate(timeout=10)


@contextmanager
def virtual_board() -> Iterator[Board]:
    with tempfile.TemporaryDirectory() as folder:
        board = Board(Path(folder))
        try:
            yield board
        finally:
            board.close()


class User:
    """A process on the board that has a source or a sink open."""

    def __init__(self, board: Board, **request: Any) -> None:
        self._connection = board.connect(**request)
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._collect, daemon=True).start()
        self.pid = int(self.next("process")["pid"])

    def _collect(self) -> None:
        with contextlib.suppress(ConnectionError), self._connection.makefile() as stream:
            for line in stream:
                self._lines.put(json.loads(line))
        self._lines.put(None)

    def next(self, kind: str | None = None, timeout_s: float = 20.0) -> dict[str, Any]:
        """The next thing that it says, or the next of a kind."""
        deadline = time.monotonic() + timeout_s
        while True:
            item = self._lines.get(timeout=max(0.01, deadline - time.monotonic()))
            assert item is not None, f"it ended before {kind or 'anything more'} came"
            if kind in (None, item["kind"]):
                return item

    def tell(self, **command: Any) -> None:
        self._connection.sendall(json.dumps(command).encode() + b"\n")

    def kill(self) -> None:
        """As ``kill -9``; nothing where it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.rest()

    def rest(self) -> list[dict[str, Any]]:
        """What it still says until its end."""
        rest = []
        while (item := self._lines.get(timeout=10)) is not None:
            rest.append(item)
        self._lines.put(None)
        return rest

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
        self._connection.close()


class Reader(User):
    """A source on the board; its items come back one by one."""

    def __init__(self, board: Board, url: str, expect: dict[str, Any] | None = None, **options: Any) -> None:
        super().__init__(board, what="source", url=url, expect=expect, options=options)

    def blocks(self, samples: int) -> list[dict[str, Any]]:
        """Blocks of at least so many samples; anything else fails the test."""
        found: list[dict[str, Any]] = []
        while sum(len(block["samples"]) for block in found) < samples:
            item = self.next()
            assert item["kind"] == "block", item
            found.append(item)
        return found

    def close(self) -> list[dict[str, Any]]:
        """Close the source, as another thread does; what it still said."""
        self._connection.shutdown(socket.SHUT_WR)
        return self.rest()


class Driver(User):
    """A sink on the board; a call has it do something and returns its answer."""

    def __init__(self, board: Board, url: str, **options: Any) -> None:
        super().__init__(board, what="sink", url=url, options=options)
        self.opened = self.next()

    def __call__(self, **command: Any) -> dict[str, Any]:
        self.tell(**command)
        return self.next()
