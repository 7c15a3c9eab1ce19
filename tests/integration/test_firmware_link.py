"""A model on a board over a bad line: never a wrong tensor, never a hang, and what was lost is told.

The board is the C side of the bridge as a process, with a model that remembers and whose outputs lie over its
inputs: what ran twice, or was written too late, shows.
"""

import contextlib
import json
import os
import random
import socket
import struct
import subprocess
import time
import tomllib
import tty
from collections import Counter

import numpy as np
import pytest

from edge_sdk.errors import DeviceError, Retry, SpecError
from edge_sdk.stuffing import stuffed, unstuffed
from firmware_bridge import dialogue, faults
from firmware_bridge.faults import Faults, FaultyPort
from firmware_bridge.link import BoardPrediction, BoardReset, Link, SensorBlock
from firmware_bridge.ports import open_serial
from firmware_bridge.protocol import crc16
from tests.board import ROOT, Board, compiled, frames_of
from tests.disturbance import DisturbedPort
from tests.instant_board import Clock, InstantBoard, built

pytestmark = pytest.mark.integration
CASES = sorted((ROOT / "tests" / "golden" / "link").glob("*/"))
#: Of random faults, s; an hour before a release.
SECONDS = float(os.environ.get("EDGEML_LINK_S", "6"))
#: The same by the clock of a line, which passes as fast as this machine computes, s.
LINE_S = max(SECONDS, 300)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compiled("board", tmp_path_factory.mktemp("board"))


@pytest.fixture
def board(program):
    board = Board(program)
    with Link(board) as link:
        link.hello()  # it has started: from here on it may be reset
        yield board


class Twin:
    """What the model on the board must say."""

    def __init__(self, seed=0):
        self._random = np.random.default_rng(seed)
        self.forget()

    def forget(self):
        self.sum, self.runs = np.zeros(5, np.float32), 0

    def inputs(self):
        """Zeros, runs of 254 and more bytes, and everything else."""
        a = self._random.integers(-100, 100, 5).astype(np.float32)
        b = self._random.integers(-128, 128, 2500).astype(np.int8)
        b[: self._random.integers(2500)] = self._random.integers(2)
        return a, b

    def check(self, outcome, a, b):
        self.runs += 1
        self.sum += a
        total, echo, count = outcome.outputs
        assert struct.unpack("<h", count) == (self.runs,)
        assert total == self.sum.tobytes()
        assert echo == b[::-1].tobytes()
        assert outcome.cost == 1500 * self.runs


class Forger:
    """Changes a byte of each 200th frame either way, with a CRC-16 that fits, as chance has it in 65,536."""

    def __init__(self, port):
        self._port, self._random = port, random.Random(1)

    def read(self, timeout_s):
        return self._forged(self._port.read(timeout_s))

    def write(self, data):
        self._port.write(self._forged(data))

    def _forged(self, data):
        if self._random.randrange(200):
            return data
        return b"".join(self._other(frame) for frame in frames_of(data))

    def _other(self, frame):
        body = bytearray(unstuffed(frame.strip(b"\0")) or b"")[:-2]
        if not body:
            return frame
        body[self._random.randrange(len(body))] ^= self._random.randrange(1, 256)
        return b"\0" + stuffed(bytes(body) + crc16(bytes(body)).to_bytes(2, "little")) + b"\0"


def infer(link, twin):
    """Whether it was right, or was told that the model has forgotten; nothing else is allowed."""
    a, b = twin.inputs()
    try:
        outcome = link.invoke([a.tobytes(), b.tobytes()])
    except BoardReset:
        twin.forget()
        return "reset"
    twin.check(outcome, a, b)
    return "right"


def test_what_a_board_says_about_itself(board):
    hello = Link(board).hello()
    assert (hello.version, hello.name, hello.core, hello.arena_bytes) == (1, "accumulate", "process", 2524)
    assert hello.digest == "sha256:010203" + "00" * 29
    assert (hello.tick_unit, hello.tick_numerator, hello.tick_denominator) == ("instructions", 3, 2)
    assert [(spec.name, spec.dtype, spec.shape) for spec in hello.inputs + hello.outputs] == [
        ("a", "float32", (1, 5)),
        ("b", "int8", (1, 50, 50)),
        ("sum", "float32", (1, 5)),
        ("echo", "int8", (1, 50, 50)),
        ("count", "int16", (1,)),
    ]
    assert (hello.inputs[1].scale, hello.inputs[1].zero_point) == (0.5, -3)


def test_a_model_remembers_until_it_is_told_to_forget(board):
    link, twin = Link(board), Twin()
    assert [infer(link, twin) for _ in range(3)] == ["right"] * 3
    link.reset_state()
    twin.forget()
    assert infer(link, twin) == "right"
    stats = link.stats()
    assert (stats.runs, stats.errors, stats.malformed, stats.torn) == (4, 0, 0, 0)
    assert (stats.stack_bytes, stats.stack_used_bytes, stats.arena_bytes) == (256, 64, 2524)
    assert stats.bytes >= link.counters.bytes_sent


