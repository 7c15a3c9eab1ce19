"""A line that does what bad lines do, so that what survives it can be trusted on a good one."""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from edge_sdk.closing import Closing
from firmware_bridge.ports import Port

#: Port reads in between while something is held back, s.
_SLICE_S = 0.002


@dataclass(frozen=True, slots=True)
class Faults:
    """How bad a line is.

    Attributes:
        drop: probability that a byte is lost.
        corrupt: probability that one bit of a byte is flipped.
        double: probability that a byte comes twice.
        truncate: probability that a write, which is a frame, loses its end.
        repeat: probability that a write comes twice.
        reset: probability that the board is reset while a write is on its way.
        delay_s: each piece is held back for up to so long, s.
        seed: the same faults each time, as far as the bytes come in the same pieces.
    """

    drop: float = 0.0
    corrupt: float = 0.0
    double: float = 0.0
    truncate: float = 0.0
    repeat: float = 0.0
    reset: float = 0.0
    delay_s: float = 0.0
    seed: int = 0


class FaultyPort(Closing):
    """A port with faults, in both directions.

    Args:
        port: the one that is wrapped; closed with this one.
        faults: how bad it is.
        reset: resets the board at once; without it no reset happens.

    Attributes:
        injected: how often each fault happened, by its name in `Faults`.
    """

    def __init__(self, port: Port, faults: Faults, reset: Callable[[], None] | None = None) -> None:
        self._port, self._faults, self._reset = port, faults, reset
        self._random = random.Random(faults.seed)
        self.injected: Counter[str] = Counter()
        #: What is held back, each way: when it goes on, and the bytes. Nothing overtakes.
        self._going: deque[tuple[float, bytes]] = deque()
        self._coming: deque[tuple[float, bytes]] = deque()

    def read(self, timeout_s: float) -> bytes:
        """What has come, with its faults; nothing where nothing comes in that time."""
        until_s = time.monotonic() + timeout_s
        while True:
            self._forward()
            due = self._due(self._coming)
            if due:
                return due
            left_s = until_s - time.monotonic()
            is_busy = bool(self._going or self._coming)
            data = self._port.read(max(0.0, min(left_s, _SLICE_S) if is_busy else left_s))
            if data:
                self._hold(self._coming, self._damaged(data))
            elif left_s <= 0:
                return b""

    def write(self, data: bytes) -> None:
        """Send it, with its faults; now or while something is read."""
        if self._happens("truncate"):
            data = data[: self._random.randrange(len(data) + 1)]
        for _ in range(1 + self._happens("repeat")):
            self._send(data)
        self._forward()

    def close(self) -> None:
        """Close the port; may be called twice."""
        self._port.close()

    def _send(self, data: bytes) -> None:
        if self._reset is not None and self._happens("reset"):
            at = self._random.randrange(len(data) + 1)
            self._port.write(self._damaged(data[:at]))
            self._reset()
            data = data[at:]
        self._hold(self._going, self._damaged(data))

    def _forward(self) -> None:
        data = self._due(self._going)
        if data:
            self._port.write(data)

    def _hold(self, queue: deque[tuple[float, bytes]], data: bytes) -> None:
        """Hold back both parts of it, as long as chance wants."""
        at = self._random.randrange(len(data) + 1) if self._faults.delay_s else len(data)
        for part in (data[:at], data[at:]):
            if part:
                due_s = time.monotonic() + self._random.uniform(0, self._faults.delay_s)
                queue.append((due_s, part))

    @staticmethod
    def _due(queue: deque[tuple[float, bytes]]) -> bytes:
        data = b""
        while queue and queue[0][0] <= time.monotonic():
            data += queue.popleft()[1]
        return data

    def _damaged(self, data: bytes) -> bytes:
        faults, chance = self._faults, self._random.random
        drop, corrupt = faults.drop, faults.drop + faults.corrupt
        worst = corrupt + faults.double
        if not worst:
            return data
        damaged = bytearray()
        for byte in data:
            fate = chance()
            if fate >= worst:
                damaged.append(byte)
            elif fate < drop:
                self.injected["drop"] += 1
            elif fate < corrupt:
                self.injected["corrupt"] += 1
                damaged.append(byte ^ 1 << self._random.randrange(8))
            else:
                self.injected["double"] += 1
                damaged += bytes([byte, byte])
        return bytes(damaged)

    def _happens(self, name: str) -> bool:
        probability: float = getattr(self._faults, name)
        happens = probability > 0 and self._random.random() < probability
        self.injected[name] += happens
        return happens
