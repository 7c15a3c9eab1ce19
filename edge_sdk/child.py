"""Runs a function in another process: untrusted models, converters that crash, print or leak.

Arguments and results are JSON and files travel as paths, so that the same worker can serve another machine
over a byte stream. Standard output belongs to the protocol; whatever the function prints goes to the log.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO

from edge_sdk import errors
from edge_sdk.closing import Closing
from edge_sdk.errors import ChildError, ChildTimeoutError, EdgeError

Progress = Callable[[dict[str, Any]], None]


def call(function: str, /, *, timeout_s: float, on_progress: Progress | None = None, **arguments: Any) -> Any:
    """Call ``module:function`` in a process of its own.

    Args:
        function: such as ``edge_sdk.verify:examine``.
        timeout_s: after this the process is killed, s.
        on_progress: called with what the function passes to `progress`.
        arguments: JSON-able keyword arguments.

    Returns:
        The function's result, through JSON.

    Raises:
        EdgeError: the one that the function raised.
        ChildTimeoutError: it took too long.
        ChildError: the process died, or raised something unexpected.
    """
    with Worker() as worker:
        return worker.call(function, timeout_s=timeout_s, on_progress=on_progress, **arguments)


class Worker(Closing):
    """One child process for several calls; a new one is started after it died or was killed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._log: BinaryIO | None = None
        self._unread = b""

    def call(
        self, function: str, /, *, timeout_s: float, on_progress: Progress | None = None, **arguments: Any
    ) -> Any:
        """As the function `call`."""
        process = self._start()
        assert process.stdin is not None
        deadline = time.monotonic() + timeout_s
        try:
            request = json.dumps({"function": function, "arguments": arguments}).encode() + b"\n"
            with contextlib.suppress(BrokenPipeError):  # its death is reported by the read below
                process.stdin.write(request)
                process.stdin.flush()
            while True:
                answer = json.loads(self._read_line(process, deadline, function, timeout_s))
                if "progress" not in answer:
                    break
                if on_progress is not None:
                    on_progress(answer["progress"])
        except BaseException:
            self.close()
            raise
        if "raised" in answer:
            raise _rebuild(answer["raised"], function)
        return answer["result"]

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
        if self._log is not None:
            self._log.close()
            self._log = None
        self._unread = b""

    def _start(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
            self._process = subprocess.Popen(
                [sys.executable, "-c", "from edge_sdk.child import serve; serve()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            )
        return self._process

    def _read_line(
        self, process: subprocess.Popen[bytes], deadline: float, function: str, timeout_s: float
    ) -> bytes:
        assert process.stdout is not None
        out = process.stdout.fileno()
        while b"\n" not in self._unread:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([out], [], [], left)[0]:
                raise ChildTimeoutError(
                    f"{function} did not finish",
                    expected=f"an answer within {timeout_s:g} s",
                    found=self._last_words(),
                )
            chunk = os.read(out, 1 << 16)
            if not chunk:
                raise ChildError(
                    f"{function} died", found=f"{_cause(process.wait())}{self._last_words(' after: ')}"
                )
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _last_words(self, before: str = "") -> str | None:
        """The last line of the process's log."""
        if self._log is None:
            return None
        self._log.seek(max(self._log.seek(0, os.SEEK_END) - 2000, 0))
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return before + lines[-1].strip()[:300] if lines else ("" if before else None)


def _cause(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"signal {signal.Signals(-status).name}"
    return f"exit status {status}"


def _rebuild(raised: dict[str, Any], function: str) -> EdgeError:
    kind = getattr(errors, raised.pop("class"), None)
    if not (isinstance(kind, type) and issubclass(kind, EdgeError)):
        return ChildError(f"{function} failed", found=raised["error"])
    return kind.rebuilt(raised)


_answers: BinaryIO | None = None


def progress(**facts: Any) -> None:
    """Inside a child: tell the caller how far the work is; does nothing elsewhere."""
    _answer({"progress": facts})


def _answer(message: dict[str, Any]) -> None:
    if _answers is not None:
        _answers.write(json.dumps(message).encode() + b"\n")
        _answers.flush()


def serve() -> None:
    """The child's side: answer requests from standard input until it closes."""
    global _answers
    _answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests: list[bytes] = []
    arrived = threading.Semaphore(0)

    def listen() -> None:
        # In a thread of its own, so that the death of the caller ends this process in mid-work.
        for line in sys.stdin.buffer:
            requests.append(line)
            arrived.release()
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        arrived.acquire()
        _answer(_perform(json.loads(requests.pop(0))))


def _perform(request: dict[str, Any]) -> dict[str, Any]:
    module, _, name = request["function"].partition(":")
    try:
        return {"result": getattr(importlib.import_module(module), name)(**request["arguments"])}
    except EdgeError as error:
        return {"raised": {"class": type(error).__name__, **error.as_dict()}}
    except MemoryError:
        return {"raised": {"class": "", "error": "out of memory"}}
    except Exception as error:  # noqa: BLE001 - whatever it was, the caller hears of it
        import traceback

        traceback.print_exc()
        return {"raised": {"class": "", "error": f"{type(error).__name__}: {errors.one_line(error)}"[:600]}}
