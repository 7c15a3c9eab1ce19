"""A board in this process as a serial port that other programs can open."""

from __future__ import annotations

import errno
import os
import pty
import select
import threading
import tty

from edge_sdk.closing import Closing
from edge_sdk.errors import DeviceError
from firmware_bridge.ports import Port

#: How often the board runs while nothing is written to it, s.
_TURN_S = 0.01
_CHUNK_BYTES = 4096


class Terminal(Closing):
    """A pseudo terminal with a port behind it; from now on the port is the terminal's.

    >>> with Terminal(Emulator(firmware.elf, firmware.machine)) as terminal:  # doctest: +SKIP
    ...     model = Model.load("motion.tflite", target=f"serial:{terminal.path}")

    Args:
        port: of the board; closed with the terminal.

    Attributes:
        path: to open, such as ``/dev/pts/3``.
        failure: what ended it; None while it works.
    """

    def __init__(self, port: Port) -> None:
        self.failure: DeviceError | None = None
        self._port = port
        # Ours is kept open: without any, the other end would be told that nobody is there.
        self._master, slave = pty.openpty()
        self._ends = [self._master, slave]
        tty.setraw(slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(slave)
        self._ended, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._carry, name=f"terminal {self.path}", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until the board met a fault, or the terminal was closed from another thread."""
        self._over.wait()

    def close(self) -> None:
        """Close the terminal and the port; may be called twice."""
        if not self._ended.is_set():
            self._ended.set()
            self._thread.join()
            self._hang_up()
            self._port.close()

    def _carry(self) -> None:
        try:
            while not self._ended.is_set():
                if select.select([self._master], [], [], _TURN_S)[0]:
                    self._port.write(os.read(self._master, _CHUNK_BYTES))
                self._show(self._port.read(0))
        except DeviceError as error:
            self.failure = error
            self._hang_up()
        finally:
            self._over.set()

    def _show(self, data: bytes) -> None:
        """Write all of it; what nobody reads waits, and the board with it."""
        while data and not self._ended.is_set():
            if select.select([], [self._master], [], _TURN_S)[1]:
                try:
                    data = data[os.write(self._master, data) :]
                except OSError as error:
                    if error.errno != errno.EAGAIN:
                        raise

    def _hang_up(self) -> None:
        while self._ends:
            os.close(self._ends.pop())
