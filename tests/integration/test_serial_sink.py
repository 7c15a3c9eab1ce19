"""Predictions reach the other end of a real pseudo-terminal or socket, or it is said that they do not."""

import csv
import json
import os
import pty
import socket
import threading
import time
import tty
from dataclasses import replace

import numpy as np
import pytest

from edge_sdk import Block, ConfigError, Model, Pipeline, Prediction, open_sink
from edge_sdk.errors import Retry
from edge_sdk.plugins import check_url
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

ONE = Prediction("fall", 0.91, None, np.array([0.09, 0.91], np.float32), "press-7", "r1", 0, event="start")


class Display:
    """The other end of a serial cable: keeps what it hears, while it reads."""

    def __init__(self):
        self._controller, self._device = pty.openpty()
        tty.setraw(self._device)
        self.path = os.ttyname(self._device)
        self.heard = b""
        self._reading = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._unplugged = False

    def read(self):
        self._reading.set()
        self._thread.start()
        return self

    @property
    def lines(self):
        return self.heard.decode().split("\n")[:-1]

    def unplug(self):
        if not self._unplugged:
            self._unplugged = True
            os.close(self._device)
            if self._reading.is_set():
                self._reading.clear()
                self._thread.join()
            os.close(self._controller)

    def _read(self):
        os.set_blocking(self._controller, False)
        while self._reading.is_set():
            try:
                self.heard += os.read(self._controller, 4096)
            except BlockingIOError:
                time.sleep(0.002)
            except OSError:  # nobody has the port open
                return


@pytest.fixture
def display():
    there = Display()
    yield there
    there.unplug()


def some(count, start=0):
    return [replace(ONE, sequence=start + i) for i in range(count)]


def write_on(sink, count=100):
    """Write until that fails."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        sink.write(some(count))


def test_json_lines_arrive(display):
    display.read()
    with open_sink(f"serial://{display.path}") as sink:
        sink.write(some(3))
        wait_for(lambda: len(display.lines) == 4)
    assert display.lines[0] == ""
    assert [json.loads(line) for line in display.lines[1:]] == [p.as_dict() for p in some(3)]


def test_csv_lines_arrive_and_a_label_stays_in_its_line(display):
    display.read()
    with open_sink(f"serial://{display.path}?format=csv") as sink:
        sink.write([ONE, replace(ONE, label='fäll,\r\n"hard"', event=None, score=None, value=1.5)])
        wait_for(lambda: len(display.lines) == 3)
    assert list(csv.reader(display.lines[1:])) == [
        ["press-7", "0", "fall", "0.91", "", "start"],
        ["press-7", "0", 'fäll, "hard"', "", "1.5", ""],
    ]


@pytest.mark.parametrize(("name", "end"), [("lf", b"\n"), ("crlf", b"\r\n"), ("cr", b"\r")])
def test_a_template_and_the_end_of_its_lines(display, name, end):
    display.read()
    with open_sink(
        f"serial://{display.path}", format="text", template="{label:>6}{score:6.2f}", line_end=name
    ) as sink:
        sink.write([ONE, replace(ONE, label="a\nOFF")])
        wait_for(lambda: display.heard.count(end) == 3)
    assert display.heard == end + b"  fall  0.91" + end + b" a OFF  0.91" + end


def test_the_safe_line_comes_first_after_silence_and_last_but_never_twice(display):
    display.read()
    sink = open_sink(f"serial://{display.path}", format="text", template="ON {sequence}", safe_line="OFF")
    sink.safe()
    sink.write(some(2))
    for _ in range(3):
        sink.safe()
    sink.write(some(1, 2))
    sink.close()
    sink.close()
    wait_for(lambda: len(display.lines) == 7)
    assert display.lines == ["", "OFF", "ON 0", "ON 1", "OFF", "ON 2", "OFF"]


def test_an_unplugged_port_is_a_retry_also_while_nothing_is_written(display):
    with open_sink(f"serial://{display.path}?safe_line=OFF") as sink:
        sink.idle()
        display.unplug()
        for action in (sink.idle, lambda: sink.write([ONE]), sink.safe):
            with pytest.raises(Retry, match="the connection broke"):
                action()
    with pytest.raises(Retry, match="cannot be opened: found No such file"):
        open_sink(f"serial://{display.path}")


def test_a_port_unplugged_in_mid_write_is_a_retry(display):
    display.read()

    def unplug():
        wait_for(lambda: len(display.heard) > 10_000)
        display.unplug()

    unplugging = threading.Thread(target=unplug)
    with open_sink(f"serial://{display.path}?timeout_s=10") as sink:
        unplugging.start()
        with pytest.raises(Retry, match="the connection broke"):
            write_on(sink)
        unplugging.join()


def test_a_reader_that_is_stuck_is_given_up_in_time(display):
    started = time.monotonic()
    with (
        open_sink(f"serial://{display.path}?timeout_s=0.3&safe_line=OFF") as sink,
        pytest.raises(Retry, match="does not take it: expected within 0.3 s; is its flow control stuck"),
    ):
        write_on(sink)
    assert time.monotonic() - started < 5


def test_half_a_line_from_before_is_ended_first(display):
    """What was torn cannot become the beginning of something else."""
    url = f"serial://{display.path}?format=text&template=SPEED+{{sequence}}&timeout_s=0.1"
    with open_sink(url) as sink, pytest.raises(Retry):
        write_on(sink)
    os.write(display._device, b"SPEED 9")
    display.read()
    with open_sink(url, safe_line="STOP"):
        wait_for(lambda: display.lines[-1:] == ["STOP"])
    assert display.lines[-2].endswith("SPEED 9")


#: pyserial leaves the socket to the garbage collector when the peer has gone first.
LEFT_OPEN = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def peer():
    """A server's port, and who connected to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@LEFT_OPEN
