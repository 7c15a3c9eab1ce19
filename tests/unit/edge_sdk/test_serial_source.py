"""Sensors on serial ports, which are pseudo terminals here, sockets and loops."""

import contextlib
import functools
import operator
import os
import pty
import socket
import struct
import threading
import tty

import numpy as np
import pytest

from edge_sdk import open_source, registry
from edge_sdk.blocks import Block, Fault
from edge_sdk.errors import ConfigError, Retry
from tests.unit.edge_sdk.collected import WANTED, XYZ, collect, joined, samples_in


@contextlib.contextmanager
def wire():
    """A pseudo terminal: (what the sensor writes to, the port's name)."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    name = os.ttyname(slave)
    try:
        yield master, name
    finally:
        for file in (master, slave):
            with contextlib.suppress(OSError):
                os.close(file)


def test_a_serial_port_gives_blocks_with_faults_and_gaps_between():
    with wire() as (sensor, port):
        source = open_source(f"serial:{port}", device="wrist", timeout_s=60.0)
        source.expect(WANTED)
        os.write(sensor, b"5,2,3\n1,2,3\n4,5,6\nrubbish\n7,8,9\nnan,1,2\n")
        items = collect(source, lambda found: samples_in(found) >= 4)
    assert [type(item) for item in items] == [Block, Fault, Block]
    assert joined(items)[:3].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert np.isnan(joined(items)[3, 0])
    assert items[1].samples == 1
    assert items[2].gap
    assert not items[0].gap
    assert items[0].rate_hz == 50.0
    assert items[0].channels == XYZ
    assert {item.device for item in items} == {"wrist"}
    assert items[0].time_s < items[2].time_s


def test_a_port_that_two_threads_close_is_closed_by_one_after_the_other(monkeypatch):
    """Its descriptor may be somebody else's by then."""
    entered, second, go = threading.Semaphore(0), threading.Event(), threading.Event()
    with wire() as (_, port):
        source = open_source(f"serial:{port}")
        close, inside = source.port.close, []

        def slowly():
            second.set() if inside else entered.release()
            inside.append(True)
            go.wait(10)
            close()
            inside.pop()

        monkeypatch.setattr(source.port, "close", slowly)
        threads = [threading.Thread(target=source.close) for _ in range(2)]
        for thread in threads:
            thread.start()
        assert entered.acquire(timeout=10)
        assert not second.wait(0.1)
        go.set()
        for thread in threads:
            thread.join(10)
        assert not second.is_set()
        assert not source.port.is_open


def test_devices_on_one_wire_are_streams_of_their_own_and_garbage_breaks_them_all():
    with wire() as (sensor, port):
        source = open_source(f"serial:{port}?device=stick")
        source.expect(WANTED)
        line = '{{"device": "{}", "ax": {}, "ay": 0, "az": 0}}\n'.format
        before = "\n" + line("a", 1) + line("b", 2) + line("a", 3) + "0,0,0\n"
        of_one = '{"device": "a", "ax": "?"}\n' + line("a", 4) + line("b", 5)
        of_any = "}{\n" + line("a", 6) + line("b", 7) + line("", 1)
        os.write(sensor, (before + of_one + of_any).encode())
        items = collect(source, lambda found: samples_in(found) == 8 and found[-1].device == "stick")
    seen = [
        (item.device, item.reason if isinstance(item, Fault) else item.samples[:, 0].tolist())
        for item in items
    ]
    assert seen == [
        ("a", [1, 3]), ("b", [2]), ("stick", [0]),
        ("a", "garbage"), ("a", [4]), ("b", [5]),
        ("stick", "garbage"), ("a", [6]), ("b", [7]), ("stick", "device"),
    ]  # fmt: skip
    gaps = [item.gap for item in items if isinstance(item, Block)]
    assert gaps == [False, False, False, True, False, True, True]


def test_packets_come_with_gaps_where_some_were_lost():
    with wire() as (sensor, port):
        options = (
            "format=struct&layout=<hh&sync=aa55&check=xor8&counter=u8&scale=0.5&offset=0,1&channels=ax,ay"
        )
        source = open_source(f"serial:{port}?{options}&rate_hz=50&device=wrist")
        os.write(
            sensor, b"".join(xor_packet(n, (n, -n)) for n in (1, 2, 7)) + b"noise" + xor_packet(8, (8, 8))
        )
        items = collect(source, lambda found: samples_in(found) == 4)
        assert source.missed == 4
    assert [type(item).__name__ for item in items] == ["Block", "Fault", "Block", "Fault", "Block"]
    assert joined(items).tolist() == [[0.5, 0.5], [1, 0], [3.5, -2.5], [4, 5]]
    assert [item.reason for item in items if isinstance(item, Fault)] == ["lost", "garbage"]
    assert [item.gap for item in items if isinstance(item, Block)] == [False, True, True]
    assert items[0].channels == ("ax", "ay")


