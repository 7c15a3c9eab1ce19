"""A real web server on a free loopback port that misbehaves when asked to."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

#: Ends the waits of behaviours that never answer.
_POLL_S = 0.02


@dataclass
class Request:
    """What came; `connection` counts the connections."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int


#: Does what it wants with the connection; returns whether to keep it open.
Behaviour = Callable[["WebServer", socket.socket], bool]


@dataclass
class WebServer:
    """Answers each request with the next behaviour of its script, and with 204 when that is at its end."""

    context: ssl.SSLContext | None = None
    script: deque[Behaviour] = field(default_factory=deque)
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    #: Refuse by the first behaviour as soon as the head of a request is there.
    early: bool = False

    def __post_init__(self) -> None:
        self.stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def then(self, *behaviours: Behaviour) -> WebServer:
        self.script.extend(behaviours)
        return self

    def stop(self) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                self._open.append(sock)
                thread = threading.Thread(target=self._serve, args=(sock, self.connections))
                self._threads.append(thread)
                thread.start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError, ValueError):  # ValueError: no HTTP
            if self.context:
                sock = self.context.wrap_socket(sock, server_side=True)
                self._open.append(sock)
            with sock, sock.makefile("rb") as lines:
                while not self.stopping.is_set() and self._turn(sock, lines, number):
                    pass

    def _turn(self, sock: socket.socket, lines: Any, number: int) -> bool:
        first = lines.readline().split()
        if not first:
            return False
        headers = {}
        while line := lines.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        if self.early:
            self.requests.append(Request(first[0].decode(), first[1].decode(), headers, b"", number))
            return self.script.popleft()(self, sock)
        body = lines.read(int(headers.get("content-length", 0)))
        self.requests.append(Request(first[0].decode(), first[1].decode(), headers, body, number))
        return (self.script.popleft() if self.script else answer(204))(self, sock)


@contextlib.contextmanager
def web_server(context: ssl.SSLContext | None = None) -> Iterator[WebServer]:
    server = WebServer(context)
    try:
        yield server
    finally:
        server.stop()


def answer(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    def behave(server: WebServer, sock: socket.socket) -> bool:
        sock.sendall(head(status, len(body), **headers) + body)
        return True

    return behave


def head(status: int, length: int, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", *([] if status == 204 else [f"Content-Length: {length}"])]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def hang(server: WebServer, sock: socket.socket) -> bool:
    """Takes the request and says nothing."""
    server.stopping.wait()
    return False


def hang_in_head(server: WebServer, sock: socket.socket) -> bool:
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
    return hang(server, sock)


def hang_after_head(server: WebServer, sock: socket.socket) -> bool:
    sock.sendall(head(200, 100))
    return hang(server, sock)


def cut_in_body(server: WebServer, sock: socket.socket) -> bool:
    sock.sendall(head(200, 100) + b"half")
    return False


def cut_in_chunks(server: WebServer, sock: socket.socket) -> bool:
    sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhalf")
    return False


def cut_at_once(server: WebServer, sock: socket.socket) -> bool:
    """Took the request and hangs up without a word."""
    return False


def reset(server: WebServer, sock: socket.socket) -> bool:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def then_close(behaviour: Behaviour) -> Behaviour:
    """Hangs up after the answer without having said so."""

    def behave(server: WebServer, sock: socket.socket) -> bool:
        behaviour(server, sock)
        return False

    return behave


def drip(text: bytes) -> Behaviour:
    """One byte at a time, faster than any timeout of a single read."""

    def behave(server: WebServer, sock: socket.socket) -> bool:
        for i in range(len(text)):
            if server.stopping.wait(_POLL_S):
                return False
            sock.sendall(text[i : i + 1])
        return True

    return behave


def say(text: bytes) -> Behaviour:
    def behave(server: WebServer, sock: socket.socket) -> bool:
        sock.sendall(text)
        return False

    return behave
