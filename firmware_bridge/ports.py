"""Ports: what carries bytes to a board and back. Any pyserial URL is one, and an emulator may be another."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import select
import termios
import threading
from typing import Any, Protocol

import serial

from edge_sdk.closing import Closing
from edge_sdk.errors import ConfigError, Retry

_CHUNK_BYTES = 65_536
#: For the system to take what is written, s.
_WRITE_S = 5.0
#: Device numbers of pseudo terminals, whose kernel structure outlives whoever opened them.
_PSEUDO_TERMINALS = range(136, 144)


class Port(Protocol):
    """A line to a board."""

    def read(self, timeout_s: float) -> bytes:
        """What has come; nothing where nothing comes in that time.

        Raises:
            DeviceError: the connection broke; `Retry` where it may come back.
        """

    def write(self, data: bytes) -> None:
        """Send all of it; raises as `read`."""

    def close(self) -> None:
        """Release it; may be called twice."""


def open_serial(url: str, baud: int = 115200) -> SerialPort:
    """A serial port, locked.

    Args:
        url: whatever pyserial opens: ``/dev/ttyACM0``, a pty, ``socket://127.0.0.1:7000``, ``loop://``,
            ``rfc2217://…``.
        baud: bits a second.

    Raises:
        ConfigError: pyserial knows no such kind of port.
        Retry: it is not there, or somebody else has it.
    """
    try:
        port = serial.serial_for_url(
            url, baudrate=baud, timeout=0, write_timeout=_WRITE_S, exclusive=True, do_not_open=True
        )
        port.open()
    except ValueError as error:
        raise ConfigError(url or "no port", expected="a port that pyserial opens", found=error) from error
    except (OSError, termios.error) as error:
        remedy = "add yourself to the group that owns it: sudo usermod -aG dialout $USER"
        raise Retry(
            f"{url}: cannot be opened",
            found=_cause(error),
            remedy=remedy if getattr(error, "errno", None) == errno.EACCES else None,
        ) from error
    _lock(port)
    return SerialPort(url, port)


class SerialPort(Closing):
    """An open pyserial port; get one with `open_serial`.

    Args:
        url: for messages.
        port: of pyserial.
    """

    def __init__(self, url: str, port: Any) -> None:
        self.url, self._port = url, port
        self._closing = threading.Lock()
        try:
            self._file: int | None = port.fileno()
        except (io.UnsupportedOperation, AttributeError):  # loop://, rfc2217://
            self._file = None

    def read(self, timeout_s: float) -> bytes:
        """What has come; raises Retry where the connection broke."""
        try:
            if self._file is None:
                self._port.timeout = timeout_s
                data: bytes = self._port.read(1)
                return data + self._port.read(self._port.in_waiting) if data else data
            # pyserial reads a socket byte by byte; the descriptor gives all that is there.
            if not select.select([self._file], [], [], max(timeout_s, 0))[0]:
                return b""
            data = os.read(self._file, _CHUNK_BYTES)
        except (OSError, TypeError, ValueError) as error:  # pyserial's own when the port is closed under it
            raise self._broken(_cause(error)) from error
        if not data:
            raise self._broken("end of stream")
        return data

    def write(self, data: bytes) -> None:
        """Send all of it; raises Retry where the connection broke, or nobody takes it."""
        try:
            self._port.write(data)
        except serial.SerialTimeoutException as error:
            raise Retry(
                f"{self.url}: does not take it",
                expected=f"within {_WRITE_S:g} s",
                remedy="is its flow control stuck?",
            ) from error
        except (OSError, termios.error, TypeError, ValueError) as error:
            raise self._broken(_cause(error)) from error

    def close(self) -> None:
        """Close the port, from any thread; what was not sent yet is not waited for."""
        # Of two threads that close it, the second one might close what has got the same descriptor since.
        with self._closing:
            with contextlib.suppress(OSError, ValueError, TypeError, termios.error, AttributeError):
                self._port.reset_output_buffer()
            with contextlib.suppress(OSError, ValueError, TypeError):  # it may be gone
                fcntl.ioctl(self._port.fileno(), termios.TIOCNXCL)
            with contextlib.suppress(OSError, termios.error):
                self._port.close()

    def _broken(self, found: str) -> Retry:
        return Retry(f"{self.url}: the connection broke", found=found)


def _lock(port: Any) -> None:
    """Let nobody else open a real port; a pseudo terminal's other end would keep it locked after a crash."""
    with contextlib.suppress(OSError, AttributeError):  # a socket, a loop
        file = port.fileno()
        if os.major(os.fstat(file).st_rdev) not in _PSEUDO_TERMINALS:
            fcntl.ioctl(file, termios.TIOCEXCL)


def _cause(error: Exception) -> str:
    """The system's words, without what pyserial wraps around them."""
    number = getattr(error, "errno", None) or (error.args[0] if isinstance(error, termios.error) else None)
    if number in (errno.EAGAIN, errno.EBUSY):
        return "another program uses it"
    return os.strerror(number) if isinstance(number, int) else str(error)
