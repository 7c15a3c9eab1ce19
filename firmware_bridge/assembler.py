"""Stream messages: put together from their pieces, with what was lost between them counted."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.messages import Piece, read_piece
from firmware_bridge.protocol import Message, ProtocolError, Type

#: Messages that wait to be taken; of more, the oldest are lost.
_LONGEST_QUEUE = 4096


@dataclass(frozen=True, slots=True)
class SensorBlock:
    """Samples that a board measured.

    Attributes:
        counter: of messages since the stream began.
        lost: messages that are missing before this one.
        time_us: of the first sample, by the board's clock.
        samples: float32 [n, channels], in the units of the model's contract.
        rate_hz: nominal.
    """

    counter: int
    lost: int
    time_us: int
    samples: NDArray[np.float32]
    rate_hz: float


@dataclass(frozen=True, slots=True)
class BoardPrediction:
    """What the model on a board said about one window.

    Attributes:
        counter: of messages since the stream began.
        lost: messages that are missing before this one.
        time_us: of the window's end, by the board's clock.
        outputs: bytes of each, as the tensors hold them.
    """

    counter: int
    lost: int
    time_us: int
    outputs: tuple[bytes, ...]


class Assembler:
    """Puts messages together.

    Args:
        outputs: how many the model has.

    Attributes:
        lost: messages that never became whole, or were not taken in time.
    """

    def __init__(self, outputs: int) -> None:
        self._outputs = outputs
        self._whole: deque[tuple[int, Piece, tuple[bytes, ...]]] = deque(maxlen=_LONGEST_QUEUE)
        #: Of the message that is being put together: its outputs, and bytes that the last of them lacks.
        self._parts: list[bytearray] = []
        self._missing = 0
        self._key: tuple[int, int] | None = None
        self._next = 0
        self.lost = 0

    def take(self, message: Message) -> None:
        """Take a BLOCK or PREDICTION.

        Raises:
            ProtocolError: it makes no sense.
        """
        piece = read_piece(message)
        is_block = message.type == Type.BLOCK
        if is_block and (not piece.index or piece.total % (4 * piece.index)):
            raise ProtocolError(f"a block of {piece.total} bytes in {piece.index} channels")
        if (message.type, piece.counter) != self._key:
            self._key, self._parts, self._missing = (message.type, piece.counter), [], 0
        index = 0 if is_block else piece.index
        if index == len(self._parts) and not self._missing and not piece.offset:
            self._parts.append(bytearray())
            self._missing = piece.total
        if index != len(self._parts) - 1 or piece.offset != len(self._parts[index]):
            return  # a piece is missing, or came twice: the counter of the next message tells
        self._parts[index] += piece.data
        self._missing -= len(piece.data)
        if not self._missing and (is_block or len(self._parts) == self._outputs):
            self._whole.append((message.type, piece, tuple(bytes(part) for part in self._parts)))

    def next(self) -> SensorBlock | BoardPrediction | None:
        """The next message that is whole."""
        while self._whole:
            kind, piece, parts = self._whole.popleft()
            lost = (piece.counter - self._next) & 0xFFFFFFFF
            if lost >= 1 << 31:  # it came before
                continue
            self._next = (piece.counter + 1) & 0xFFFFFFFF
            self.lost += lost
            if kind == Type.PREDICTION:
                return BoardPrediction(piece.counter, lost, piece.time_us, parts)
            samples = np.frombuffer(parts[0], "<f4").reshape(-1, piece.index).astype(np.float32)
            return SensorBlock(piece.counter, lost, piece.time_us, samples, piece.rate_hz)
        return None
