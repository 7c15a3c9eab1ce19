"""``serial:PORT`` reads CSV or JSON lines or packed numbers from a serial port."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import select
import termios
import threading
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
import serial

from edge_sdk.blocks import Block, Fault
from edge_sdk.closing import Closing
from edge_sdk.contract import Input
from edge_sdk.errors import ConfigError, Retry
from edge_sdk.sources._lines import LineParser
from edge_sdk.sources._packets import PacketParser
from edge_sdk.sources._packing import Check, Counter, Framing, Packing
from edge_sdk.sources._wire import Wire

_POLL_S = 0.1
_CHUNK_BYTES = 4096
#: What pyserial raises of a port that is closed under it, or of a peer that has gone.
_GONE = (OSError, TypeError, ValueError, AttributeError)
#: Device numbers of pseudo terminals, whose kernel structure outlives whoever opened them.
_PSEUDO_TERMINALS = range(136, 144)


class Source(Closing):
    """One sample a line, such as ``0.01,-0.98,0.12``, or packets of packed numbers.

    Whatever pyserial opens works: ``/dev/ttyACM0``, ``socket://127.0.0.1:7000``, ``loop://``, a pty. The
    first line is skipped, because reading may begin in its middle. What is no sample is counted as the fault
    ``garbage``, and no window spans it. A port is locked: no second program reads half of its samples.

    Args:
        location: the port.
        baud: bits a second.
        rate_hz: samples a second; default: the model's rate.
        channels: names of the columns, ``ax,ay,az``; default: the header's, else the model's.
        format: ``lines``, or ``struct``: packed numbers.
        delimiter: of lines: one character, or ``tab``, ``space`` (any white space), ``comma``, ``semicolon``.
        device_key: of JSON lines: the key that names the device a sample is from; empty: none does.
        layout: of packets: their numbers, as the module `struct` writes them, such as ``<hhh``.
        scale: of packets: what the numbers are multiplied by, one or one for each channel.
        offset: of packets: what is added then, likewise.
        framing: of packets: ``sync``, or ``cobs``.
        sync: of packets: what each begins with, in hexadecimal: ``aa55``.
        counter: of packets: ``u8`` or ``u16`` before the numbers, so that lost ones are noticed.
        check: of packets: ``sum8``, ``xor8`` or ``crc16`` (CRC-16/CCITT-FALSE) after the numbers.
        timeout_s: seconds without a sample until the fault ``silence`` is counted, each time anew.
        dtr: the line DTR while the port is open: false, and many boards do not reset; default: the system's.
        rts: the line RTS likewise.
        device: name of what is connected, where the lines name none; default: the pipeline's device.
    """

    live = True

    def __init__(  # noqa: PLR0913 - the parameters are the options that a URL may have
        self,
        location: str,
        *,
        baud: Annotated[int, msgspec.Meta(gt=0)] = 115200,
        rate_hz: Annotated[float, msgspec.Meta(gt=0)] | None = None,
        channels: tuple[str, ...] = (),
        format: Literal["lines", "struct"] = "lines",  # noqa: A002 - the option's name
        delimiter: str = ",",
        device_key: str = "device",
        layout: str | None = None,
        scale: float | tuple[float, ...] = 1.0,
        offset: float | tuple[float, ...] = 0.0,
        framing: Framing = "sync",
        sync: str = "",
        counter: Counter = "none",
        check: Check = "none",
        timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0,
        dtr: bool | None = None,
        rts: bool | None = None,
        device: str = "",
    ) -> None:
        self.location, self.rate_hz, self.channels = location, rate_hz, channels
        self.delimiter, self.device_key = delimiter, device_key
        self.timeout_s, self.device = timeout_s, device
        self.packing: Packing | None = None
        if format == "struct":
            self.packing = Packing(
                layout or "", sync, framing, check, counter, _several(scale), _several(offset)
            )
        elif layout is not None:
            raise ConfigError("serial: option 'layout'", expected="format=struct beside it", found="lines")
        self._expected: Input | None = None
        self._parser: LineParser | PacketParser = self._new_parser()
        self._closing = threading.Event()
        self._reading = False
        self._releasing = threading.Lock()
        self.port = _opened(location, baud, dtr, rts)

    def expect(self, wanted: Input) -> None:
        """What the model was trained with: the default for `rate_hz` and `channels`."""
        self._expected = wanted

    @classmethod
    def preflight(cls, location: str, wanted: Input | None, **options: Any) -> None:
        """Read the options as `edgeml check` does, without opening the port.

        Raises:
            ConfigError: they cannot work.
        """
        channels = options.get("channels", ())
        if wanted is not None and channels and not set(wanted.names) <= set(channels):
            raise ConfigError("serial: channels", expected=", ".join(wanted.names), found=", ".join(channels))
        with cls("loop://", **options) as source:
            source._expected = wanted
            source._new_wire(location)

    @property
    def missed(self) -> int:
        """Packets that never came, as their counter says."""
        return self._parser.lost if isinstance(self._parser, PacketParser) else 0

    def __iter__(self) -> Iterator[Block | Fault]:
        wire = self._new_wire(self.location)
        self._reading = True
        try:
            while not self._closing.is_set():
                yield from wire.feed(self._read())
                yield from wire.silence(self.timeout_s)
        finally:
            self._reading = False
            self._release()

    def close(self) -> None:
        """End the iteration; may be called twice, and from any thread."""
        self._closing.set()
        if not self._reading:
            self._release()

    def _new_wire(self, location: str) -> Wire:
        self._parser = self._new_parser()
        return Wire(f"serial:{location}", self._parser, self.rate_hz, self._expected, self.device)

    def _new_parser(self) -> LineParser | PacketParser:
        expected = self._expected.names if self._expected else ()
        if self.packing is not None:
            return PacketParser(self.packing, self.channels, expected, mid_packet=True)
        return LineParser(self.channels, expected, self.delimiter, mid_line=True, device_key=self.device_key)

    def _release(self) -> None:
        # Of two threads that close it, the second one might close what has got the same descriptor since.
        with self._releasing:
            with contextlib.suppress(*_GONE):
                fcntl.ioctl(self.port.fileno(), termios.TIOCNXCL)
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
        except _GONE as error:
            if self._closing.is_set():
                return b""
            raise Retry(f"serial:{self.location}: the connection broke", found=_cause(error)) from error
        if not data and not self._closing.is_set():
            raise Retry(f"serial:{self.location}: the connection broke", found="end of stream")
        return data


def _opened(location: str, baud: int, dtr: bool | None, rts: bool | None) -> Any:
    """The port, locked.

    Raises:
        ConfigError: pyserial knows no such kind of port.
        Retry: it is not there, or somebody else has it.
    """
    if not location:
        raise ConfigError("serial: no port", expected="serial:PORT, such as serial:///dev/ttyACM0")
    try:
        port = serial.serial_for_url(
            location, baudrate=baud, timeout=_POLL_S, exclusive=True, do_not_open=True
        )
        for line, state in (("dtr", dtr), ("rts", rts)):
            if state is not None:
                setattr(port, line, state)
        port.open()
    except ValueError as error:
        raise ConfigError(f"serial:{location}", expected="a port that pyserial opens", found=error) from error
    except OSError as error:
        raise Retry(
            f"serial:{location}: cannot be opened", found=_cause(error), remedy=_remedy(error)
        ) from error
    _lock(port)
    return port


def _lock(port: Any) -> None:
    """Let nobody else open a real port; pyserial's own lock only keeps out those that ask for one, too.

    The kernel keeps this one for as long as the terminal is open at all. A pseudo terminal's other end holds
    it open: after a crash of ours, nobody could ever open it again, so those are left alone.
    """
    try:
        file = port.fileno()
        if os.major(os.fstat(file).st_rdev) not in _PSEUDO_TERMINALS:
            fcntl.ioctl(file, termios.TIOCEXCL)
    except OSError:  # a socket, a loop
        return


def _several(numbers: float | tuple[float, ...]) -> tuple[float, ...]:
    return numbers if isinstance(numbers, tuple) else (numbers,)


def _cause(error: Exception) -> str:
    """The system's words, without the port's name and the number that pyserial wraps around them."""
    number = getattr(error, "errno", None)
    if number in (errno.EAGAIN, errno.EBUSY):
        return "another program uses it"
    return os.strerror(number) if number else str(error)


def _remedy(error: OSError) -> str | None:
    if isinstance(error, PermissionError) or error.errno == errno.EACCES:
        return "add yourself to the group that owns it: sudo usermod -aG dialout $USER"
    return None
