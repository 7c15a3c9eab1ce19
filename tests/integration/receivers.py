"""Servers that take messages: a webhook and a mail server, on loopback ports that the system picked."""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Webhook(ThreadingHTTPServer):
    """Keeps every JSON object that is posted; does with the next ones what `answer` says.

    A number is the status of the answer; ``hang`` gives none until the server stops, ``drip`` one byte now
    and then, ``cut`` hangs up.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Posted)
        self.port = self.server_address[1]
        self.answer: int | str = 200
        self.messages: list[dict[str, Any]] = []
        self.over = threading.Event()


class _Posted(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = self.server.answer
        if answer == "cut":
            self.close_connection = True
            return
        if answer == "hang":
            self.server.over.wait(60)
            return
        if answer == "drip":
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                while not self.server.over.wait(0.02):
                    self.wfile.write(b".")
            return
        if answer == 200:
            self.server.messages.append(body)
        self.send_response(int(answer))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


class MailServer(socketserver.ThreadingTCPServer):
    """Speaks enough SMTP to take a mail; refuses the recipients that begin with ``nobody``."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Mailed)
        self.port = self.server_address[1]
        self.mails: list[tuple[str, str]] = []


class _Mailed(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self._say("220 test")
        to = ""
        while line := self.rfile.readline().decode().strip():
            word = line.upper()
            if word.startswith("RCPT TO:"):
                to = line[8:].split(">")[0].strip(" <")
                self._say("550 no such user" if to.startswith("nobody") else "250 ok")
            elif word == "DATA":
                self._say("354 go on")
                self.server.mails.append((to, self._data()))
                self._say("250 ok")
            elif word == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 ok")

    def _data(self) -> str:
        lines = []
        while (line := self.rfile.readline().decode().rstrip("\r\n")) != ".":
            lines.append(line)
        return "\n".join(lines)

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def serving(server: Any) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        if isinstance(server, Webhook):
            server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
