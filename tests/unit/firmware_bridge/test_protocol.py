"""Frames: what goes in comes out, what was damaged is nothing, and the C side knows the same numbers."""

import itertools
import re
import zlib
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import firmware_bridge
from edge_sdk.stuffing import stuffed
from firmware_bridge.protocol import (
    ANSWER,
    MAX_FRAME_BYTES,
    REASONS,
    VERSION,
    Code,
    Deframer,
    Message,
    Type,
    crc16,
    decode,
)

HEADER = Path(firmware_bridge.__file__).parent / "firmware" / "src" / "edgeml_messages.h"
REQUESTS = [kind for kind in Type if kind < ANSWER]
MESSAGES = st.builds(
    Message,
    st.sampled_from([*Type, *(kind | ANSWER for kind in REQUESTS)]),
    st.integers(0, 255),
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**32 - 1),
    st.one_of(st.binary(max_size=600), st.binary(max_size=20).map(lambda part: part + bytes(300))),
)
#: Their seals are over tensors, or there are none.
UNTRUSTED = {Type.INPUT, Type.OUTPUT | ANSWER, Type.RUN, Type.RUN | ANSWER}
#: What a wire may do to a frame.
DAMAGE = st.tuples(
    st.sampled_from(["flip", "drop", "double", "cut"]), st.integers(0, 10**6), st.integers(0, 7)
)


def fields(message):
    return message.type, message.argument, message.tag, message.session, message.body


def damaged(frame, damage):
    kind, at, bit = damage
    at %= len(frame)
    changed = {
        "flip": bytes([frame[at] ^ 1 << bit]),
        "drop": b"",
        "double": frame[at : at + 1] * 2,
        "cut": b"",
    }[kind]
    return frame[:at] + changed + (b"" if kind == "cut" else frame[at + 1 :])


@given(MESSAGES)
def test_a_message_comes_back_as_it_went(message):
    frame = message.encode()
    assert frame[0] == frame[-1] == 0
    assert 0 not in frame[1:-1]
    found = decode(frame[1:-1])
    assert fields(found) == fields(message)
    assert found.seal in (None, message.sealed())


@given(MESSAGES, DAMAGE)
def test_one_fault_of_the_wire_never_makes_another_message(message, damage):
    assume(damage[0] == "flip" or message.type not in UNTRUSTED)  # a CRC-16 alone is fooled now and then
    frame = message.encode()
    for found in Deframer().feed(damaged(frame, damage) + b"\0"):
        assert fields(found) == fields(message)


@given(st.lists(MESSAGES, max_size=5), st.binary(max_size=60), st.lists(st.integers(0, 4000), max_size=8))
def test_however_bytes_are_split_and_whatever_lies_between_every_message_is_found(messages, junk, cuts):
    stream = junk + junk.join(message.encode() for message in messages) + junk
    deframer, found = Deframer(), []
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for start, stop in itertools.pairwise(edges):
        found += deframer.feed(stream[start:stop])
    assert [fields(message) for message in found] == [fields(message) for message in messages]
    assert deframer.frames == len(messages)


@given(st.binary(max_size=200))
def test_noise_is_no_message(noise):
    assert decode(noise.replace(b"\0", b"\1")) is None


@given(MESSAGES, st.integers(1, 2**32 - 1))
def test_what_a_crc_16_lets_pass_its_seal_does_not(message, error):
    """Another body with a CRC-16 that fits: only INPUT, OUTPUT and RUN wait for the seal of tensors."""
    data = message.encode()
    body = bytearray(message.body or b"\0\0\0\0")
    body[0] ^= error % 255 + 1
    seal = (
        b""
        if message.seal is None and decode(data[1:-1]).seal is None
        else message.sealed().to_bytes(4, "little")
    )
    head = bytes([message.type, message.argument]) + message.tag.to_bytes(2, "little")
    forged = head + message.session.to_bytes(4, "little") + bytes(body) + seal
    found = decode(stuffed(forged + crc16(forged).to_bytes(2, "little")))
    assert (found is None) is (message.type not in UNTRUSTED)
    if found is not None and found.seal is not None:
        assert found.sealed() != found.seal


def test_a_seal_goes_on_over_tensors():
    message = Message(Type.RUN, 0, 1, 2, b"abcd")
    whole = bytes([Type.RUN, 0, 1, 0, 2, 0, 0, 0]) + b"abcd" + b"one" + b"two"
    assert message.sealed([b"one", b"two"]) == zlib.crc32(whole)


def test_a_frame_without_an_end_is_thrown_away_and_the_next_one_is_found():
    deframer, message = Deframer(), Message(Type.STATS, 0, 1, 2, b"")
    for _ in range(4):
        assert not list(deframer.feed(b"\xff" * (MAX_FRAME_BYTES // 2)))
    assert [fields(found) for found in deframer.feed(message.encode())] == [fields(message)]
    assert deframer.damaged == 1
    assert deframer.garbage == 4 * (MAX_FRAME_BYTES // 2)


@pytest.mark.parametrize(("data", "check"), [(b"123456789", 0x29B1), (b"", 0xFFFF)], ids=["nine", "none"])
def test_the_crc_16_is_ccitt_false(data, check):
    assert crc16(data) == check


def test_the_c_side_has_the_same_numbers_and_words():
    text = HEADER.read_text()
    errors = re.findall(r'X\((\w+), (\d+), "([^"]*)"\)', text)
    assert [(name, int(number)) for name, number, _ in errors] == [(code.name, code.value) for code in Code]
    assert [words for *_, words in errors] == [REASONS[code] for code in Code]
    enums = {name: int(value, 0) for name, value in re.findall(r"EDGEML_(\w+) = (0x\w+|\d+)", text)}
    assert {kind.name: enums[kind.name] for kind in Type} == {kind.name: kind.value for kind in Type}
    assert (enums["ANSWER"], enums["PROTOCOL_VERSION"]) == (ANSWER, VERSION)
