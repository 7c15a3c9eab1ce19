"""What systemd is told while a pipeline runs, so that it restarts one that hangs and leaves one that waits.

Source: sd_notify(3), sd_watchdog_enabled(3).
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, MutableMapping

from edge_sdk.closing import Closing
from edge_sdk.errors import one_line, printable
from edge_sdk.snapshot import Snapshot
from edge_sdk.status import sentence

_LOG = logging.getLogger("edgeml")

#: How long a start waits for every source and sink before the service counts as started without them, s.
PATIENCE_S = 20.0
#: How often a pipeline is looked at: while it starts or stops, and at least, s.
_EAGER_S, _CALM_S = 0.2, 5.0
#: Looks within one WatchdogSec: one that comes late, or that sees a slow invoke, costs nothing.
_LOOKS = 4
#: How much longer a start or a stop may take with each step that it makes, s.
_EXTENSION_S = 30.0
_STATUS_LONGEST = 300


class Notifier(Closing):
    """Speaks to the service manager that started this process; says nothing where none did.

    ``READY=1`` is sent once a run's every part was opened, or after 20 s without, because a sensor that is
    unplugged at boot is no reason to fail. ``WATCHDOG=1`` is sent only when `Snapshot.progress` has changed
    since the last look: a model's thread that hangs gets the process killed and started again, a silent
    sensor does not. While a run starts or drains, each step that it makes extends systemd's deadline for it.

    Args:
        environ: ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` are taken out of it, so that no
            child process speaks for this one.
    """

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        self._address = _address(environ.pop("NOTIFY_SOCKET", ""))
        self.watchdog_s = _watchdog_s(environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", ""))
        self._socket: socket.socket | None = None
        if self._address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._take: Callable[[], Snapshot | None] | None = None
        self._started = self._stopping = False
        self._asked_s = 0.0
        self._progress: int | None = None
        self._said = ""
        self._closed, self._wake = False, threading.Event()
        self._thread = threading.Thread(target=self._watch, name="notify", daemon=True)

    @property
    def listens(self) -> bool:
        """Whether a service manager wants to know."""
        return self._socket is not None

    def watch(self, take: Callable[[], Snapshot | None]) -> None:
        """Look at a run from now on, from a thread of its own; called again, at another one.

        Args:
            take: its state now; None while there is none.
        """
        self._take, self._asked_s = take, time.monotonic()
        if self.listens and self._thread.ident is None:
            self._thread.start()

    def extend(self, seconds: float, doing: str = "") -> None:
        """Ask for more time: something long begins, such as the first verification of a model."""
        status = [f"STATUS={_status(doing)}"] if doing else []
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}", *status)

    def reloading(self) -> None:
        """The configuration is read again; `ready` follows."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=reloading")

    def ready(self) -> None:
        """The run has begun, or a reload is over, whether it went well or not."""
        self._started = True
        self._send("READY=1")

    def stopping(self) -> None:
        """The run drains."""
        self._stopping = True
        self._wake.set()
        self._send("STOPPING=1", "STATUS=delivering what was read")

    def close(self) -> None:
        """Look no more; may be called twice."""
        self._closed = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(1.0)  # a snapshot that hangs must not keep the process
        if self._socket is not None:
            self._socket.close()

    def _watch(self) -> None:
        while True:
            self._wake.wait(self._pause_s())
            self._wake.clear()
            if self._closed:
                return
            try:
                if self._take is not None and (now := self._take()) is not None:
                    self._look(now)
            except Exception as error:  # noqa: BLE001 - without a look no WATCHDOG=1: systemd judges
                _LOG.error("the watchdog cannot look: %s: %s", type(error).__name__, one_line(error))

    def _pause_s(self) -> float:
        if self._stopping or not self._started:
            return _EAGER_S
        return _CALM_S if self.watchdog_s is None else min(_CALM_S, self.watchdog_s / _LOOKS)

    def _look(self, now: Snapshot) -> None:
        lines = []
        if now.progress != self._progress:
            self._progress = now.progress
            if self.watchdog_s is not None:
                lines.append("WATCHDOG=1")
            if self._stopping or not self._started:
                lines.append(f"EXTEND_TIMEOUT_USEC={int(_EXTENSION_S * 1e6)}")
        if not self._started and (now.ready or time.monotonic() - self._asked_s > PATIENCE_S):
            self._started = True
            lines.append("READY=1")
        said = "" if self._stopping else _status(sentence(now))
        if said and said != self._said:
            self._said = said
            lines.append(f"STATUS={said}")
        if lines:
            self._send(*lines)

    def _send(self, *lines: str) -> None:
        """One datagram; a manager that does not listen now is not waited for."""
        if self._socket is not None and self._address is not None:
            message = "\n".join(lines).encode("utf-8", "backslashreplace")
            with contextlib.suppress(OSError):
                self._socket.sendto(message, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL, self._address)


def _status(text: str) -> str:
    return printable(text)[:_STATUS_LONGEST]


def _address(text: str) -> bytes | None:
    """A path, or a name in the abstract namespace, which is written with an @."""
    if text[:1] not in ("/", "@"):
        return None
    name = os.fsencode(text)
    return b"\0" + name[1:] if name[:1] == b"@" else name


def _watchdog_s(usec: str, pid: str) -> float | None:
    if not usec.isdecimal() or not int(usec) or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 1e6
