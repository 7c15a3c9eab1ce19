"""A link to something that is no board of ours: silent, noisy, of another version, with another model."""

import contextlib
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.errors import DeviceError, Retry
from firmware_bridge import dialogue
from firmware_bridge.link import Link
from firmware_bridge.protocol import ANSWER, Deframer, Message, Type
from tests.instant_board import Clock

FACTS = struct.pack("<4B2H3I32s", 1, 0, 1, 0, 256, 0, 1, 1, 64, bytes(32)) + b"one"
TENSOR = struct.pack("<BB2xIfi6H", 0, 1, 4, 0.0, 0, 4, 0, 0, 0, 0, 0) + b"y"


class Answers:
    """A port behind which somebody answers.

    Args:
        say: what is said to a request: a body, a whole message, bytes, or None.
    """

    def __init__(self, say):
        self._say, self._deframer, self._waiting, self.asked = say, Deframer(), b"", []

    def write(self, data):
        for request in self._deframer.feed(data):
            self.asked.append(request)
            said = self._say(request)
            if isinstance(said, Message):
                self._waiting += said.encode()
            elif said is not None:
                answer = Message(request.type | ANSWER, request.argument, request.tag, request.session, said)
                self._waiting += answer.encode()

    def read(self, timeout_s):
        data, self._waiting = self._waiting, b""
        return data

    def close(self):
        pass


def hello(request):
    """A board that answers HELLO and nothing else."""
    return {0: FACTS, 1: b"core", 2: TENSOR}[request.argument] if request.type == Type.HELLO else None


def fault(request):
    return Message(Type.FAULT, 0, 0, 0, struct.pack("<2I", 0x1234, 1 << 25))


def error_to(request, code):
    return Message(Type.ERROR, code, request.tag, request.session, struct.pack("<I", 7))


def test_beside_a_sensor_a_link_needs_nothing_but_what_a_device_has():
    heavy = "{'tensorflow', 'keras', 'unicorn', 'elftools', 'converters', 'train_host'}"
    code = f"import sys, firmware_bridge.link, firmware_bridge.ports; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_nobody_is_there():
    port = Answers(lambda request: None)
    with pytest.raises(Retry) as caught:
        Link(port, timeout_s=0.05).hello()
    assert str(caught.value) == (
        "the board does not answer HELLO: expected an answer within 0.05 s, found nothing; "
        "is it connected, powered, flashed with the bridge's firmware, and the baud rate right?"
    )
    assert len(port.asked) > 1
    assert len({(request.tag, request.session) for request in port.asked}) == 1


def test_somebody_else_is_there():
    port = Answers(lambda request: None)
    port.read = lambda timeout_s: b"login: \r\n"
    with pytest.raises(Retry, match=r"found \d+ bytes that are none"):
        Link(port, timeout_s=0.05).hello()


@pytest.mark.parametrize(
    ("before", "wait_s"), [(b"", 5), (b"\x05noise\0", 1)], ids=["nothing was lost", "a frame was damaged"]
)
def test_a_run_is_asked_again_late_where_nothing_was_ever_lost(before, wait_s, monkeypatch):
    """What comes while the model runs would cost time that is being measured."""
    clock, ran_s = Clock(), []
    monkeypatch.setattr(dialogue, "time", clock)

    def say(request):
        if request.type == Type.RUN:
            ran_s.append(clock.now_s)
            return None
        return hello(request)

    def read(timeout_s):
        data, port._waiting = port._waiting, b""
        clock.now_s += 0.001 if data else timeout_s
        return data

    port = Answers(say)
    port.read, port._waiting = read, before
    with pytest.raises(Retry, match="the board does not answer RUN: expected an answer within 60 s"):
        Link(port, run_timeout_s=60).invoke([])
    assert ran_s[1] - ran_s[0] == pytest.approx(wait_s, abs=0.01)
    assert min(np.diff(ran_s)) >= wait_s - 0.01


def test_another_version():
    port = Answers(lambda request: b"\x02" + FACTS[1:])
    with pytest.raises(DeviceError) as caught:
        Link(port).hello()
    assert str(caught.value) == (
        "the board speaks otherwise than this version of edgeml: expected version 1 of the protocol, "
        "found version 2 of the protocol; build and flash its firmware again"
    )


