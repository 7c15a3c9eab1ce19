"""One HTTP/1.1 connection, kept open, of which every exchange ends by a deadline."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any

#: Of an answer; what comes after it is not waited for.
_LONGEST_ANSWER = 65536


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said.

    Attributes:
        status: such as 200.
        headers: names in any case.
        text: the body's beginning.
    """

    status: int
    headers: Message
    text: str


class Connection(http.client.HTTPConnection):
    """Posts to one server.

    A socket's own timeout begins anew with every byte, so that a server which sends one a second would never
    be given up. Here name, connection, TLS, request and answer share one deadline (only the system's look-up
    of a name cannot be interrupted).

    Args:
        host: name or address.
        port: of the server.
        context: of TLS; None speaks plain HTTP.
        timeout_s: for a whole exchange, s.
    """

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None, timeout_s: float) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self.default_port = 443 if context else 80
        self._context, self._timeout_s = context, timeout_s
        self._deadline = Deadline(timeout_s)
        if context:
            context.sslsocket_class = _TlsSocket

    def open(self) -> None:
        """Connect, so that a server which cannot be used is known before there is anything to tell it.

        Raises:
            OSError: no connection, or none that can be trusted.
        """
        self._deadline = Deadline(self._timeout_s)
        self.connect()

    def post(self, target: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a request and wait for the whole answer.

        A server may close a connection that it has kept open just when the next request goes out. Where it
        did so without a word, the request is sent once more over a new one.

        Raises:
            OSError: the connection failed, also TimeoutError and what `ssl` raises.
            http.client.HTTPException: the answer is not HTTP, or broke off.
        """
        self._deadline = Deadline(self._timeout_s)
        kept = self.sock is not None and not self._is_over()
        if kept:
            self._deadline.hold(self.sock)
        else:
            self.close()
            self.connect()
        try:
            response = self._send(target, body, headers)
        except (ConnectionError, ssl.SSLEOFError):
            self.close()
            if not kept:
                raise
            self.connect()
            response = self._send(target, body, headers)
        return self._read(response)

    def connect(self) -> None:
        """Connect before the deadline; called by `post`."""
        plain = self._reach()
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.settimeout(self._deadline.left_s())
            sock = self._context.wrap_socket(plain, server_hostname=self.host) if self._context else plain
        except BaseException:
            plain.close()
            raise
        self._deadline.hold(sock)
        self.sock = sock

    def hang_up(self) -> None:
        """Close it, also while another thread waits for an answer."""
        sock: Any = self.sock
        if sock is not None:
            with contextlib.suppress(OSError):  # it is not connected any more
                sock.shutdown(socket.SHUT_RDWR)
        self.close()

    def _reach(self) -> socket.socket:
        """A connected socket: the first of the host's addresses that takes the connection."""
        places = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        for i, (family, kind, protocol, _, address) in enumerate(places):
            sock = _Socket(family, kind, protocol)
            try:
                sock.settimeout(self._deadline.left_s() / (len(places) - i))
                sock.connect(address)
            except OSError:
                sock.close()
                if i == len(places) - 1:
                    raise
            else:
                return sock
        raise OSError("the name has no address")

    def _is_over(self) -> bool:
        """The server has closed the connection, or says what nobody asked for."""
        try:
            self.sock.setblocking(False)
            self.sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
        return True

    def _send(self, target: str, body: bytes, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        # A server may refuse a long body before it has read all of it, and say why.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.request("POST", target, body, dict(headers))
        return self.getresponse()

    def _read(self, response: http.client.HTTPResponse) -> Answer:
        try:
            body = response.read(_LONGEST_ANSWER)
            if response.length and len(body) < _LONGEST_ANSWER:
                raise http.client.IncompleteRead(body, response.length)
        finally:
            if not response.isclosed():  # the rest of it would be taken for the next answer
                response.close()
                self.close()
        return Answer(response.status, response.headers, body.decode(errors="replace"))


class Deadline:
    """A moment that a number of waits may not pass together.

    Args:
        timeout_s: from now, s.
    """

    def __init__(self, timeout_s: float) -> None:
        self._at_s = time.monotonic() + timeout_s

    def left_s(self) -> float:
        """How long one may still wait, s.

        Raises:
            TimeoutError: no longer.
        """
        left_s = self._at_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("timed out")
        return left_s

    def hold(self, sock: Any) -> None:
        """Every wait of this socket of a `Connection` ends by the deadline."""
        sock.deadline = self


class _Socket(socket.socket):
    """Ends every wait by its deadline."""

    deadline: Deadline | None = None

    def recv_into(self, *args: Any, **options: Any) -> int:
        _arm(self)
        return super().recv_into(*args, **options)

    def sendall(self, *args: Any, **options: Any) -> None:
        _arm(self)
        super().sendall(*args, **options)


class _TlsSocket(ssl.SSLSocket):
    """The same under TLS, whose `sendall` sends in pieces."""

    deadline: Deadline | None = None

    def recv_into(self, *args: Any, **options: Any) -> int:
        _arm(self)
        return super().recv_into(*args, **options)

    def send(self, *args: Any, **options: Any) -> int:
        _arm(self)
        return super().send(*args, **options)


def _arm(sock: _Socket | _TlsSocket) -> None:
    if sock.deadline is not None:
        sock.settimeout(sock.deadline.left_s())