def test_a_socket_in_place_of_a_port(peer):
    with open_sink(f"serial:socket://127.0.0.1:{peer.getsockname()[1]}?format=csv") as sink:
        connected, _ = peer.accept()
        sink.write(some(2))
        with connected, connected.makefile("r") as lines:
            assert [lines.readline() for _ in range(3)] == [
                "\n",
                "press-7,0,fall,0.91,,start\n",
                "press-7,1,fall,0.91,,start\n",
            ]
        with pytest.raises(Retry, match="the connection broke"):
            write_on(sink)


@LEFT_OPEN
def test_a_socket_whose_peer_reads_nothing_does_not_hang(peer):
    with open_sink(f"serial:socket://127.0.0.1:{peer.getsockname()[1]}?timeout_s=0.3") as sink:
        connected, _ = peer.accept()
        with connected, pytest.raises(Retry, match="does not take it"):
            write_on(sink, 1000)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"format": "text"}, "template and format = 'text': expected both or neither"),
        ({"template": "{label}"}, "template and format = 'text'"),
        ({"format": "text", "template": "{lable}"}, "unknown field 'lable'"),
        ({"format": "text", "template": "{label}\n"}, "one line of printable text"),
        ({"safe_line": "OFF\r"}, "one line of printable text"),
        ({"format": "xml"}, "format"),
        ({"line_end": "none"}, "line_end"),
        ({"baud": 0}, "baud"),
        ({"timeout_s": 0}, "timeout_s"),
    ],
)
def test_a_mistake_is_found_without_a_port(options, match):
    plugin = check_url("sinks", "serial:///dev/none")[0]
    with pytest.raises(ConfigError, match=match):
        plugin.preflight("/dev/none", None, **check_url("sinks", "serial:///dev/none", options)[2])


def test_no_port_and_no_kind_of_port():
    with pytest.raises(ConfigError, match="no port"):
        open_sink("serial:")
    with pytest.raises(ConfigError, match="a port that pyserial opens"):
        open_sink("serial:nonsense://x")
    with pytest.raises(Retry, match="cannot be opened: found No such file"):
        open_sink("serial:///dev/no-such-port")


def test_a_pipeline_makes_the_port_safe_at_its_end(display, linear_file):
    display.read()
    samples = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    blocks = [Block(samples, 50.0, device="wrist", end=True) for _ in range(5)]
    url = f"serial://{display.path}?safe_line=OFF&format=text&template=ON {{sequence}}"
    report = Pipeline(Model.load(linear_file), [blocks], [url.replace(" ", "+")]).run()
    wait_for(lambda: display.lines[-1:] == ["OFF"] and "ON 4" in display.lines)
    assert report.ledger.balanced
    assert [line for line in display.lines if line.startswith("ON")] == [f"ON {i}" for i in range(5)]
