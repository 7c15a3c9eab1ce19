"""A virtual board: devices in /sys and /dev for child processes, by Debian's umockdev."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PRELOAD = "libumockdev-preload.so.0"


class Board:
    """A testbed, held open by a process of its own; gone when this is closed."""

    def __init__(self) -> None:
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
            "PYTHONPATH": str(ROOT),
        }

    def __call__(self, do: str, **facts: Any) -> Any:
        """Ask the server for something; see `Server` in umockdev_server.py."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps({"do": do, **facts}) + "\n")
        self._server.stdin.flush()
        answer = self._server.stdout.readline()
        assert answer, f"the testbed ended at {do!r}"
        return json.loads(answer)

    def close(self) -> None:
        self._server.communicate(timeout=10)


@contextmanager
def virtual_board() -> Iterator[Board]:
    board = Board()
    try:
        yield board
    finally:
        board.close()


class Reader:
    """A source in a child process on the board; its items come back one by one."""

    def __init__(self, board: Board, url: str, expect: dict[str, Any] | None = None, **options: Any) -> None:
        request = json.dumps({"url": url, "options": options, "expect": expect})
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "umockdev_reader.py"), request],
            env=board.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._items: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._items.put(json.loads(line))
        self._items.put(None)

    def next(self, kind: str | None = None, timeout_s: float = 20.0) -> dict[str, Any]:
        """The next item, or the next of a kind."""
        deadline = time.monotonic() + timeout_s
        while True:
            item = self._items.get(timeout=max(0.01, deadline - time.monotonic()))
            assert item is not None, f"it ended before {kind or 'anything more'} came"
            if kind in (None, item["kind"]):
                return item

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
        assert self.process.stdin is not None
        self.process.stdin.close()
        rest = []
        while (item := self._items.get(timeout=10)) is not None:
            rest.append(item)
        self.process.wait(timeout=10)
        return rest

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait(timeout=10)
        for end in (self.process.stdin, self.process.stdout):
            if end is not None:
                end.close()
