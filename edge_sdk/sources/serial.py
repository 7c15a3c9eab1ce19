"""``serial:PORT`` reads CSV or JSON lines from a serial port."""

from __future__ import annotations

import io
import os
import select
import threading
from collections.abc import Iterator

import serial

from edge_sdk.blocks import Block, Fault
from edge_sdk.closing import Closing
from edge_sdk.contract import Input
from edge_sdk.errors import ConfigError, Retry
from edge_sdk.sources._lines import LineParser
from edge_sdk.sources._wire import Wire

_POLL_S = 0.1
_CHUNK_BYTES = 4096


class Source(Closing):
    """One sample a line, such as ``0.01,-0.98,0.12``; a header line may name the channels.

    Whatever pyserial opens works: ``/dev/ttyACM0``, ``socket://127.0.0.1:7000``, ``loop://``, a pty. The
    first line is skipped, because reading may begin in its middle. Lines that are no samples are counted as
    the fault ``garbage``, and no window spans them.

    Args:
        location: the port.
        baud: bits a second.
        rate_hz: samples a second; default: the model's rate.
        channels: names of the columns, ``ax,ay,az``; default: the header's, else the model's.
        delimiter: one character, or ``tab``, ``space`` (any white space), ``comma``, ``semicolon``.
        timeout_s: seconds without a sample until the fault ``silence`` is counted, each time anew.
        device: name of what is connected; default: the pipeline's device.
    """

    live = True

    def __init__(  # noqa: PLR0913 - the parameters are the options that a URL may have
        self,
        location: str,
        *,
        baud: int = 115200,
        rate_hz: float | None = None,
        channels: tuple[str, ...] = (),
        delimiter: str = ",",
        timeout_s: float = 5.0,
        device: str = "",
    ) -> None:
        if not location:
            raise ConfigError("serial: no port", expected="serial:PORT, such as serial:///dev/ttyACM0")
        self.location, self.rate_hz, self.channels = location, rate_hz, channels
        self.delimiter, self.timeout_s, self.device = delimiter, timeout_s, device
        self._expected: Input | None = None
        self._closing = threading.Event()
        self._reading = False
        try:
            self.port = serial.serial_for_url(location, baudrate=baud, timeout=_POLL_S)
        except ValueError as error:
            raise ConfigError(
                f"serial:{location}", expected="a port that pyserial opens", found=error
            ) from error
        except OSError as error:
            raise Retry(
                f"serial:{location}: cannot be opened", found=_cause(error), remedy=_remedy(error)
            ) from error

    def expect(self, wanted: Input) -> None:
        """What the model was trained with: the default for `rate_hz` and `channels`."""
        self._expected = wanted

    def __iter__(self) -> Iterator[Block | Fault]:
        expected = self._expected.names if self._expected else ()
        lines = LineParser(self.channels, expected, self.delimiter, mid_line=True)
        wire = Wire(f"serial:{self.location}", lines, self.rate_hz, self._expected, self.device)
        self._reading = True
        try:
            while not self._closing.is_set():
                yield from wire.feed(self._read())
                yield from wire.silence(self.timeout_s)
        finally:
            self._reading = False
            self.port.close()

    def close(self) -> None:
        """End the iteration; may be called twice, and from any thread."""
        self._closing.set()
        if not self._reading:
            self.port.close()

    def _read(self) -> bytes:
        """What has come, or nothing after a tenth of a second."""
        try:
            try:
                file = self.port.fileno()
            except io.UnsupportedOperation:  # loop://, rfc2217://
                waiting: bytes = self.port.read(max(1, self.port.in_waiting))
                return waiting
            # pyserial reads a socket byte by byte; the descriptor gives all that is there.
            if not select.select([file], [], [], _POLL_S)[0]:
                return b""
            data = os.read(file, _CHUNK_BYTES)
        except (OSError, TypeError, ValueError) as error:  # pyserial's own when the port is closed under it
            if self._closing.is_set():
                return b""
            raise Retry(f"serial:{self.location}: the connection broke", found=_cause(error)) from error
        if not data and not self._closing.is_set():
            raise Retry(f"serial:{self.location}: the connection broke", found="end of stream")
        return data


def _cause(error: Exception) -> str:
    """The system's words, without the port's name and the number that pyserial wraps around them."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error)


def _remedy(error: OSError) -> str | None:
    if isinstance(error, PermissionError) or error.errno == 13:
        return "add yourself to the group that owns it: sudo usermod -aG dialout $USER"
    return None