def test_inputs_of_another_size_are_refused_before_anything_is_sent(board):
    link, twin = Link(board), Twin()
    assert infer(link, twin) == "right"
    with pytest.raises(
        SpecError, match=r"accumulate: the inputs: expected \[20, 2500\] bytes, found \[20\] bytes"
    ):
        link.invoke([bytes(20)])
    assert infer(link, twin) == "right"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_corpus(board, case):
    """Three inferences in a row on a line that is disturbed as the folder says."""
    facts = tomllib.loads((case / "case.toml").read_text())
    port = DisturbedPort(board, reset=board.reset)
    link, twin = Link(port, run_timeout_s=4), Twin()
    if not facts.get("fresh"):  # it knows how long answers take, and waits no longer
        assert infer(link, twin) == "right"
        link.reset_state()
        twin.forget()
    port.disturb(facts["disturb"])
    outcomes = [infer(link, twin) for _ in range(3)]
    assert not port.undone
    assert outcomes == json.loads((case / "expected.json").read_text())["outcomes"]


@pytest.mark.parametrize(
    "faults",
    [
        Faults(drop=2e-4),
        Faults(corrupt=2e-4),
        Faults(double=2e-4),
        Faults(truncate=0.1, repeat=0.1),
        Faults(reset=0.03),
        Faults(delay_s=0.005),
        Faults(corrupt=1e-4, drop=2e-5, double=2e-5, truncate=0.01, repeat=0.01, reset=0.005, delay_s=0.001),
    ],
    ids=["drop", "corrupt", "double", "frames", "reset", "delay", "all"],
)
@pytest.mark.timeout(300 + 2 * SECONDS)
def test_random_faults(board, faults):
    """Whatever goes wrong, each inference is right, or the model is known to have forgotten."""
    port = FaultyPort(board, faults, board.reset)
    link, twin = Link(port, timeout_s=30, run_timeout_s=10), Twin()
    until_s = time.monotonic() + SECONDS / 7
    outcomes = {"right": 0, "reset": 0, "given up": 0}
    while time.monotonic() < until_s or outcomes["right"] < 3:
        try:
            outcomes[infer(link, twin)] += 1
            if twin.runs == 12:
                link.reset_state()
                twin.forget()
        except DeviceError as error:  # eight resets in one call, which chance brings once in a thousand
            if "is reset again and again" not in str(error):
                raise
            twin.forget()
            outcomes["given up"] += 1
    assert outcomes["given up"] <= outcomes["right"] / 20
    if faults.reset == 0:
        assert outcomes["reset"] == outcomes["given up"] == 0


@pytest.mark.timeout(300 + SECONDS)
def test_an_hour_of_random_faults(tmp_path, monkeypatch):
    """By the line's own clock, at 115200 baud: some frames that a CRC-16 lets pass are among them."""
    clock = Clock()
    for module in (dialogue, faults):
        monkeypatch.setattr(module, "time", clock)
    board = InstantBoard(built(tmp_path), clock)
    bad = Faults(corrupt=1e-4, drop=2e-5, double=2e-5, truncate=0.01, repeat=0.01, reset=0.002, delay_s=0.02)
    port = FaultyPort(Forger(board), bad, board.reset)
    link, twin = Link(port, timeout_s=30), Twin()
    outcomes = Counter()
    while clock.now_s < LINE_S:
        outcomes[infer(link, twin)] += 1
    assert outcomes["right"] > LINE_S / 10
    assert outcomes["reset"] <= link.counters.resets <= port.injected["reset"]
    assert link.counters.resends > 0


def test_a_model_without_memory_is_run_again_wherever_the_board_was_reset(board):
    """As long as each window stands for itself, a reset needs nobody's attention."""
    port = FaultyPort(board, Faults(reset=0.05, seed=5), board.reset)
    link = Link(port, stateful=False, run_timeout_s=10)
    twin = Twin()
    for _ in range(20):
        a, b = twin.inputs()
        outcome = link.invoke([a.tobytes(), b.tobytes()])
        assert outcome.outputs[1] == b[::-1].tobytes()
    assert 0 < link.counters.resets <= port.injected["reset"]  # two in a row are noticed as one


def test_a_board_that_is_reset_again_and_again_ends_in_an_error(board):
    port = DisturbedPort(board, reset=board.reset)
    link = Link(port, stateful=False, run_timeout_s=4)
    link.invoke([bytes(20), bytes(2500)])
    port.disturb([{"frame": "RUN", "nth": "every", "does": "reboot", "at": 3}])
    with pytest.raises(
        DeviceError, match="reset again and again: found 8 resets in one call; does a watchdog"
    ):
        link.invoke([bytes(20), bytes(2500)])


@pytest.mark.parametrize("frame", ["INPUT", "OUTPUT answer"])
def test_tensors_that_always_arrive_damaged_end_in_an_error(board, frame):
    port = DisturbedPort(board, [{"frame": frame, "nth": "every", "does": "forge", "at": 21, "bits": 1}])
    link, twin = Link(port), Twin()
    with pytest.raises(DeviceError, match="arrive damaged again and again"):
        infer(link, twin)
    assert link.counters.resends == 8
    port.disturb([])
    assert infer(link, twin) == "right"


