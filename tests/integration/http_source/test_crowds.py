"""Many devices, slow ones and greedy ones: each gets its share and an answer."""

import contextlib
import socket
import threading
import time

import pytest

from tests.integration.http_source.devices import Reading, connected, everything, raw, whole
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


def test_a_busy_pipeline_is_a_503_and_nothing_is_lost(device):
    with Reading(waiting=3) as reading:
        reading.gate.clear()
        socks = [connected(reading.port) for _ in range(3)]
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
    socks = [connected(reading.port) for _ in range(3)]
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
        slow = [connected(reading.port) for _ in range(50)]
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
            hanging.append(open_.enter_context(connected(reading.port)))
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
    with Reading() as reading, connected(reading.port) as sock:
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
            hanging.append(open_.enter_context(connected(reading.port)))
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
        flood = [open_.enter_context(connected(reading.port)) for _ in range(5)]
        for sock in flood:
            sock.sendall(whole("noisy", b"1,2"))
        assert [everything(sock)[9:12] for sock in flood[2:]] == [b"503"] * 3
        quiet = [open_.enter_context(connected(reading.port)) for _ in range(6)]
        for i, sock in enumerate(quiet):
            sock.sendall(whole(f"quiet{i}", b"1,2"))
        wait_for(lambda: reading.source._server._waiting == 8)
        reading.gate.set()
        assert [everything(sock)[9:12] for sock in (*flood[:2], *quiet)] == [b"202"] * 8


def test_a_thousand_devices_over_a_few_connections():
    count, rounds, connections = 1000, 4, 8
    with Reading() as reading, contextlib.ExitStack() as open_:
        socks = [open_.enter_context(connected(reading.port, 30)) for _ in range(connections)]
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
