"""Devices post to a real server over real sockets, well and badly."""

import contextlib
import http.client
import json
import logging
import os
import random
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter

import numpy as np
import pytest

from edge_sdk import Block, ConfigError, Fault, Retry, open_source
from edge_sdk.errors import Fatal
from edge_sdk.plugins import check_url
from tests.integration.broker import wait_for
from tests.integration.certificates import Authority

pytestmark = pytest.mark.integration

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


@pytest.fixture
def device():
    devices = []

    def connect(*args):
        devices.append(Device(*args))
        return devices[-1]

    yield connect
    for one in devices:
        one.http.close()


@pytest.fixture(scope="module")
def reading():
    with Reading() as shared:
        yield shared


def raw(port, data, *, end=False):
    """What the server says to some bytes, until it closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(data)
            if end:
                sock.shutdown(socket.SHUT_WR)
        return everything(sock)


def everything(sock):
    heard = b""
    with contextlib.suppress(ConnectionError):
        while data := sock.recv(65536):
            heard += data
    return heard


def test_every_form_of_a_message(device):
    packed = np.array([[1, 2], [3, 4]], "<f4").tobytes()
    with Reading() as reading:
        one = device(reading.port)
        assert one.post("/readings/w1", b'{"ax": 1, "ay": 2}') == (202, {"taken": 1})
        assert one.post("/readings", b'{"ax": [1], "ay": [2], "device": "w2"}') == (202, {"taken": 1})
        assert one.post("/readings/", b"[[1, 2], [3, 4]]") == (202, {"taken": 2})
        assert one.post("/readings/w%201%C3%BC?x=y", b"ax,ay\n1,2\n", Content_Type="text/csv") == (
            202,
            {"taken": 1},
        )
        assert one.post("/readings/w1", packed, Content_Type="application/octet-stream") == (
            202,
            {"taken": 2},
        )
    assert [(block.device, block.channels, block.samples.tolist()) for block in reading.blocks] == [
        ("w1", ("ax", "ay"), [[1, 2]]),
        ("w2", ("ax", "ay"), [[1, 2]]),
        ("", ("ax", "ay"), [[1, 2], [3, 4]]),
        ("w 1ü", ("ax", "ay"), [[1, 2]]),
        ("w1", ("ax", "ay"), [[1, 2], [3, 4]]),
    ]
    assert not reading.faults


def test_what_is_wrong_is_said_and_counted(device):
    with Reading() as reading:
        one = device(reading.port)
        status, said = one.post("/readings/w1", b"1,2\nhello\n3,4\n5")
        assert (status, said["taken"], said["refused"]) == (202, 2, 2)
        assert "hello" in said["error"]
        status, said = one.post("/readings/w1", b"hello")
        assert (status, said["taken"], said["refused"]) == (400, 0, 1)
        assert one.post("/readings/w1", b"") == (400, {"taken": 0, "refused": 0, "error": "no samples"})
        assert one.post("/readings/w%00", b"1,2")[0] == 400
        assert one.post("/readings/" + "w" * 200, b"1,2")[0] == 400
        assert one.post("/readings", b'{"ax": 1, "ay": 2, "device": ["w"]}')[0] == 400
    assert sum(len(block.samples) for block in reading.blocks) == 2
    assert reading.faults == {"garbage": 4, "device": 3}


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /readings HTTP/1.1\r\n\r\n", 405),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n1,2", 404),
        (b"POST /readings/a/b HTTP/1.1\r\nContent-Length: 3\r\n\r\n1,2", 404),
        (b"POST /readings/w HTTP/1.1\r\n\r\n", 411),
        (b"POST /readings/w HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n1,2\r\n0\r\n\r\n", 411),
        (b"POST /readings/w HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST /readings/w HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n1,2", 400),
        (b"POST /readings/w HTTP/1.1\r\nContent-Length: -3\r\n\r\n", 400),
        (b"POST /readings/w HTTP/1.1\r\nContent-Length: 1_0\r\n\r\n", 400),
        (b"POST /readings/w HTTP/1.1\r\nContent-Length: 300000\r\n\r\n", 413),
        (b"POST /readings/w HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
        (b"POST /readings/w HTTP/1.1\r\nContent-Length: 3\r\nExpect: more\r\n\r\n1,2", 417),
        (b"POST /readings/w HTTP/1.1\r\nContent-Length: 3\r\nContent-Encoding: gzip\r\n\r\n1,2", 415),
        (b"POST /readings/%ff HTTP/1.1\r\nContent-Length: 3\r\n\r\n1,2", 400),
        (b"POST /readings/w HTTP/2.0\r\n\r\n", 505),
        (b"POST  /readings HTTP/1.1\r\n\r\n", 400),
        (b"POST /readings/w HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400),
        (b"POST /readings/w HTTP/1.1\r\nA b: c\r\n\r\n", 400),
        (b"POST /readings/w HTTP/1.1\r\nA: b\0\r\n\r\n", 400),
        (b"POST /readings/w HTTP/1.1\r\n" + b"A: b\r\n" * 65 + b"\r\n", 431),
        (b"POST /readings/w HTTP/1.1\r\nA: " + b"b" * 9000 + b"\r\n\r\n", 431),
        (b"POST /" + b"a" * 1000000, 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600) + b"\r\n\r\n", 400),
        (b"\r\n\r\n\r\n", None),
        (b"POST /readings/w HTTP/1.1\r\nContent-Le", None),
        (b"POST /readings/w HTTP/1.1\r\nContent-Length: 9\r\n\r\n1,2", None),
    ],
)
def test_a_request_that_cannot_be_taken(reading, request_, status):
    said = raw(reading.port, request_, end=True)
    assert said.startswith(b"HTTP/1.1 %d " % status) if status else not said
    # and the next one is
    before = len(reading.blocks)
    assert raw(reading.port, whole("w1", b"1,2")).startswith(b"HTTP/1.1 202 ")
    assert len(reading.blocks) == before + 1


def test_what_strangers_send_is_counted_once_a_moment():
    with Reading() as reading:
        for _ in range(20):
            raw(reading.port, b"hello\r\n\r\n")
            raw(reading.port, b"GET /readings HTTP/1.1\r\n\r\n", end=True)
            raw(reading.port, b"POST /readings HTTP/1.1\r\nContent-Length: 9\r\n\r\n1", end=True)
        wait_for(lambda: set(reading.faults) == {"garbage", "refused", "cut"})
    assert sum(reading.faults.values()) < 30
    assert any("×" in fault.detail for fault in reading.items)
    assert not any(fault.samples for fault in reading.items)


def whole(device, body, *headers, version="1.1", close=True):
    lines = [f"POST /readings/{device} HTTP/{version}", f"Content-Length: {len(body)}", *headers]
    lines += ["Connection: close"] if close else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def test_requests_may_come_in_any_pieces_and_several_at_once():
    with Reading() as reading:
        with socket.create_connection(("127.0.0.1", reading.port)) as sock:
            for byte in whole("w1", b"1,2", close=False) + b"\r\n":
                sock.sendall(bytes([byte]))
            assert sock.recv(4096).startswith(b"HTTP/1.1 202")
            many = [whole("w1", f"{i},{i}".encode(), close=i == 99) for i in range(100)]
            sock.sendall(b"".join(many))
            assert everything(sock).count(b"HTTP/1.1 202") == 100
        assert raw(reading.port, whole("w1", b"1,2", version="1.0")).startswith(b"HTTP/1.1 202")
        assert raw(reading.port, whole("w1", b"1,2", close=False), end=True).count(b" 202 ") == 1
        line = whole("w1", b"1,2").replace(b"/readings", b"http://gateway:8080/readings")
        assert raw(reading.port, line).startswith(b"HTTP/1.1 202")
    assert [block.samples[0, 0] for block in reading.blocks][1:101] == list(range(100))


def test_a_client_that_asks_for_leave_gets_it_or_the_refusal():
    with Reading() as reading:
        request = whole("w1", b"1,2", "Expect: 100-continue")
        with socket.create_connection(("127.0.0.1", reading.port), timeout=10) as sock:
            sock.sendall(request[:-3])
            assert sock.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
            sock.sendall(request[-3:])
            assert everything(sock).startswith(b"HTTP/1.1 202")
        head = b"POST /readings/w1 HTTP/1.1\r\nContent-Length: 999999\r\nExpect: 100-continue\r\n\r\n"
        assert raw(reading.port, head, end=True).startswith(b"HTTP/1.1 413")


def test_a_large_refused_body_does_not_hide_the_answer(device):
    with Reading() as reading:
        status, said = device(reading.port).post("/readings/w1", b"x" * 3_000_000)
        assert (status, said["error"]) == (413, "a body of more than 262144 bytes")
        wait_for(lambda: reading.faults["oversized"] == 1)


def test_the_token_opens_and_nothing_else_does(device, monkeypatch):
    monkeypatch.setenv("DEVICE_TOKEN", "s3cret")
    with Reading(token_env="DEVICE_TOKEN") as reading:
        for wrong in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic s3cret"}):
            status, said = device(reading.port).post("/readings/w1", b"1,2", **wrong)
            assert status == 401
            assert "s3cret" not in str(said)
        one = device(reading.port)
        assert one.post("/readings/w1", b"1,2", Authorization="Bearer s3cret") == (202, {"taken": 1})
        wait_for(lambda: reading.faults["refused"])
    assert len(reading.blocks) == 1
    assert not any("s3cret" in str(item) for item in reading.items)


def test_other_machines_are_let_in_only_with_a_token(monkeypatch):
    monkeypatch.setenv("DEVICE_TOKEN", "s3cret")
    with pytest.raises(ConfigError, match="other machines can connect: expected a token"):
        open_source("http://0.0.0.0:0/readings", **XY)
    with open_source("http://0.0.0.0:0/readings?token_env=DEVICE_TOKEN", **XY) as source:
        assert source.port
    with open_source("http://:0/readings", **XY) as source, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", source.port))


def test_tls(device, tmp_path, monkeypatch):
    authority = Authority(tmp_path)
    mine = authority.issue("gateway", "IP:127.0.0.1")
    context = ssl.create_default_context(cafile=authority.cert)
    monkeypatch.setenv("DEVICE_TOKEN", "s3cret")
    options = {"cert": str(mine.cert), "key": str(mine.key), "token_env": "DEVICE_TOKEN"}
    with Reading("127.0.0.1:0/readings", **options) as reading:
        with socket.create_connection(("127.0.0.1", reading.port)) as mute:  # hangs in its handshake
            one = device(reading.port, context)
            for _ in range(3):
                answer = one.post("/readings/w1", b"1,2", Authorization="Bearer s3cret")
                assert answer == (202, {"taken": 1})
            large = b"1,2\n" * 50_000
            answer = one.post("/readings/w1", large, Authorization="Bearer s3cret")
            assert answer == (202, {"taken": 50_000})
            assert not raw(reading.port, whole("w1", b"1,2")).startswith(b"HTTP/1.1 202")  # no TLS
            with pytest.raises(ssl.SSLError):
                device(reading.port, ssl.create_default_context()).post("/readings/w1", b"1,2")
            mute.sendall(b"x")
        wait_for(lambda: reading.faults["refused"])
        began = time.monotonic()
        reading.close()
        assert time.monotonic() - began < 1
    with pytest.raises(ConfigError, match="cert .*none.pem: expected a PEM file .* found No such file"):
        open_source("http://127.0.0.1:0/r", cert=str(tmp_path / "none.pem"), **XY)


def test_a_request_that_is_sent_again_is_taken_once(device):
    with Reading() as reading:
        one = device(reading.port)
        assert one.post("/readings/w1", b"1,2", Idempotency_Key="7") == (202, {"taken": 1})
        assert one.post("/readings/w1", b"1,2", Idempotency_Key="7") == (200, {"taken": 0, "repeated": True})
        assert one.post("/readings/w2", b"1,2", Idempotency_Key="7") == (202, {"taken": 1})
        assert one.post("/readings/w1", b"1,2", Idempotency_Key="8") == (202, {"taken": 1})
        # A device that counts its keys anew after a restart has other readings.
        assert one.post("/readings/w1", b"3,4", Idempotency_Key="7") == (202, {"taken": 1})
        body = b'{"ax": 1, "ay": 2, "device": "w3"}'
        assert one.post("/readings", body, Idempotency_Key="7")[0] == 202
        assert one.post("/readings", body, Idempotency_Key="7")[0] == 200
    assert [block.device for block in reading.blocks] == ["w1", "w2", "w1", "w1", "w3"]


def test_a_busy_pipeline_is_a_503_and_nothing_is_lost(device):
    with Reading(waiting=3) as reading:
        reading.gate.clear()
        socks = [socket.create_connection(("127.0.0.1", reading.port), timeout=10) for _ in range(3)]
        for i, sock in enumerate(socks):
            sock.sendall(whole(f"w{i}", b"1,2", "Idempotency-Key: a"))
        one = device(reading.port)

        def is_full():
            status, said = one.post("/readings/late", b"")
            return status == 503 and said["error"] == "the pipeline is busy"

        wait_for(lambda: reading.source._server._waiting == 3)
        assert is_full()
        assert 1 <= int(one.headers["Retry-After"]) <= 3
        reading.gate.set()
        for sock in socks:
            assert everything(sock).startswith(b"HTTP/1.1 202")
            sock.close()
        assert one.post("/readings/w2", b"1,2", Idempotency_Key="a")[0] == 200
        assert one.post("/readings/late", b"1,2")[0] == 202
    assert sorted(block.device for block in reading.blocks) == ["late", "w0", "w1", "w2"]


def test_who_was_not_taken_when_the_pipeline_ends_is_told_so():
    reading = Reading()
    reading.gate.clear()
    socks = [socket.create_connection(("127.0.0.1", reading.port), timeout=10) for _ in range(3)]
    for i, sock in enumerate(socks):
        sock.sendall(whole(f"w{i}", b"1,2"))
    wait_for(lambda: reading.blocks)
    began = time.monotonic()
    reading.close()
    assert time.monotonic() - began < 1
    said = [everything(sock) for sock in socks]
    for sock in socks:
        sock.close()
    taken = {block.device for block in reading.blocks}
    for i, heard in enumerate(said):
        assert heard.startswith(b"HTTP/1.1 202" if f"w{i}" in taken else b"HTTP/1.1 503")


def test_clients_that_dawdle_are_closed_and_hold_nobody_back(device):
    with Reading(timeout_s=0.5) as reading:
        slow = [socket.create_connection(("127.0.0.1", reading.port), timeout=10) for _ in range(50)]
        for i, sock in enumerate(slow):
            sock.sendall((b"POST /readings/w HTTP/1.1\r\nContent-Length: 9\r\n\r\n1,2", b"POST", b"")[i % 3])
        assert device(reading.port).post("/readings/w1", b"1,2") == (202, {"taken": 1})
        for i, sock in enumerate(slow):
            assert everything(sock)[:12] == (b"HTTP/1.1 408", b"HTTP/1.1 408", b"")[i % 3]
            sock.close()
        wait_for(lambda: reading.faults["cut"])


def test_the_most_useless_connection_makes_room(device):
    head = b"POST /readings/w HTTP/1.1\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
    with Reading(max_connections=4) as reading, contextlib.ExitStack() as open_:
        useful = device(reading.port)
        assert useful.post("/readings/w1", b"1,2")[0] == 202
        hanging = []
        for _ in range(3):
            address = ("127.0.0.1", reading.port)
            hanging.append(open_.enter_context(socket.create_connection(address, timeout=10)))
            hanging[-1].sendall(head)
            assert hanging[-1].recv(4096).startswith(b"HTTP/1.1 100 ")
        assert useful.post("/readings/w1", b"1,2")[0] == 202
        more = [device(reading.port) for _ in range(3)]
        for one in more:
            assert one.post("/readings/w2", b"1,2")[0] == 202
        for sock in hanging:
            assert everything(sock) == b""
        kept = useful.http.sock
        assert useful.post("/readings/w1", b"1,2")[0] == 202
        assert useful.http.sock is kept


def test_a_client_that_reads_no_answers_is_not_read_from_for_ever():
    def send():
        while True:
            sock.sendall(whole("w1", b"1,2", close=False) * 100)

    with Reading(timeout_s=0.5) as reading, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(10)
        sock.connect(("127.0.0.1", reading.port))
        with pytest.raises(ConnectionError):  # TimeoutError where the server does not hang up
            send()


def test_requests_that_come_too_early_are_left_in_the_network():
    """A client may send many at once; what was read of them must not grow while they are answered."""
    request = whole("w1", b"1,2", close=False)
    with Reading() as reading, socket.create_connection(("127.0.0.1", reading.port), timeout=10) as sock:
        taken, sent = 0, 0
        sock.setblocking(False)
        while taken < 300:  # each answer would let a further chunk in
            with contextlib.suppress(BlockingIOError):
                while True:
                    sent += sock.send(request * 1000)
            with contextlib.suppress(BlockingIOError):
                taken += sock.recv(100_000).count(b"HTTP/1.1 202")
        (client,) = reading.source._server._clients
        assert len(client._buffer) < 50_000
        assert sent - taken * len(request) > 100_000  # more would have come


def test_a_long_message_does_not_keep_the_others_waiting(device):
    with Reading(max_bytes=1 << 19) as reading:
        many = threading.Thread(target=device(reading.port).post, args=("/readings/w1", b"1,2\n" * 131072))
        many.start()
        wait_for(lambda: reading.source._server._waiting == 1)
        assert raw(reading.port, b"hello\r\n\r\n").startswith(b"HTTP/1.1 400")
        assert not reading.blocks  # it was answered while the message was read
        many.join()
    assert sum(len(block.samples) for block in reading.blocks) == 131072


def test_large_messages_that_do_not_end_leave_room_for_others(device):
    head = b"POST /readings/w HTTP/1.1\r\nContent-Length: 262144\r\nExpect: 100-continue\r\n\r\n"
    with Reading() as reading, contextlib.ExitStack() as open_:
        hanging = []
        for _ in range(64):  # together all the memory there is
            address = ("127.0.0.1", reading.port)
            hanging.append(open_.enter_context(socket.create_connection(address, timeout=10)))
            hanging[-1].sendall(head)
            assert hanging[-1].recv(4096).startswith(b"HTTP/1.1 100 ")
        assert device(reading.port).post("/readings/w1", b"1,2") == (202, {"taken": 1})
        assert everything(hanging[0]) == b""
        for sock in hanging[1:]:
            sock.sendall(b"1" * 262144)
            assert sock.recv(4096).startswith(b"HTTP/1.1 400")


def test_one_device_cannot_fill_the_room_of_all(device):
    with Reading(waiting=8) as reading, contextlib.ExitStack() as open_:
        reading.gate.clear()
        flood = [
            open_.enter_context(socket.create_connection(("127.0.0.1", reading.port), timeout=10))
            for _ in range(5)
        ]
        for sock in flood:
            sock.sendall(whole("noisy", b"1,2"))
        assert [everything(sock)[9:12] for sock in flood[2:]] == [b"503"] * 3
        quiet = [
            open_.enter_context(socket.create_connection(("127.0.0.1", reading.port), timeout=10))
            for _ in range(6)
        ]
        for i, sock in enumerate(quiet):
            sock.sendall(whole(f"quiet{i}", b"1,2"))
        wait_for(lambda: reading.source._server._waiting == 8)
        reading.gate.set()
        assert [everything(sock)[9:12] for sock in (*flood[:2], *quiet)] == [b"202"] * 8


def test_a_thousand_devices_over_a_few_connections():
    count, rounds, connections = 1000, 4, 8
    with Reading() as reading, contextlib.ExitStack() as open_:
        socks = [
            open_.enter_context(socket.create_connection(("127.0.0.1", reading.port), timeout=30))
            for _ in range(connections)
        ]
        for turn in range(rounds):
            for first in range(0, count, connections):
                for i, sock in enumerate(socks):
                    body = b'{"ax": [%d], "ay": [%d]}' % (turn, first + i)
                    sock.sendall(whole(f"w{first + i}", body, f"Idempotency-Key: {turn}", close=False))
                for sock in socks:
                    assert sock.recv(4096).startswith(b"HTTP/1.1 202")
    seen = {}
    for block in reading.blocks:
        seen.setdefault(block.device, []).append(block.samples[0].tolist())
    assert len(seen) == count
    assert all(seen[f"w{i}"] == [[turn, i] for turn in range(rounds)] for i in range(count))
    assert not reading.faults


def test_garbage_of_every_kind(caplog):
    dice = random.Random(int(os.environ.get("EDGEML_FUZZ_SEED", "4")))
    good = whole("w1", b'{"ax": [1, 2], "ay": [3, 4]}', "Idempotency-Key: x", "Content-Type: text/csv")

    def case():
        kind = dice.randrange(5)
        if kind == 0:
            return dice.randbytes(dice.randrange(400))
        if kind == 1:
            return good[: dice.randrange(len(good))]
        if kind == 2:
            data = bytearray(good)
            for _ in range(dice.randrange(1, 6)):
                data[dice.randrange(len(data))] = dice.randrange(256)
            return bytes(data)
        if kind == 3:
            body = dice.randbytes(dice.randrange(100))
            types = ("application/json", "application/octet-stream", "text/csv", "\xff", "")
            return whole("w1", body, f"Content-Type: {dice.choice(types)}", close=dice.random() < 0.5)
        at = dice.randrange(len(good))
        return good[:at] + dice.randbytes(dice.randrange(20000)) + good[at:]

    cases = int(os.environ.get("EDGEML_FUZZ_CASES", "400"))
    with caplog.at_level(logging.WARNING), Reading() as reading:
        for _ in range(cases):
            if dice.random() < 0.2:  # gone before it can be answered
                with socket.create_connection(("127.0.0.1", reading.port)) as sock:
                    sock.sendall(case()[:4096])
                continue
            said = raw(reading.port, case(), end=True)
            assert not said or said.startswith(b"HTTP/1.1 ")
            assert not said.startswith(b"HTTP/1.1 500")
        assert raw(reading.port, whole("w1", b"1,2")).startswith(b"HTTP/1.1 202")
    assert reading.faults
    assert not caplog.records  # no exception that somebody else caught


def test_a_taken_port_is_a_retry_and_is_free_again_at_once():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Retry, match="the port is taken; another program listens there"):
            open_source(f"http://127.0.0.1:{port}/readings", **XY)
    for _ in range(3):
        with Reading(f"127.0.0.1:{port}/readings") as reading:
            assert raw(reading.port, whole("w1", b"1,2")).startswith(b"HTTP/1.1 202")
    with open_source(f"http://127.0.0.1:{port}/readings", **XY) as unread:
        assert unread.port == port
    with open_source(f"http://127.0.0.1:{port}/readings", **XY):
        pass


def test_no_such_address_is_a_retry_and_no_right_to_the_port_is_fatal(monkeypatch):
    monkeypatch.setenv("DEVICE_TOKEN", "s3cret")
    for host in ("192.0.2.1", "nowhere.invalid"):
        with pytest.raises(Retry, match="cannot be listened on"):
            open_source(f"http://{host}:0/readings?token_env=DEVICE_TOKEN", **XY)
    if os.geteuid() == 0:
        code = (
            "import os\n"
            "from edge_sdk.sources.http import Source\n"
            "from edge_sdk.errors import Fatal\n"
            "'x'.encode('idna')\n"  # imported before the right to read it is gone
            "os.setuid(65534)\n"
            "try: Source('127.0.0.1:81/readings', rate_hz=50)\n"
            "except Fatal as error: print(error)\n"
        )
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert "choose a port above 1023" in said
    else:
        with pytest.raises(Fatal, match="choose a port above 1023"):
            open_source("http://127.0.0.1:81/readings", **XY)


@pytest.mark.parametrize(
    "url", ["http://user@:0/r", "http://127.0.0.1:x/r", "http://a b:0/r", "http://:0/r#x"]
)
def test_a_wrong_url_is_refused(url):
    with pytest.raises(ConfigError):
        open_source(url, **XY)


def test_the_check_before_a_run_listens_to_nothing(monkeypatch):
    def preflight(url):
        plugin, location, options = check_url("sources", url)
        plugin.preflight(location, None, **options)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        preflight(f"http://127.0.0.1:{taken.getsockname()[1]}/readings?rate_hz=50&channels=ax,ay")
    with pytest.raises(ConfigError, match="rate_hz is missing"):
        preflight("http://:8080/readings")
    with pytest.raises(ConfigError, match="other machines can connect"):
        preflight("http://0.0.0.0/readings?rate_hz=50")
    with pytest.raises(ConfigError, match="channels is missing"):
        preflight("http://:8080/readings?rate_hz=50&format=raw")
