"""Frames between a host and a board, as docs/protocol.md specifies them; what they say is in `messages`."""

from __future__ import annotations

import binascii
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from edge_sdk.stuffing import stuffed, unstuffed

VERSION = 1
#: Bit of an answer's type.
ANSWER = 0x80
#: A frame is no longer than this, whatever a board says; what waits for the rest of one neither.
MAX_FRAME_BYTES = 66_000

_HEAD = struct.Struct("<BBHI")
_SEAL = struct.Struct("<I")
_CRC = struct.Struct("<H")


class Type(IntEnum):
    """What a message is. An answer has its request's type with the highest bit set."""

    HELLO = 0x01
    INIT = 0x02
    INPUT = 0x03
    RUN = 0x04
    OUTPUT = 0x05
    STREAM = 0x06
    STATS = 0x07
    BLOCK = 0xC1
    PREDICTION = 0xC2
    FAULT = 0xC3
    ERROR = 0xFF


class Code(IntEnum):
    """Why a board refuses a request; `REASONS` says it in words."""

    TYPE = 1
    LENGTH = 2
    SEAL = 3
    SESSION = 4
    TENSOR = 5
    RANGE = 6
    NUMBER = 7
    GONE = 8
    STREAMING = 9


#: As EDGEML_ERRORS in firmware/src/edgeml_messages.h, and a test compares.
REASONS = {
    Code.TYPE: "no request has this type",
    Code.LENGTH: "the request is shorter or longer than its type says",
    Code.SEAL: "the seal is not that of what arrived",
    Code.SESSION: "no such session is open: the board was reset",
    Code.TENSOR: "there is no such tensor or part",
    Code.RANGE: "the chunk lies outside of the tensor",
    Code.NUMBER: "the command is not the next one",
    Code.GONE: "the outputs are not there any more",
    Code.STREAMING: "the board streams and runs the model by itself",
}

#: Whole tensors are sealed by RUN: their chunks need no seal of their own.
_UNSEALED = {Type.INPUT, Type.OUTPUT | ANSWER}
#: Their seals are over tensors, too.
_SEALED_BEYOND = {Type.RUN, Type.RUN | ANSWER}


class ProtocolError(ValueError):
    """A frame that arrived whole says what the protocol does not know."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        type: of `Type`, or one with the bit `ANSWER`.
        argument: what the type makes of it.
        tag: of the request; its answer has the same.
        session: that the host opened.
        body: without head and seal.
        seal: as it came; None where the type has none.
    """

    type: int
    argument: int
    tag: int
    session: int
    body: bytes
    seal: int | None = None

    @property
    def _fields(self) -> bytes:
        return _HEAD.pack(self.type, self.argument, self.tag, self.session) + self.body

    def sealed(self, tensors: Sequence[bytes] = ()) -> int:
        """The seal that it should have, of RUN with the tensors that it speaks of: CRC-32."""
        crc = zlib.crc32(self._fields)
        for tensor in tensors:
            crc = zlib.crc32(tensor, crc)
        return crc

    def encode(self, tensors: Sequence[bytes] = ()) -> bytes:
        """The frame, with the zero before it and the one after it."""
        data = self._fields
        if self.type not in _UNSEALED:
            data += _SEAL.pack(self.sealed(tensors))
        return b"\0" + stuffed(data + _CRC.pack(crc16(data))) + b"\0"


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE."""
    return binascii.crc_hqx(data, 0xFFFF)


def decode(frame: bytes) -> Message | None:
    """The message in a frame between two zeros; None where it is damaged.

    The seal of RUN and of its answer is left to whoever knows the tensors.
    """
    data = unstuffed(frame)
    if data is None or len(data) < _HEAD.size + _CRC.size:
        return None
    data, check = data[: -_CRC.size], data[-_CRC.size :]
    if _CRC.unpack(check)[0] != crc16(data):
        return None
    kind, argument, tag, session = _HEAD.unpack_from(data)
    if kind in _UNSEALED:
        return Message(kind, argument, tag, session, data[_HEAD.size :])
    if len(data) < _HEAD.size + _SEAL.size:
        return None
    (seal,) = _SEAL.unpack(data[-_SEAL.size :])
    message = Message(kind, argument, tag, session, data[_HEAD.size : -_SEAL.size], seal)
    return message if kind in _SEALED_BEYOND or message.sealed() == seal else None


class Deframer:
    """Finds messages in bytes, however those are split and whatever lies between.

    Attributes:
        frames: good ones so far.
        damaged: frames that were none.
        garbage: bytes of those.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._overlong = False
        self.frames = self.damaged = self.garbage = 0

    def feed(self, data: bytes) -> Iterator[Message]:
        """Take bytes; yield the messages that are whole."""
        *frames, rest = data.split(b"\0")
        for frame in frames:
            self._append(frame)
            message = None if self._overlong else decode(bytes(self._buffer))
            if message is not None:
                self.frames += 1
            elif self._buffer or self._overlong:
                self.damaged += 1
                self.garbage += len(self._buffer)
            self._buffer.clear()
            self._overlong = False
            if message is not None:
                yield message
        self._append(rest)

    def _append(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > MAX_FRAME_BYTES:
            self._overlong = True
        if self._overlong:
            self.garbage += len(self._buffer)
            self._buffer.clear()