def test_a_line_that_dies_ends_in_an_error_and_what_was_remembered_is_told(board):
    port = DisturbedPort(board)
    link, twin = Link(port, timeout_s=2), Twin()
    assert infer(link, twin) == "right"
    port.disturb([{"frame": "INPUT", "nth": "every", "does": "lose"}])
    with pytest.raises(Retry, match=r"the board does not answer INPUT: expected an answer within 2 s"):
        infer(link, twin)
    port.disturb([])
    assert infer(link, twin) == "reset"
    assert infer(link, twin) == "right"


def test_a_call_that_failed_is_told_to_who_asks_for_the_next_inference_and_not_after_a_reset_state(board):
    link, twin = Link(board), Twin()
    assert infer(link, twin) == "right"
    board.reset()
    assert link.stats().runs == 0
    assert infer(link, twin) == "reset"
    assert infer(link, twin) == "right"
    board.reset()
    link.reset_state()
    twin.forget()
    assert infer(link, twin) == "right"


def test_a_fault_is_reported_in_words(program):
    with Link(Board(program, "fault"), timeout_s=2) as link:
        with pytest.raises(DeviceError) as caught:
            link.hello()
        assert str(caught.value) == (
            "the board met a fault and stopped: found a division by zero, at 0x00001234 (CFSR 0x02000000); "
            "find the line with: arm-none-eabi-addr2line -e firmware.elf 0x00001234"
        )


def check_stream(messages):
    """What a board streams is right by itself; `lost` says what is not there."""
    expected = 0
    for message in messages:
        assert message.lost == message.counter - expected
        expected = message.counter + 1
        turn = message.counter - message.counter // 5  # each fifth message is a prediction
        if isinstance(message, SensorBlock):
            assert message.samples.tolist() == [[turn + (2 * n + c) / 8 for c in range(2)] for n in range(3)]
            assert (message.time_us, message.rate_hz) == (2**40 + 1000 * turn, 50)
        else:
            assert isinstance(message, BoardPrediction)
            total, echo, count = message.outputs
            runs = (message.counter + 1) // 5
            assert struct.unpack("<h", count) == (runs,)
            assert total == np.full(5, runs, np.float32).tobytes()
            assert echo == bytes([4 * runs & 0x7F]) * 2500


def test_a_stream(board):
    link = Link(board)
    with link.stream() as stream:
        messages = []
        for message in stream:
            messages.append(message)
            if len(messages) == 40:
                assert link.stats().runs == 0
            if len(messages) == 60:
                break
    check_stream(messages)
    assert [message.lost for message in messages] == [0] * 60
    assert stream.receive(0.1) is None
    assert infer(link, Twin()) == "right"


def test_a_stream_over_a_bad_line(board):
    """What is lost stays lost, and is counted; what arrives is right."""
    link = Link(FaultyPort(board, Faults(corrupt=2e-4, drop=5e-5, double=5e-5, delay_s=0.001, seed=2)))
    with link.stream() as stream:
        messages = [message for _, message in zip(range(150), stream, strict=False)]
    check_stream(messages)
    assert sum(message.lost for message in messages) == link.counters.messages_lost > 0
    assert infer(link, Twin()) == "right"


def test_a_board_that_is_reset_in_a_stream_is_noticed(board):
    with Link(board).stream() as stream:
        assert stream.receive(5) is not None
        board.reset()
        with pytest.raises(
            BoardReset, match="the board was reset and streams no more; open the stream again"
        ):
            for _ in stream:
                pass


def test_inferences_wait_for_the_end_of_a_stream(board):
    link = Link(board)
    streaming = pytest.raises(DeviceError, match="the board streams and runs the model by itself")
    with link.stream(), streaming:
        infer(link, Twin())
    assert infer(link, Twin()) == "right"


@contextlib.contextmanager
def on_a_terminal(program):
    """The board at the other end of a pseudo terminal, whose path is given."""
    controller, device = os.openpty()
    tty.setraw(device)
    process = subprocess.Popen([program], stdin=controller, stdout=controller)
    os.close(controller)
    try:
        yield os.ttyname(device), process
    finally:
        os.close(device)  # open until here: a board that reads while nobody has it open would see its end
        process.kill()
        process.wait()


def test_a_serial_port(program):
    with on_a_terminal(program) as (path, process), Link(open_serial(path)) as link:
        twin = Twin()
        assert [infer(link, twin) for _ in range(3)] == ["right"] * 3
        process.kill()
        with pytest.raises(Retry, match=f"{path}: the connection broke"):
            infer(link, twin)


def test_a_socket(program):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = open_serial(f"socket://127.0.0.1:{server.getsockname()[1]}")
        wire, _ = server.accept()
    process = subprocess.Popen([program], stdin=wire, stdout=wire)
    wire.close()
    with Link(port) as link:
        twin = Twin()
        assert [infer(link, twin) for _ in range(3)] == ["right"] * 3
    assert process.wait(10) == 0
