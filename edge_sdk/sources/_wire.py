"""Lines that come over a wire as blocks, stamped with the time at which they came."""

from __future__ import annotations

import time
from collections.abc import Iterator

from edge_sdk.blocks import Block, Fault, boottime_s
from edge_sdk.contract import Input
from edge_sdk.errors import ConfigError
from edge_sdk.sources._lines import LineParser


class Wire:
    """Turns bytes into blocks and faults.

    Args:
        url: the source, for messages.
        lines: finds the samples in the bytes.
        rate_hz: the source's option; None takes the model's rate.
        wanted: what the model was trained with, where that is known.
        device: name of what is connected.

    Raises:
        ConfigError: neither an option nor a contract says the rate.
    """

    def __init__(
        self, url: str, lines: LineParser, rate_hz: float | None, wanted: Input | None, device: str
    ) -> None:
        rate_hz = rate_hz or (wanted.rate_hz if wanted else None)
        if not rate_hz:
            raise ConfigError(
                f"{url}: rate_hz is missing",
                remedy="add ?rate_hz=… (a model with a contract tells it by itself)",
            )
        self._lines, self._rate_hz, self._device = lines, rate_hz, device
        self._gap = False
        self._heard_s = time.monotonic()

    def feed(self, data: bytes | None) -> Iterator[Block | Fault]:
        """Take bytes, or None at their end; yield the blocks and faults in them."""
        lines = self._lines
        for item in lines.finish() if data is None else lines.feed(data):
            if isinstance(item, Fault):
                item.device = self._device
                self._gap = True
                yield item
                continue
            self._heard_s = time.monotonic()
            age_s = (len(item) - 1) / self._rate_hz
            yield Block(
                item,
                self._rate_hz,
                lines.channels or (lines.expected if item.shape[1] == len(lines.expected) else ()),
                self._device,
                time_s=boottime_s() - age_s,
                wall_s=time.time() - age_s,
                gap=self._gap,
            )
            self._gap = False

    def silence(self, timeout_s: float) -> Iterator[Fault]:
        """A fault when no sample has come for so long; then the time is measured anew."""
        if time.monotonic() - self._heard_s > timeout_s:
            self._heard_s = time.monotonic()
            self._gap = True
            yield Fault("silence", detail=f"no sample for {timeout_s:g} s", device=self._device)
