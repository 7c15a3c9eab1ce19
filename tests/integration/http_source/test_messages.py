"""What devices post to a real server over real sockets, and what is said to them."""

import logging
import os
import random

import numpy as np
import pytest

from tests.integration.http_source.devices import Reading, connected, everything, raw, whole
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def reading():
    with Reading() as shared:
        yield shared


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


def test_requests_may_come_in_any_pieces_and_several_at_once():
    with Reading() as reading:
        with connected(reading.port) as sock:
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
        with connected(reading.port) as sock:
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
                with connected(reading.port) as sock:
                    sock.sendall(case()[:4096])
                continue
            said = raw(reading.port, case(), end=True)
            assert not said or said.startswith(b"HTTP/1.1 ")
            assert not said.startswith(b"HTTP/1.1 500")
        assert raw(reading.port, whole("w1", b"1,2")).startswith(b"HTTP/1.1 202")
    assert reading.faults
    assert not caplog.records  # no exception that somebody else caught
