"""Runs a function in another process: untrusted models, converters that crash, print or leak.

Arguments and results are JSON and files travel as paths, so that the same worker can serve another machine
over a byte stream. Standard output belongs to the protocol; whatever the function prints goes to the log.
The process may run another interpreter, whose packages differ from ours.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from edge_sdk import errors
from edge_sdk.closing import Closing
from edge_sdk.errors import ChildError, ChildTimeoutError, EdgeError

Progress = Callable[[dict[str, Any]], None]
_SERVE = "from edge_sdk.child import serve; serve()"
#: Our packages may lie in a site-packages folder whose other packages are of the wrong version for the other
#: interpreter. So it finds these few by name, each in its folder, and everything else where it always does.
_ELSEWHERE = f"""
import importlib.util, json, os, sys
folders = json.loads(sys.argv[1])
class Ours:
    def find_spec(name, path=None, target=None):
        if name not in folders:
            return None
        where = dict(submodule_search_locations=[folders[name]])
        source = os.path.join(folders[name], "__init__.py")
        if os.path.exists(source):
            return importlib.util.spec_from_file_location(name, source, **where)
        spec = importlib.util.spec_from_loader(name, None, is_package=True)
        spec.submodule_search_locations = where["submodule_search_locations"]
        return spec
sys.meta_path.insert(0, Ours)
{_SERVE}
"""


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


class Limit:
    """Until when a task must be done.

    Args:
        task: named in the error.
        timeout_s: from now, s.
    """

    def __init__(self, task: str, timeout_s: float) -> None:
        self.task, self._timeout_s, self._end_s = task, timeout_s, time.monotonic() + timeout_s

    @property
    def left_s(self) -> float:
        """What is left of the time; 0 when it is over."""
        return max(0.0, self._end_s - time.monotonic())

    def exceeded(self, last_words: str | None) -> ChildTimeoutError:
        """The error when it is over."""
        expected = f"an answer within {self._timeout_s:g} s"
        return ChildTimeoutError(f"{self.task} did not finish", expected=expected, found=last_words)


class Worker(Closing):
    """One child process for several calls; a new one is started after it died or was killed.

    Args:
        python: path of another interpreter, isolated from this one's packages; None for this one.
        packages: our packages that the other interpreter finds too, besides edge_sdk.
        memory_bytes: what it may allocate; past it the function gets a MemoryError or the process dies, and
            nothing else on the machine. None for no limit.
    """

    def __init__(
        self, python: str | None = None, packages: Sequence[str] = (), *, memory_bytes: int | None = None
    ) -> None:
        self._python, self._packages, self._memory_bytes = python, packages, memory_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._log: BinaryIO | None = None
        self._scratch: str | None = None
        self._unread = b""

    def call(
        self, function: str, /, *, timeout_s: float, on_progress: Progress | None = None, **arguments: Any
    ) -> Any:
        """As the function `call`."""
        process = self._start()
        limit = Limit(function, timeout_s)
        try:
            request = json.dumps({"function": function, "arguments": arguments}).encode() + b"\n"
            self._write(process, request, limit)
            while True:
                answer = self._read_answer(process, limit)
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
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None
        self._unread = b""

    def _start(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
            command, environment = self._launch()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                start_new_session=True,
                env=environment,
            )
            if self._memory_bytes is not None:
                _, most = resource.prlimit(self._process.pid, resource.RLIMIT_DATA)
                limit = self._memory_bytes if most < 0 else min(self._memory_bytes, most)
                resource.prlimit(self._process.pid, resource.RLIMIT_DATA, (limit, most))
        return self._process

    def _launch(self) -> tuple[list[str], dict[str, str]]:
        """Command line and environment variables of the process."""
        # It is killed at its end, and TensorFlow would leave a file behind each time.
        self._scratch = tempfile.mkdtemp(prefix="edgeml-")
        own = {"TMPDIR": self._scratch}
        if self._python is None:
            path = os.pathsep.join(path for path in sys.path if path)
            return [sys.executable, "-c", _SERVE], {**os.environ, **own, "PYTHONPATH": path}
        folders = json.dumps({name: _folder_of(name) for name in ("edge_sdk", *self._packages)})
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
        return [self._python, "-I", "-c", _ELSEWHERE, folders], {**environment, **own}

    def _write(self, process: subprocess.Popen[bytes], data: bytes, limit: Limit) -> None:
        """Hand over bytes; that the process died is left to `_read_line` to report."""
        assert process.stdin is not None
        into, left = process.stdin.fileno(), memoryview(data)
        os.set_blocking(into, False)  # a process that does not read must not hold up the caller for good
        with contextlib.suppress(BrokenPipeError):
            while left:
                if not select.select([], [into], [], limit.left_s)[1]:
                    raise limit.exceeded(self._last_words())
                left = left[os.write(into, left) :]

    def _read_answer(self, process: subprocess.Popen[bytes], limit: Limit) -> dict[str, Any]:
        line = self._read_line(process, limit)
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError as error:
            raise ChildError(f"{limit.task}: not an answer", found=repr(line[:80])) from error
        return answer

    def _read_line(self, process: subprocess.Popen[bytes], limit: Limit) -> bytes:
        assert process.stdout is not None
        out = process.stdout.fileno()
        while b"\n" not in self._unread:
            if not select.select([out], [], [], limit.left_s)[0]:
                raise limit.exceeded(self._last_words())
            chunk = os.read(out, 1 << 16)
            if not chunk:
                raise self._death(limit.task, process.wait())
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _death(self, task: str, status: int) -> EdgeError:
        """Of a process that closed its output: why it ended."""
        return ChildError(f"{task} died", found=f"{cause(status)}{self._last_words(' after: ')}")

    def _last_words(self, before: str = "") -> str | None:
        """The last line of the process's log."""
        if self._log is None:
            return None
        self._log.seek(max(self._log.seek(0, os.SEEK_END) - 2000, 0))
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return before + lines[-1].strip()[:300] if lines else ("" if before else None)


def _folder_of(package: str) -> str:
    import importlib.util  # only another interpreter pays for these
    from pathlib import Path

    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"no package {package!r}", name=package)
    return str(Path(next(iter(spec.submodule_search_locations))).absolute())


def cause(status: int) -> str:
    """A process's end in words; negative for a signal."""
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
