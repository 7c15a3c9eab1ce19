"""What messages say: of a board that speaks otherwise, every body is refused and none is misread."""

import contextlib
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge import messages
from firmware_bridge.protocol import Message, ProtocolError, Type

FACTS = struct.pack("<4B2H3I32s", 1, 2, 1, 1, 1024, 1, 5, 8, 4096, bytes(range(32))) + b"motion"
TENSOR = struct.pack("<BB2xIfi6H", 0, 3, 300, 0.25, -128, 1, 100, 3, 0, 0, 0) + "größe".encode()


def test_facts():
    hello, inputs, outputs = messages.read_facts(FACTS)
    assert (inputs, outputs) == (2, 1)
    assert (hello.name, hello.arena_bytes, hello.max_payload) == ("motion", 4096, 1024)
    assert hello.digest == "sha256:" + bytes(range(32)).hex()
    assert (hello.tick_unit, hello.tick_numerator, hello.tick_denominator) == ("instructions", 5, 8)
    assert hello.measures_stack


def test_a_tensor():
    spec = messages.read_tensor(TENSOR)
    assert (spec.name, spec.dtype, spec.shape, spec.bytes) == ("größe", "int8", (1, 100, 3), 300)
    assert (spec.scale, spec.zero_point) == (0.25, -128)


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (0, 2, "version 2"),
        (1, 255, "255 inputs"),
        (3, 7, "unit 7"),
        (5, 0, "payload of 0"),
        (8, 0, "ticks of 0/8"),
        (12, 0, "ticks of 5/0"),
    ],
)
def test_facts_that_make_no_sense(at, value, words):
    body = bytearray(FACTS)
    body[at] = value
    with pytest.raises(ProtocolError, match=words):
        messages.read_facts(bytes(body))


@pytest.mark.parametrize(
    ("at", "value"), [(0, 3), (1, 7), (4, 1), (16, 2)], ids=["dtype", "rank", "size", "shape"]
)
def test_a_tensor_that_makes_no_sense(at, value):
    body = bytearray(TENSOR)
    body[at] = value
    with pytest.raises(ProtocolError):
        messages.read_tensor(bytes(body))


@given(st.binary(max_size=80), st.sampled_from(["facts", "tensor", "stats", "number", "ticks", "fault"]))
def test_any_body_is_read_or_refused(body, name):
    with contextlib.suppress(ProtocolError):
        getattr(messages, f"read_{name}")(body)


@given(st.binary(max_size=80))
def test_any_piece_is_read_or_refused(body):
    try:
        piece = messages.read_piece(Message(Type.BLOCK, 3, 0, 1, body))
    except ProtocolError:
        return
    assert piece.offset + len(piece.data) <= piece.total
    assert not math.isinf(piece.time_us)


def test_chunks():
    body = messages.chunk(7, 1024, 2500, b"abc")
    assert struct.unpack_from("<3I", body) == (7, 1024, 2500)
    assert messages.read_chunk(body) == b"abc"
    assert messages.read_chunk(body[:5]) == b""
