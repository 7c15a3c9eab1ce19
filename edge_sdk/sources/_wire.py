"""What comes over a wire as blocks, stamped with the time at which it came."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_sdk.blocks import Block, Fault, boottime_s
from edge_sdk.contract import Input
from edge_sdk.sources._polled import settled_rate_hz


class Parser(Protocol):
    """Finds samples in bytes: a `LineParser` or a `PacketParser`."""

    channels: tuple[str, ...]
    expected: tuple[str, ...]
    device: str

    def feed(self, data: bytes) -> Iterator[NDArray[np.float32] | Fault]:
        """Take bytes; yield float32 [n, channels] for each run of good samples, a Fault for what is none."""


class Wire:
    """Turns bytes into blocks and faults.

    Args:
        url: the source, for messages.
        parser: finds the samples in the bytes.
        rate_hz: the source's option; None takes the model's rate.
        wanted: what the model was trained with, where that is known.
        device: name of what is connected, where the wire itself names none.
        piped: bytes may come faster than they were sampled, as a file's do: no sample is stamped earlier than
            the one before it.

    Raises:
        ConfigError: neither an option nor a contract says the rate.
    """

    def __init__(
        self,
        url: str,
        parser: Parser,
        rate_hz: float | None,
        wanted: Input | None,
        device: str,
        *,
        piped: bool = False,
    ) -> None:
        self._parser, self._device, self._piped = parser, device, piped
        self._rate_hz = settled_rate_hz(url, rate_hz, wanted)
        #: Holes that may be anyone's, and how many there had been at each device's last block.
        self._holes = 0
        self._known: dict[str, int] = {}
        #: Where the next sample of each device belongs, of a pipe.
        self._next_s: dict[str, float] = {}
        self._heard_s = time.monotonic()

    def feed(self, data: bytes) -> Iterator[Block | Fault]:
        """Take bytes; yield the blocks and faults in them."""
        parser = self._parser
        for item in parser.feed(data):
            if isinstance(item, Fault):
                yield self._hole(item)
                continue
            device = parser.device or self._device
            self._heard_s = time.monotonic()
            now_s = boottime_s()
            begins_s = now_s - (len(item) - 1) / self._rate_hz
            if self._piped:
                begins_s = max(begins_s, self._next_s.get(device, 0.0))
                self._next_s[device] = begins_s + len(item) / self._rate_hz
            yield Block(
                item,
                self._rate_hz,
                parser.channels or (parser.expected if item.shape[1] == len(parser.expected) else ()),
                device,
                time_s=begins_s,
                wall_s=time.time() - (now_s - begins_s),
                gap=self._known.get(device, 0) != self._holes,
            )
            self._known[device] = self._holes

    def silence(self, timeout_s: float) -> Iterator[Fault]:
        """A fault when no sample has come for so long; then the time is measured anew."""
        if time.monotonic() - self._heard_s > timeout_s:
            self._heard_s = time.monotonic()
            yield self._hole(Fault("silence", detail=f"no sample for {timeout_s:g} s"))

    def _hole(self, fault: Fault) -> Fault:
        """No window spans it: none of the device that it names, and where it names none, of any."""
        if fault.device:
            self._known[fault.device] = -1
            return fault
        if fault.reason != "device":  # a sample of nobody leaves no hole
            self._holes += 1
        fault.device = self._device
        return fault
