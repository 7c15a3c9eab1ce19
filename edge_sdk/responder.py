"""Answers HTTP GET in one thread, with a handful of connections and a deadline for each.

Not `http.server`, which costs a start 20 ms, a thread a connection, and waits for slow callers for ever.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from edge_sdk.closing import Closing
from edge_sdk.errors import ConfigError, DeviceError, one_line

_CONNECTIONS = 16
#: How long a caller may take from connecting until it has the whole answer, and to hang up then, s.
_PATIENCE_S, _GOODBYE_S = 5.0, 1.0
_REQUEST_BYTES = 8192
#: What the kernel keeps for a caller who is slow to read; it would take megabytes.
_KERNEL_BYTES = 1 << 16
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
TEXT: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a path says: an HTTP status, a media type and a body."""

    status: int
    kind: str
    body: bytes


@dataclass(slots=True, eq=False)
class _Caller:
    """One connection: what came, what is still to be sent, None before there is a reply."""

    socket: socket.socket
    until_s: float
    came: bytes = b""
    left: bytes | None = None


class Responder(Closing):
    """A small HTTP server.

    Args:
        answer: what a path says to whoever accepts these media types; never raises.
        listen: ``HOST:PORT``, or a port, which is loopback's then; port 0 is one that the system picks.
        name: of the thread, and in messages.

    Raises:
        ConfigError: no such address.
        DeviceError: the address is taken or is not this machine's.
    """

    def __init__(self, answer: Callable[[str, str], Answer], listen: str, name: str) -> None:
        family, place = _place(listen, name)
        self._answer = answer
        self._server = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._server.bind(place)
            self._server.listen(_CONNECTIONS)
        except OSError as error:
            self._server.close()
            raise DeviceError(
                f"{name}: cannot listen on {listen}",
                found=error.strerror or one_line(error),
                remedy="give another HOST:PORT",
            ) from error
        self.host, self.port = self._server.getsockname()[:2]
        self._callers: dict[int, _Caller] = {}
        self._bell, self._ear = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        for part in (self._server, self._ear):
            part.setblocking(False)
            self._selector.register(part, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; may be called twice."""
        self._bell.close()
        self._thread.join(_PATIENCE_S)

    def _serve(self) -> None:
        try:
            while self._turn():
                pass
        finally:
            for caller in list(self._callers.values()):
                self._drop(caller)
            self._selector.close()
            for part in (self._server, self._ear):
                part.close()

    def _turn(self) -> bool:
        """Wait for whoever comes first; False when it is time to go."""
        now = time.monotonic()
        waits = [caller.until_s - now for caller in self._callers.values()]
        for key, _ in self._selector.select(max(0.0, min(waits)) if waits else None):
            if key.fileobj is self._ear:
                return False
            if key.fileobj is self._server:
                self._accept()
            elif (caller := self._callers.get(key.fd)) is not None:
                self._attend(caller)
        for caller in list(self._callers.values()):
            if time.monotonic() >= caller.until_s:
                self._drop(caller)
        return True

    def _accept(self) -> None:
        try:
            connection, _ = self._server.accept()
        except OSError:  # gone again, or no descriptor is left: it may come again
            time.sleep(0.01)
            return
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)
        if len(self._callers) >= _CONNECTIONS:  # who has been here longest makes room
            self._drop(min(self._callers.values(), key=lambda caller: caller.until_s))
        self._callers[connection.fileno()] = _Caller(connection, time.monotonic() + _PATIENCE_S)
        self._selector.register(connection, selectors.EVENT_READ)

    def _attend(self, caller: _Caller) -> None:
        """Read what has come or send what is left; whatever goes wrong is the caller's affair."""
        try:
            if caller.left:
                caller.left = caller.left[caller.socket.send(caller.left) :]
                if not caller.left:
                    # Closing with something unread would tear the answer off: the caller hangs up first.
                    caller.socket.shutdown(socket.SHUT_WR)
                    caller.until_s = time.monotonic() + _GOODBYE_S
                    self._selector.modify(caller.socket, selectors.EVENT_READ)
                return
            data = caller.socket.recv(_REQUEST_BYTES)
            if not data:
                self._drop(caller)
            elif caller.left is None:
                caller.came += data
                caller.left = self._reply(caller.came)
                if caller.left is not None:
                    self._selector.modify(caller.socket, selectors.EVENT_WRITE)
        except BlockingIOError:
            pass
        except OSError:
            self._drop(caller)

    def _drop(self, caller: _Caller) -> None:
        self._selector.unregister(caller.socket)
        del self._callers[caller.socket.fileno()]
        caller.socket.close()

    def _reply(self, came: bytes) -> bytes | None:
        """The reply to a request; None before that is complete."""
        head, end, _ = came.partition(b"\r\n\r\n")
        if not end and len(came) < _REQUEST_BYTES:
            return None
        if not end or len(head) >= _REQUEST_BYTES:
            return _http(Answer(431, TEXT, b"expected a request of less than 8 KiB\n"))
        first, *lines = head.decode("latin-1").split("\r\n")
        method, _, rest = first.partition(" ")
        target, _, version = rest.rpartition(" ")
        if not target.startswith("/") or not version.startswith("HTTP/1."):
            return _http(Answer(400, TEXT, b"expected an HTTP/1.1 request\n"))
        if method not in ("GET", "HEAD"):
            return _http(Answer(405, TEXT, b"expected GET or HEAD\n"))
        headers = [line.partition(":") for line in lines]
        accept = ",".join(value for name, _, value in headers if name.lower() == "accept")
        return _http(self._answer(target.partition("?")[0], accept), with_body=method == "GET")


def _http(answer: Answer, *, with_body: bool = True) -> bytes:
    allow = "Allow: GET, HEAD\r\n" if answer.status == 405 else ""
    head = (
        f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}\r\nContent-Type: {answer.kind}\r\n"
        f"Content-Length: {len(answer.body)}\r\n{allow}Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + (answer.body if with_body else b"")


def _place(listen: str, name: str) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    """Where to listen; only what is written out is anything but loopback."""
    host, _, port = listen.rpartition(":")
    try:
        if not port.isdecimal() or int(port) > 65535:
            raise ValueError(f"no port in {listen!r}")
        found = socket.getaddrinfo(host.strip("[]") or "127.0.0.1", int(port), type=socket.SOCK_STREAM)
    except (
        ValueError,
        OSError,
    ) as error:  # a name that cannot be one is a UnicodeError, which is a ValueError
        raise ConfigError(
            f"{name}: {listen!r}",
            expected="HOST:PORT or a port, such as 127.0.0.1:9464",
            found=getattr(error, "strerror", None) or one_line(error),
        ) from error
    return found[0][0], found[0][4]
