"""``stdin:`` reads CSV or JSON lines from standard input."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Iterator
from typing import Annotated

import msgspec

from edge_sdk.blocks import Block, Fault
from edge_sdk.closing import Closing
from edge_sdk.contract import Input
from edge_sdk.errors import ConfigError, Retry
from edge_sdk.sources._lines import LineParser
from edge_sdk.sources._wire import Wire

_POLL_S = 0.1
_CHUNK_BYTES = 65536


class Source(Closing):
    """One sample a line: ``0.01,-0.98``, ``[0.01, -0.98]`` or ``{"ax": 0.01, "ay": -0.98}``.

    Args:
        location: nothing.
        rate_hz: samples a second; default: the model's rate.
        channels: names of the columns, ``ax,ay,az``; default: the header's, else the model's.
        delimiter: one character, or ``tab``, ``space`` (any white space), ``comma``, ``semicolon``.
        device_key: the key of an object that names the device a sample is from; empty: none does.
        device: name of what sends, where the lines name none; default: the pipeline's device.
    """

    live = False  # a pipe lets its writer wait

    def __init__(
        self,
        location: str = "",
        *,
        rate_hz: Annotated[float, msgspec.Meta(gt=0)] | None = None,
        channels: tuple[str, ...] = (),
        delimiter: str = ",",
        device_key: str = "device",
        device: str = "",
    ) -> None:
        if location:
            raise ConfigError(f"stdin:{location}", expected="nothing after the colon", found=location)
        self.rate_hz, self.channels, self.delimiter = rate_hz, channels, delimiter
        self.device_key, self.device = device_key, device
        self._expected: Input | None = None
        self._closing = threading.Event()

    def expect(self, wanted: Input) -> None:
        """What the model was trained with: the default for `rate_hz` and `channels`."""
        self._expected = wanted

    def __iter__(self) -> Iterator[Block | Fault]:
        expected = self._expected.names if self._expected else ()
        lines = LineParser(self.channels, expected, self.delimiter, device_key=self.device_key)
        wire = Wire("stdin", lines, self.rate_hz, self._expected, self.device, piped=True)
        for data in self._chunks():
            yield from wire.feed(data)

    def close(self) -> None:
        """End the iteration; may be called twice, and from any thread."""
        self._closing.set()

    def _chunks(self) -> Iterator[bytes]:
        """Bytes as they come; the last line may lack its end."""
        file = sys.stdin.fileno()
        while not self._closing.is_set():
            try:
                if not select.select([file], [], [], _POLL_S)[0]:
                    continue
                data = os.read(file, _CHUNK_BYTES)
            except OSError as error:
                raise Retry("stdin: cannot be read", found=error.strerror or error) from error
            yield data or b"\n"
            if not data:
                return
