"""Packed binary from a wire into samples, with its packets found again after whatever garbage a wire adds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_sdk.blocks import Fault
from edge_sdk.errors import ConfigError
from edge_sdk.sources._packing import Packing, checked
from edge_sdk.stuffing import unstuffed

#: Garbage that does not end is reported each time so much has come.
_REPORT_BYTES = 4096


class PacketParser:
    """Takes bytes as they come and gives back samples; as `edge_sdk.sources._lines.LineParser`.

    A packet with a check counts when that is right. Without one, it counts unless another one begins within
    it, and a sync follows that one and not this: then bytes were lost, or it was no beginning. What is left
    between packets is garbage. However the bytes are split, the same samples come out.

    Args:
        packing: what a packet is.
        channels: names of the values; a packet may hold several samples of them.
        expected: names that the model wants, for a device that tells none.
        mid_packet: bytes may begin in the middle of a packet, whose rest is then no garbage.

    Attributes:
        lost: packets that the counter says are missing.

    Raises:
        ConfigError: the packing makes no sense, or has other values than there are channels.
    """

    device = ""

    def __init__(
        self,
        packing: Packing,
        channels: Sequence[str] = (),
        expected: Sequence[str] = (),
        *,
        mid_packet: bool = False,
    ) -> None:
        self._counter, self._values, self._check = packing.structs()
        self._sync, self._kind, self._is_cobs = packing.mark(), packing.check, packing.framing == "cobs"
        self._head = len(self._sync) + self._counter.size
        self._size = self._head + self._values.size + self._check.size
        count = len(self._values.unpack(bytes(self._values.size)))
        self._width = len(channels) or count
        if count % self._width:
            raise ConfigError(
                f"option 'layout' has {count} values", expected=f"{self._width}, or several times that"
            )
        if expected and not channels and count != len(expected):
            raise ConfigError(
                f"option 'layout' has {count} values",
                expected=f"{len(expected)}: {', '.join(expected)}",
                remedy="name its values with channels=…",
            )
        for name, numbers in (("scale", packing.scale), ("offset", packing.offset)):
            if len(numbers) not in (1, self._width):
                raise ConfigError(
                    f"option {name!r}", expected=f"1 or {self._width} numbers", found=len(numbers)
                )
        self._scale, self._offset = np.array(packing.scale), np.array(packing.offset)
        self._per_packet = count // self._width
        self.channels, self.expected = tuple(channels), tuple(expected)
        self.lost = 0
        self._last: int | None = None
        self._buffer = b""
        self._overlong = False
        self._garbage = 0
        self._longest = self._size + (self._size // 254 + 1 if self._is_cobs else 0)
        self._forgiven = self._longest - (not self._is_cobs) if mid_packet else 0

    def feed(self, data: bytes) -> Iterator[NDArray[np.float32] | Fault]:
        """Take bytes; yield float32 [n, channels] for each run of packets, a Fault for what is between."""
        run = bytearray()
        for found in self._framed(data) if self._is_cobs else self._synced(data):
            fault = self._count(found) if isinstance(found, bytes) else self._fault(found)
            if fault is not None and run:
                yield self._samples(run)
                run.clear()
            if fault is not None:
                yield fault
            if isinstance(found, bytes):
                run += found[self._counter.size :]
        if run:
            yield self._samples(run)

    def _synced(self, data: bytes) -> Iterator[bytes | int]:
        """Counter and values of each packet, and how many bytes were garbage before it."""
        buffer, sync, at = self._buffer + data, self._sync, 0
        while True:
            start = buffer.find(sync, at)
            if start < 0:  # its first bytes may have come
                start = max(at, len(buffer) - len(sync) + 1)
            self._garbage += start - at
            at = start
            verdict = self._verdict(buffer, at)
            if verdict is None:
                break
            if verdict:
                yield from self._flush()
                yield buffer[at + len(sync) : at + self._size - self._check.size]
                at += self._size
            else:
                at += 1
                self._garbage += 1
            yield from self._overflow()
        self._buffer = buffer[at:]
        yield from self._overflow()

    def _verdict(self, buffer: bytes, at: int) -> bool | None:
        """Whether a packet begins here; None where only further bytes can tell."""
        stop, sync = at + self._size, self._sync
        if stop > len(buffer):
            return None
        if self._check.size:
            return self._is_right(buffer[at + len(sync) : stop])
        inner = buffer.find(sync, at + 1, stop + len(sync) - 1)
        if inner < 0:  # but the end may be the beginning of one
            beyond = len(buffer) - stop
            begun = any(buffer.endswith(sync[:length]) for length in range(beyond + 1, len(sync)))
            return None if begun else True
        torn = self._is_followed(buffer, inner)
        return True if self._is_followed(buffer, at) else None if torn is None else not torn

    def _is_followed(self, buffer: bytes, at: int) -> bool | None:
        """Whether another sync follows where the packet that begins here would end."""
        stop = at + self._size
        return buffer.startswith(self._sync, stop) if stop + len(self._sync) <= len(buffer) else None

    def _framed(self, data: bytes) -> Iterator[bytes | int]:
        """The same for COBS frames."""
        size = self._size
        *frames, self._buffer = (self._buffer + data).split(b"\0")
        for frame in frames:
            torn, self._overlong = self._overlong, False
            body = None if torn else unstuffed(frame)
            if body is not None and len(body) == size and self._is_right(body):
                yield from self._flush()
                yield body[: size - self._check.size]
            elif frame or torn:
                self._garbage += len(frame) + 1
                yield from self._overflow()
        if len(self._buffer) > self._longest:
            self._overlong = True
        if self._overlong:
            self._garbage += len(self._buffer)
            self._buffer = b""
            yield from self._overflow()

    def _is_right(self, body: bytes) -> bool:
        """Whether the check at the end of counter and values is that of what stands before it."""
        if not self._check.size:
            return True
        data, check = body[: -self._check.size], self._check.unpack_from(body, len(body) - self._check.size)
        return bool(checked(self._kind, data) == check[0])

    def _flush(self) -> Iterator[int]:
        """The garbage before a good packet; not the rest of one that began before we listened."""
        if self._garbage > self._forgiven:
            yield self._garbage
        self._garbage = self._forgiven = 0

    def _overflow(self) -> Iterator[int]:
        while self._garbage >= _REPORT_BYTES:
            self._garbage -= _REPORT_BYTES
            self._forgiven = 0
            yield _REPORT_BYTES

    def _fault(self, garbage: int) -> Fault:
        samples = max(1, garbage // self._size) * self._per_packet
        return Fault("garbage", samples=samples, detail=f"{garbage} bytes that are no packet")

    def _count(self, body: bytes) -> Fault | None:
        """The packets that are missing before this one, as its counter says."""
        if not self._counter.size:
            return None
        (number,) = self._counter.unpack_from(body)
        last, self._last = self._last, number
        lost = 0 if last is None else (number - last - 1) % (1 << 8 * self._counter.size)
        self.lost += lost
        return Fault("lost", detail=f"{lost} packets are missing") if lost else None

    def _samples(self, run: bytearray) -> NDArray[np.float32]:
        values = np.array(list(self._values.iter_unpack(run)), np.float64).reshape(-1, self._width)
        with np.errstate(over="ignore", invalid="ignore"):  # what is no float32 is dropped as not_a_number
            samples: NDArray[np.float32] = (values * self._scale + self._offset).astype(np.float32)
        return samples
