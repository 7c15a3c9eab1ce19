"""Serial ports: bytes go both ways, a line that broke says so, and so does one that cannot be opened."""

import contextlib
import os
import tty

import pytest

from edge_sdk.errors import ConfigError, Retry
from firmware_bridge import ports
from firmware_bridge.ports import open_serial


@pytest.fixture
def terminal():
    """The other end of a pseudo terminal, and its path."""
    controller, device = os.openpty()
    tty.setraw(device)
    yield controller, os.ttyname(device)
    for end in (controller, device):
        with contextlib.suppress(OSError):
            os.close(end)


def test_bytes_go_both_ways(terminal):
    controller, path = terminal
    with open_serial(path) as port:
        assert port.read(0) == b""
        port.write(b"ping\0")
        assert os.read(controller, 10) == b"ping\0"
        os.write(controller, bytes(range(256)))
        assert port.read(5) == bytes(range(256))


def test_what_pyserial_makes_up_itself_is_a_port_too():
    with open_serial("loop://") as port:
        assert port.read(0.01) == b""
        port.write(b"ping")
        assert port.read(5) == b"ping"


def test_a_line_that_breaks_says_so(terminal):
    controller, path = terminal
    with open_serial(path) as port:
        os.close(controller)
        with pytest.raises(Retry, match=f"{path}: the connection broke: found "):
            port.read(5)


@pytest.mark.parametrize(
    "url", ["", "/dev/nothing/here", "/dev/null", "socket://127.0.0.1:1", "socket://nowhere:x"]
)
def test_what_cannot_be_opened_is_said_in_one_line(url):
    with pytest.raises((Retry, ConfigError)) as caught:
        open_serial(url)
    assert "\n" not in str(caught.value)


def test_a_kind_of_port_that_pyserial_does_not_know():
    with pytest.raises(ConfigError, match="pigeon://1: expected a port that pyserial opens"):
        open_serial("pigeon://1")


def test_a_line_that_nobody_reads_says_so(terminal, monkeypatch):
    monkeypatch.setattr(ports, "_WRITE_S", 0.01)
    with (
        open_serial(terminal[1]) as port,
        pytest.raises(Retry, match=r"does not take it: expected within 0\.01 s"),
    ):
        port.write(bytes(1_000_000))


def test_it_may_be_closed_twice_and_is_closed_then(terminal):
    _, path = terminal
    port = open_serial(path)
    port.close()
    port.close()
    with pytest.raises(Retry, match="the connection broke"):
        port.read(0)
    with pytest.raises(Retry, match="the connection broke"):
        port.write(b"x")
