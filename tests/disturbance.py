"""A line on which exactly what a case says goes wrong."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edge_sdk.stuffing import stuffed, unstuffed
from firmware_bridge.ports import Port
from firmware_bridge.protocol import crc16
from tests.board import frames_of, type_of


class DisturbedPort:
    """A port between a link and a board, which damages certain frames.

    Args:
        port: to the board.
        disturbances: each with ``frame``, such as ``RUN`` or ``RUN answer``; ``nth`` of those, 1 which is the
            default, 2, … or ``every``; ``does``, a method of this class without its underscore; and what that
            is given.
        reset: resets the board.

    Attributes:
        seen: frames of each type that a side sent, before anything happened to them.
        undone: disturbances that did not come about.
    """

    def __init__(
        self,
        port: Port,
        disturbances: Sequence[Mapping[str, Any]] = (),
        reset: Callable[[], None] | None = None,
    ) -> None:
        self._port, self._reset = port, reset
        self._rest = self._before = b""
        self.disturb(disturbances)

    def disturb(self, disturbances: Sequence[Mapping[str, Any]]) -> None:
        """These and no others from now on; frames are counted anew."""
        self._disturbances, self.undone = disturbances, list(disturbances)
        self.seen: Counter[str] = Counter()

    def write(self, data: bytes) -> None:
        for frame in frames_of(data):
            data = self._disturbed(frame)
            if data:
                self._port.write(data)

    def read(self, timeout_s: float) -> bytes:
        until_s = time.monotonic() + timeout_s
        while True:
            whole, zero, self._rest = (self._rest + self._port.read(timeout_s)).rpartition(b"\0")
            data = b"".join(self._disturbed(frame) for frame in frames_of(whole + zero))
            if data or time.monotonic() >= until_s:
                return data

    def close(self) -> None:
        self._port.close()

    def _disturbed(self, frame: bytes) -> bytes:
        name = type_of(frame)
        self.seen[name] += 1
        for disturbance in self._disturbances:
            facts = dict(disturbance)
            if facts.pop("frame") == name and facts.pop("nth", 1) in (self.seen[name], "every"):
                if disturbance in self.undone:
                    self.undone.remove(disturbance)
                frame = getattr(self, "_" + facts.pop("does"))(frame, **facts)
        self._before = frame
        return frame

    def _flip(self, frame: bytes, at: int, bits: int) -> bytes:
        return frame[:at] + bytes([frame[at] ^ bits]) + frame[at + 1 or len(frame) :]

    def _lose(self, frame: bytes, at: int = 0, bytes: int = 0) -> bytes:  # noqa: A002
        """So many bytes; all of it where no number is given."""
        return frame[:at] + frame[at + bytes :] if bytes else b""

    def _double(self, frame: bytes, at: int) -> bytes:
        return frame[: at + 1] + frame[at:]

    def _cut(self, frame: bytes, at: int) -> bytes:
        return frame[:at]

    def _repeat(self, frame: bytes, times: int) -> bytes:
        return frame * (1 + times)

    def _replay(self, frame: bytes) -> bytes:
        """The frame before this one, once more after it."""
        return frame + self._before

    def _precede(self, frame: bytes, hex: str) -> bytes:  # noqa: A002
        return bytes.fromhex(hex) + frame

    def _forge(self, frame: bytes, at: int, bits: int) -> bytes:
        """Another message, with a CRC-16 that fits: what that check lets pass once in 65,536 times."""
        data = unstuffed(frame.strip(b"\0"))
        assert data is not None
        data = self._flip(data[:-2], at, bits)
        return b"\0" + stuffed(data + crc16(data).to_bytes(2, "little")) + b"\0"

    def _reboot(self, frame: bytes, at: int) -> bytes:
        """The board is reset when so many bytes of the frame were sent."""
        assert self._reset is not None
        self._port.write(frame[:at])
        self._reset()
        return frame[at:]