def test_answers_to_other_questions_are_none():
    """An old tag, another session, another type, whatever a wire may have kept."""

    def stale(request):
        for change in (
            {"tag": request.tag ^ 1},
            {"session": request.session ^ 1},
            {"kind": Type.STATS | ANSWER},
        ):
            facts = {"kind": Type.HELLO | ANSWER, "tag": request.tag, "session": request.session, **change}
            port._waiting += Message(
                facts["kind"], 0, facts["tag"], facts["session"], b"\x02" + FACTS[1:]
            ).encode()
        return hello(request)

    port = Answers(stale)
    link = Link(port)
    assert link.hello().name == "one"
    assert link.counters.stale == 9


def test_another_model_than_before():
    said = [FACTS]
    port = Answers(
        lambda request: said[0] if request.argument == 0 and request.type == Type.HELLO else hello(request)
    )
    link = Link(port, timeout_s=0.05)
    assert link.hello().digest == "sha256:" + "00" * 32
    with pytest.raises(Retry, match="does not answer STATS"):
        link.stats()
    said[0] = FACTS[:-3] + b"two"
    with pytest.raises(
        DeviceError, match="there is another model on the board now: expected one, sha256:.*found two"
    ):
        link.hello()


def test_what_a_board_refuses_three_times_it_refuses():
    port = Answers(lambda request: hello(request) or error_to(request, 5))
    with pytest.raises(
        DeviceError, match=r"the board refuses STATS: found there is no such tensor or part \(7\)"
    ):
        Link(port).stats()
    assert [request.type for request in port.asked].count(Type.STATS) == 3


def test_a_refusal_that_nobody_knows():
    port = Answers(lambda request: hello(request) or error_to(request, 99))
    with pytest.raises(DeviceError, match="found error 99 in answer to STATS"):
        Link(port).stats()


def test_a_fault_ends_a_session_at_once():
    port = Answers(lambda request: hello(request) or fault(request))
    with pytest.raises(DeviceError, match="found a division by zero, at 0x00001234"):
        Link(port, timeout_s=60).stats()


def test_a_fault_of_before_counts_only_where_nobody_answers():
    def restarted(request):
        if request.type == Type.HELLO:
            port._waiting += fault(request).encode()
        return hello(request)

    port = Answers(restarted)
    link = Link(port, timeout_s=0.05)
    assert link.hello().name == "one"
    with pytest.raises(Retry, match="does not answer STATS"):
        link.stats()
    with pytest.raises(DeviceError, match="the board met a fault and stopped"):
        Link(Answers(fault), timeout_s=0.05).hello()


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_board_that_talks_nonsense(part):
    port = Answers(lambda request: b"\x01\xff" if request.argument == part else hello(request))
    if part == 1:
        assert Link(port).hello().core == "\x01\ufffd"
        return
    with pytest.raises(DeviceError, match="the board speaks otherwise"):
        Link(port).hello()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["answer", "error", "other", "noise"]),
            st.integers(0, 255),
            st.binary(max_size=80),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_whatever_a_board_says_ends_in_an_error_of_ours(words):
    """Good frames with anything in them, where an answer is waited for."""

    def say(request):
        kind, number, body = words[len(port.asked) % len(words)]
        if kind == "noise":
            port._waiting += body
            return None
        types = {"answer": request.type | ANSWER, "error": Type.ERROR, "other": number}
        return Message(types[kind], number, request.tag, request.session, body)

    port = Answers(say)
    link = Link(port, timeout_s=0.002, run_timeout_s=0.002)
    for act in (link.hello, link.stats, link.reset_state, link.stream, lambda: link.invoke([])):
        with pytest.raises(DeviceError):
            act()


@given(st.lists(st.binary(max_size=40), max_size=4), st.integers(0, 3))
def test_whatever_a_board_streams_ends_in_an_error_of_ours(bodies, channels):
    """The board streams well, and then it does not."""

    def say(request):
        if request.type == Type.STREAM and request.argument:
            for kind, body in zip((Type.BLOCK, Type.PREDICTION) * 2, bodies, strict=False):
                port._waiting += Message(kind, channels, 0, request.session, body).encode()
        return hello(request) or request.body

    port = Answers(say)
    with contextlib.suppress(DeviceError), Link(port, timeout_s=0.002).stream() as stream:
        for _ in range(4):
            stream.receive(0.001)
