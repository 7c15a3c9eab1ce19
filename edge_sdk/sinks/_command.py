"""A command that is fed and listened to without a thread, and that never hangs whoever runs it."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import select
import selectors
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from edge_sdk.closing import Closing

_CHUNK_BYTES = 65536
#: What is kept of standard error, and the longest answer.
_KEPT_BYTES = 4096
_LONGEST_PAUSE_S = 0.02
_KILL_S = 1.0


class Command(Closing):
    """One process, in a session of its own.

    What it prints on standard error is read, so that it never waits for a reader, and its end is kept;
    standard output goes nowhere unless `answers`. Processes that it leaves behind are its own business,
    unless it is killed: then they are too.

    Args:
        words: the command and its arguments.
        env: all of its environment.
        folder: where it runs; empty: here.
        answers: standard output is read.
        grace_s: how long it may go on after its input has ended when it is closed, s.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self,
        words: Sequence[str],
        env: Mapping[bytes, bytes],
        folder: str = "",
        *,
        answers: bool = False,
        grace_s: float = 0.0,
    ) -> None:
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if answers else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=env,
            cwd=folder or None,
            start_new_session=True,
            bufsize=0,
        )
        self._grace_s = grace_s
        self._unsent, self._last_input = b"", False
        self._heard = {"answers": b"", "errors": b""}
        self._selector = selectors.PollSelector()
        for pipe, name in ((self._process.stdout, "answers"), (self._process.stderr, "errors")):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                self._selector.register(pipe, selectors.EVENT_READ, name)
        os.set_blocking(self._input.fileno(), False)

    @property
    def ended(self) -> bool:
        """Whether it is over; what it left running does not count."""
        return self._process.poll() is not None

    @property
    def code(self) -> int:
        """Its exit code, once it has ended; the negative number of the signal that killed it."""
        return self._process.wait()

    @property
    def has_read_all(self) -> bool:
        """Whether it has taken everything that was sent out of the pipe."""
        if self._unsent or self._input.closed:
            return False
        waiting = array.array("i", [0])
        fcntl.ioctl(self._input.fileno(), termios.FIONREAD, waiting)
        return not waiting[0]

    @property
    def deaf(self) -> bool:
        """Whether it, or we, closed its input."""
        if self._input.closed:
            return True
        end = select.poll()
        end.register(self._input, 0)  # an error is told unasked
        return bool(end.poll(0))

    @property
    def last_words(self) -> str:
        """The last line on standard error, or nothing."""
        lines = [line for line in self._heard["errors"].decode(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else ""

    @property
    def has_answered(self) -> bool:
        """Whether there is a whole line on standard output, or one without end."""
        return b"\n" in self._heard["answers"] or len(self._heard["answers"]) >= _KEPT_BYTES

    def answer(self) -> str:
        """The oldest line on standard output, which is there no more."""
        line, _, self._heard["answers"] = self._heard["answers"].partition(b"\n")
        return line.decode(errors="replace").strip()

    def send(self, data: bytes, *, last: bool = False) -> None:
        """Have this on its standard input while `serve` runs; after the `last` its input ends."""
        self._unsent += data
        self._last_input = last
        if not self._input.closed and self._input not in self._selector.get_map():
            self._selector.register(self._input, selectors.EVENT_WRITE)

    def serve(self, until: Callable[[], bool], timeout_s: float) -> bool:
        """Feed it and listen to it until something is so; False when that did not happen in time."""
        deadline, pause_s = time.monotonic() + timeout_s, 0.0005
        while not until():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            self._turn(min(left_s, pause_s))
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        return True

    def kill(self) -> None:
        """End it and what it started, now."""
        if not self.ended:  # the number is not somebody else's yet
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._grace_s = 0.0
        self.close()

    def close(self) -> None:
        """End its input, give it its grace, kill it otherwise; may be called twice."""
        self._hang_up(self._input)
        if not self.serve(lambda: self.ended, self._grace_s):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):  # the kernel holds it: not for us to wait
                self._process.wait(_KILL_S)
        self._turn(0.0)  # its last words
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                self._hang_up(pipe)
        self._selector.close()

    @property
    def _input(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    def _turn(self, timeout_s: float) -> None:
        """Move what can be moved now, or wait a little for it."""
        if not self._selector.get_map():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout_s)
            return
        for key, _ in self._selector.select(timeout_s):
            if key.fileobj is self._input:
                self._feed()
            else:
                self._listen(key.fileobj, key.data)  # type: ignore[arg-type]

    def _feed(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._input.fileno(), self._unsent) :]
        except BlockingIOError:
            return
        except BrokenPipeError:  # it does not want to know; its exit code counts
            self._unsent = b""
            self._hang_up(self._input)
            return
        if not self._unsent:
            self._selector.unregister(self._input)
            if self._last_input:
                self._input.close()

    def _listen(self, pipe: IO[bytes], name: str) -> None:
        try:
            heard = os.read(pipe.fileno(), _CHUNK_BYTES)
        except BlockingIOError:
            return
        if not heard:
            self._hang_up(pipe)
        elif name == "errors":
            self._heard[name] = (self._heard[name] + heard)[-_KEPT_BYTES:]
        else:
            self._heard[name] = (self._heard[name] + heard)[:_KEPT_BYTES]

    def _hang_up(self, pipe: IO[bytes]) -> None:
        if not pipe.closed:
            if pipe in self._selector.get_map():
                self._selector.unregister(pipe)
            pipe.close()