def xor_packet(number, values):
    body = struct.pack("<Bhh", number, *values)
    return b"\xaa\x55" + body + bytes([functools.reduce(operator.xor, body)])


def test_what_cannot_be_packets_is_said_before_the_port_is_opened():
    serial = registry.find("sources", "serial")
    layout = {"format": "struct", "layout": "<hh", "sync": "aa55"}
    with pytest.raises(ConfigError, match="'layout' has 2 values: expected 3: ax, ay, az"):
        serial.preflight("/dev/nope", WANTED, **layout)
    with pytest.raises(ConfigError, match="serial: channels: expected ax, ay, az, found ax, ay"):
        serial.preflight("/dev/nope", WANTED, **layout, channels=("ax", "ay"))
    with pytest.raises(ConfigError, match="serial:/dev/nope: rate_hz is missing"):
        serial.preflight("/dev/nope", None)
    serial.preflight("/dev/nope", WANTED, **{**layout, "layout": "<hhh"})
    with pytest.raises(ConfigError, match="'layout': expected format=struct beside it"):
        open_source("serial:/dev/nope?layout=<hh")
    with pytest.raises(ConfigError, match="'layout': expected a struct such as <hhh"):
        open_source("serial:/dev/nope?format=struct&sync=aa")


def test_a_port_has_one_reader():
    with wire() as (_, port):
        with open_source(f"serial:{port}"), pytest.raises(Retry, match="another program uses it"):
            open_source(f"serial:{port}")
        open_source(f"serial:{port}").close()


def test_the_lines_that_reset_a_board_are_as_told():
    for state in ("true", "false"):
        with open_source(
            f"serial:loop://?dtr={state}&rts={state}"
        ) as source:  # a loop wires DTR to DSR, RTS to CTS
            assert (source.port.dsr, source.port.cts) == (state == "true",) * 2


def test_an_unplugged_port_is_worth_another_try():
    with wire() as (sensor, port):
        source = open_source(f"serial:{port}", rate_hz=50)
        os.write(sensor, b"\n1,2,3\n")

        def unplug(found):
            if found:
                with contextlib.suppress(OSError):  # asked again until the reader notices
                    os.close(sensor)
            return False

        with pytest.raises(Retry, match="the connection broke"):
            collect(source, unplug)


def test_a_port_that_is_not_there_is_worth_another_try():
    with pytest.raises(Retry, match="serial:/dev/nope: cannot be opened: found No such file"):
        open_source("serial:///dev/nope")


def test_silence_is_a_fault_each_time_anew():
    with wire() as (_, port):
        source = open_source(f"serial:{port}?rate_hz=50&timeout_s=0.2")
        items = collect(source, lambda found: len(found) >= 2)
    assert [item.reason for item in items[:2]] == ["silence", "silence"]


def test_a_socket_and_a_loop_are_ports_too():
    server = socket.create_server(("127.0.0.1", 0))
    source = open_source(f"serial:socket://127.0.0.1:{server.getsockname()[1]}", rate_hz=50)
    sensor, _ = server.accept()
    with server, sensor:
        sensor.sendall(b"0,0\n" + b"1,2\n" * 1000)
        assert joined(collect(source, lambda found: samples_in(found) == 1000)).shape == (1000, 2)
    source = open_source("serial:loop://", rate_hz=50)
    source.port.write(b"0,0\n1,2\n3,4\n")
    assert joined(collect(source, lambda found: samples_in(found) == 2)).tolist() == [[1, 2], [3, 4]]


def test_a_peer_that_closes_a_socket_is_worth_another_try():
    server = socket.create_server(("127.0.0.1", 0))
    source = open_source(f"serial:socket://127.0.0.1:{server.getsockname()[1]}", rate_hz=50)
    sensor, _ = server.accept()
    with server, source:
        sensor.sendall(b"0,0\n1,2\n")
        sensor.close()
        with pytest.raises(Retry, match="the connection broke"):
            list(source)
        with pytest.raises(Retry, match="the connection broke"):
            source._read()


def test_without_a_rate_or_a_model_serial_asks_for_one():
    with open_source("serial:loop://") as source, pytest.raises(ConfigError, match=r"add \?rate_hz="):
        next(iter(source))
    with pytest.raises(ConfigError, match="no port"):
        open_source("serial:")
    with pytest.raises(ConfigError, match="a port that pyserial opens"):
        open_source("serial:nosuch://x")
    with pytest.raises(ConfigError, match="delimiter"):
        next(iter(open_source("serial:loop://?delimiter=abc&rate_hz=1")))
