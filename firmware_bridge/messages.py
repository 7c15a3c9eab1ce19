"""What messages say: the bodies of requests and answers, as docs/protocol.md specifies them."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from firmware_bridge.protocol import VERSION, Message, ProtocolError

_NUMBER = struct.Struct("<I")
_PAIR = struct.Struct("<2I")
_CHUNK = struct.Struct("<3I")
_FACTS = struct.Struct("<4B2H3I32s")
_TENSOR = struct.Struct("<BB2xIfi6H")
_STATS = struct.Struct("<9I")
_PIECE = struct.Struct("<IQf2I")

_UNITS: tuple[Literal["ns", "instructions"], ...] = ("ns", "instructions")
_DTYPES = ("int8", "int16", "float32")
#: HELLO's argument: facts, the core's name, and from here on the tensors.
PART_FACTS, PART_CORE, PART_TENSORS = 0, 1, 2
_MOST_TENSORS = 256 - PART_TENSORS


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a model on a board.

    Attributes:
        name: in the model's signature.
        dtype: ``int8``, ``int16`` or ``float32``.
        shape: with the batch axis.
        scale: real = scale · (quantized − zero_point); 0 where it is not quantized.
        zero_point: likewise.
        bytes: of all of it.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Hello:
    """What a board says about itself and its model.

    Attributes:
        version: of the protocol.
        name: of the model.
        digest: ``sha256:…`` of the flatbuffer.
        arena_bytes: of the model's static memory.
        core: such as ``cortex-m4``.
        tick_unit: what one inference is measured in.
        tick_numerator: one tick is tick_numerator / tick_denominator of that unit.
        tick_denominator: likewise.
        max_payload: the most bytes of a tensor in a frame.
        measures_stack: the board knows how deep its stack was.
        inputs: in the model's order.
        outputs: in the model's order.
    """

    version: int
    name: str
    digest: str
    arena_bytes: int
    core: str
    tick_unit: Literal["instructions", "ns"]
    tick_numerator: int
    tick_denominator: int
    max_payload: int
    measures_stack: bool
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True)
class Stats:
    """What a board counted since it started.

    Attributes:
        frames: good ones that it received.
        malformed: those that were no frame.
        torn: those whose CRC-16 was wrong.
        bytes: that it received.
        runs: of the model.
        errors: requests that it refused.
        stack_bytes: size of its stack; 0 where the board does not measure it.
        stack_used_bytes: the most that was ever used of it.
        arena_bytes: of the model.
    """

    frames: int
    malformed: int
    torn: int
    bytes: int
    runs: int
    errors: int
    stack_bytes: int
    stack_used_bytes: int
    arena_bytes: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a stream message.

    Attributes:
        counter: of messages, from 0 where the stream began.
        time_us: by the board's clock.
        rate_hz: of a block.
        index: of the output; of a block the number of channels.
        offset: of these bytes in the whole.
        total: bytes of the whole.
        data: the bytes.
    """

    counter: int
    time_us: int
    rate_hz: float
    index: int
    offset: int
    total: int
    data: bytes


def numbered(number: int) -> bytes:
    """The body of INIT, RUN and STREAM."""
    return _NUMBER.pack(number)


def chunk(number: int, offset: int, third: int, data: bytes = b"") -> bytes:
    """The body of INPUT, of OUTPUT, and of OUTPUT's answer.

    Args:
        number: of the RUN that consumes the input, or that made the output.
        offset: of the first byte in the tensor.
        third: bytes of the tensor; where OUTPUT asks, how many are wanted.
        data: the bytes.
    """
    return _CHUNK.pack(number, offset, third) + data


def read_chunk(body: bytes) -> bytes:
    """The bytes of a chunk, as they came: they may be wrong, and only RUN's seal tells."""
    return body[_CHUNK.size :]


def read_number(body: bytes) -> int:
    """The number of the command that was answered; the detail of an error."""
    return int(_read(_NUMBER, body)[0])


def read_ticks(body: bytes) -> tuple[int, int]:
    """Number and ticks of a RUN."""
    number, ticks = _read(_PAIR, body)
    return number, ticks


def read_facts(body: bytes) -> tuple[Hello, int, int]:
    """Part 0 of HELLO without core and tensors, and how many inputs and outputs there are.

    Raises:
        ProtocolError: it is another version's, or makes no sense.
    """
    if body and body[0] != VERSION:
        raise ProtocolError(f"version {body[0]} of the protocol")
    version, inputs, outputs, unit, payload, abilities, top, bottom, arena, digest = _read(_FACTS, body)
    if unit >= len(_UNITS) or not bottom or not top or not payload:
        raise ProtocolError(f"ticks of {top}/{bottom} of unit {unit}, payload of {payload} bytes")
    if inputs + outputs > _MOST_TENSORS:
        raise ProtocolError(f"{inputs} inputs and {outputs} outputs")
    name = _text(body[_FACTS.size :])
    return (
        Hello(
            version=version,
            name=name,
            digest=f"sha256:{digest.hex()}",
            arena_bytes=arena,
            core="",
            tick_unit=_UNITS[unit],
            tick_numerator=top,
            tick_denominator=bottom,
            max_payload=payload,
            measures_stack=bool(abilities & 1),
            inputs=(),
            outputs=(),
        ),
        inputs,
        outputs,
    )


def read_text(body: bytes) -> str:
    """Part 1 of HELLO: the core."""
    return _text(body)


def read_tensor(body: bytes) -> TensorSpec:
    """A further part of HELLO.

    Raises:
        ProtocolError: its dtype is unknown, or its shape is not of so many bytes.
    """
    dtype, rank, size, scale, zero_point, *shape = _read(_TENSOR, body)
    if dtype >= len(_DTYPES) or rank > len(shape):
        raise ProtocolError(f"a tensor of dtype {dtype} and rank {rank}")
    spec = TensorSpec(
        _text(body[_TENSOR.size :]), _DTYPES[dtype], tuple(shape[:rank]), scale, zero_point, size
    )
    if math.prod(spec.shape) * np.dtype(spec.dtype).itemsize != size:
        raise ProtocolError(f"{spec.dtype} {list(spec.shape)} of {size} bytes")
    return spec


def read_stats(body: bytes) -> Stats:
    """The answer to STATS."""
    return Stats(*_read(_STATS, body))


def read_piece(message: Message) -> Piece:
    """A BLOCK or PREDICTION.

    Raises:
        ProtocolError: it makes no sense.
    """
    counter, time_us, rate_hz, offset, total = _read(_PIECE, message.body)
    data = message.body[_PIECE.size :]
    if offset + len(data) > total:
        raise ProtocolError(f"bytes {offset} to {offset + len(data)} of {total}")
    return Piece(counter, time_us, rate_hz, message.argument, offset, total, data)


def read_fault(body: bytes) -> tuple[int, int]:
    """Program counter and CFSR."""
    counter, cfsr = _read(_PAIR, body)
    return counter, cfsr


def _read(layout: struct.Struct, body: bytes) -> tuple[Any, ...]:
    try:
        return layout.unpack_from(body)
    except struct.error as error:
        raise ProtocolError(f"a body of {len(body)} bytes, not {layout.size} or more") from error


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
