"""Devices that post, well and badly, and what reads the source they post to."""

import contextlib
import http.client
import json
import socket
import threading
from collections import Counter

from edge_sdk import Block, Fault, open_source

XY = {"rate_hz": 50, "channels": ("ax", "ay")}


class Reading:
    """Reads a source in a thread, as the pipeline does; `gate` holds the pipeline back."""

    def __init__(self, location="127.0.0.1:0/readings", **options):
        self.source = open_source(f"http://{location}", **{**XY, **options})
        self.port = self.source.port
        self.items = []
        self.gate = threading.Event()
        self.gate.set()
        self.failure = None
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self):
        try:
            for item in self.source:
                self.items.append(item)
                self.gate.wait()
        except Exception as error:  # noqa: BLE001 - shown by the test
            self.failure = error

    @property
    def blocks(self):
        return [item for item in self.items if isinstance(item, Block)]

    @property
    def faults(self):
        return Counter(item.reason for item in self.items if isinstance(item, Fault))

    def close(self):
        self.gate.set()
        self.source.close()
        self.thread.join(10)
        assert not self.thread.is_alive()
        assert self.failure is None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Device:
    """One connection."""

    def __init__(self, port, context=None):
        if context:
            self.http = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
        else:
            self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def post(self, path, body, method="POST", **headers):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.http.request(method, path, body, names)
        answer = self.http.getresponse()
        self.headers = answer.headers
        return answer.status, json.loads(answer.read())


def connected(port, timeout_s=10):
    """One connection that says what a test wants."""
    return socket.create_connection(("127.0.0.1", port), timeout=timeout_s)


def raw(port, data, *, end=False):
    """What the server says to some bytes, until it closes."""
    with connected(port) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(data)
            if end:
                sock.shutdown(socket.SHUT_WR)
        return everything(sock)


def everything(sock):
    """What is heard until the other side closes."""
    heard = b""
    with contextlib.suppress(ConnectionError):
        while data := sock.recv(65536):
            heard += data
    return heard


def whole(device, body, *headers, version="1.1", close=True):
    lines = [f"POST /readings/{device} HTTP/{version}", f"Content-Length: {len(body)}", *headers]
    lines += ["Connection: close"] if close else []
    return "\r\n".join([*lines, "", ""]).encode() + body
