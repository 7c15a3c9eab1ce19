"""Stream messages: whole ones come in order, and those that are missing are counted, whatever was lost."""

import itertools
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.assembler import Assembler, BoardPrediction, SensorBlock
from firmware_bridge.protocol import Message, ProtocolError, Type

OUTPUTS = (b"\x01" * 5, b"\x02" * 9)


def pieces(kind, argument, counter, data, size=4, time_us=0):
    return [
        Message(
            kind,
            argument,
            0,
            1,
            struct.pack("<IQf2I", counter, time_us, 50.0, at, len(data)) + data[at : at + size],
        )
        for at in range(0, max(len(data), 1), size)
    ]


def prediction(counter):
    return [
        part for index, data in enumerate(OUTPUTS) for part in pieces(Type.PREDICTION, index, counter, data)
    ]


def block(counter):
    samples = np.arange(6, dtype=np.float32).reshape(3, 2) + counter
    return pieces(Type.BLOCK, 2, counter, samples.tobytes(), time_us=2**40 + counter)


def taken(assembler, parts):
    found = []
    for part in parts:
        assembler.take(part)
        while (message := assembler.next()) is not None:
            found.append(message)
    return found


def test_pieces_make_messages():
    first, second = taken(Assembler(2), block(0) + prediction(1))
    assert isinstance(first, SensorBlock)
    assert first.samples.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert (first.time_us, first.rate_hz, first.lost) == (2**40, 50.0, 0)
    assert second == BoardPrediction(1, 0, 0, OUTPUTS)


PARTS = [part for counter in range(6) for part in (prediction if counter % 3 == 2 else block)(counter)]


@given(st.sets(st.integers(0, len(PARTS) - 1)), st.sets(st.integers(0, len(PARTS) - 1)))
def test_whatever_is_lost_or_doubled_the_rest_is_right_and_the_count_too(lost, doubled):
    stream = []
    for index, part in enumerate(PARTS):
        stream += [] if index in lost else [part, part] if index in doubled else [part]
    found = taken(Assembler(2), stream)
    torn = {PARTS[index].body[0] for index in lost}
    whole = [counter for counter in range(6) if counter not in torn]
    assert [message.counter for message in found] == whole
    assert [message.lost for message in found] == [
        counter - before - 1 for before, counter in itertools.pairwise([-1, *whole])
    ]
    for message in found:
        if isinstance(message, SensorBlock):
            assert message.samples[0, 0] == message.counter
        else:
            assert message.outputs == OUTPUTS


def test_messages_that_nobody_takes_are_lost_and_counted():
    assembler = Assembler(1)
    for counter in range(5000):
        assembler.take(pieces(Type.PREDICTION, 0, counter, b"\0\0\0")[0])
    first = assembler.next()
    assert first.lost == first.counter == 5000 - 4096
    assert assembler.lost == first.lost


def test_the_counter_may_wrap():
    assembler = Assembler(1)
    assembler._next = 0xFFFFFFFF
    found = taken(assembler, [pieces(Type.PREDICTION, 0, n, b"\0")[0] for n in (0xFFFFFFFF, 0, 1)])
    assert [message.lost for message in found] == [0, 0, 0]


@pytest.mark.parametrize(("channels", "size"), [(0, 8), (3, 8)], ids=["no channels", "half a sample"])
def test_a_block_that_is_none(channels, size):
    with pytest.raises(ProtocolError, match="a block of"):
        Assembler(1).take(pieces(Type.BLOCK, channels, 0, bytes(size), size=size)[0])
