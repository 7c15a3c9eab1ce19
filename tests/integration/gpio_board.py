"""A GPIO chip whose lines a test can see: what each is driven to, since when, and by whom.

The device node is umockdev's; ``gpio_shim.c`` hands libgpiod's ioctls over. After linux/gpio.h, uAPI v2.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.integration.umockdev_board import PRELOAD, Board

HERE = Path(__file__).parent
CHIPINFO, LINEINFO, GET_LINE, SET_CONFIG, GET_VALUES = 1, 5, 7, 0x0D, 0x0E
USED, ACTIVE_LOW, INPUT, OUTPUT = 1, 2, 4, 8
_VALUES_ATTRIBUTE = 2


@dataclass
class Line:
    """One line. `history` holds (seconds on the monotonic clock, level), level 0, 1 or None: not driven."""

    name: str
    consumer: str = ""
    flags: int = INPUT
    history: list[tuple[float, int | None]] = field(default_factory=lambda: [(time.monotonic(), None)])

    @property
    def level(self) -> int | None:
        return self.history[-1][1]

    def drive(self, level: int | None) -> None:
        if level != self.level:
            self.history.append((time.monotonic(), level))

    @property
    def levels(self) -> list[int | None]:
        return [level for _, level in self.history]


class GpioBoard:
    """``/dev/gpiochip0`` on a board, with lines GPIO0, GPIO1, …

    A line that is released becomes an input, as with most drivers; with `persistent` it stays as it was, as
    on Raspberry Pi OS.
    """

    def __init__(self, board: Board, lines: int = 28, label: str = "pinctrl-bcm2711") -> None:
        self._count = lines
        self.persistent = False
        self.forget()
        self.label, self.changed = label, threading.Condition()
        self._connections: list[socket.socket] = []
        shim = board.folder / "gpio_shim.so"
        flags = ["-shared", "-fPIC", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror"]
        subprocess.run(["gcc", *flags, "-o", shim, HERE / "gpio_shim.c", "-ldl"], check=True)
        board(
            "add",
            description="P: /devices/gpiochip0\nN: gpiochip0\nE: DEVNAME=/dev/gpiochip0\n"
            "E: SUBSYSTEM=gpio\nA: dev=254:0\n",
        )
        self.board = board
        self._place(board.root)
        address = board.folder / "gpio.socket"
        board.env |= {"LD_PRELOAD": f"{shim} {PRELOAD}", "GPIO_BOARD": str(address)}
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(address))
        self._server.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _place(self, root: Path) -> None:
        """What libgpiod looks at: /sys/dev/char/MAJOR:MINOR/subsystem leads to /sys/bus/gpio."""

    def forget(self) -> None:
        """Lines as nobody has touched them."""
        self.lines = [Line(f"GPIO{n}") for n in range(self._count)]

    def wait(self, condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
        with self.changed:
            if not self.changed.wait_for(condition, timeout_s):
                pytest.fail("the lines did not become so in time")

    def unplug(self) -> None:
        """The chip is gone, as a USB expander may be: whatever asks for it finds no device."""
        self._server.close()
        with self.changed:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.board("remove", path="/sys/devices/gpiochip0")

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        """Answer one chip request, or hold one line until its holder lets go."""
        held: list[int] = []
        # A holder that was killed may leave an answer unread: its connection breaks.
        with contextlib.suppress(ConnectionError), connection, connection.makefile("rb") as stream:
            while len(head := stream.read(8)) == 8:
                number, size = struct.unpack("II", head)
                argument = bytearray(stream.read(size))
                with self.changed:
                    error = self._handle(number & 0xFF, argument, held)
                    self.changed.notify_all()
                connection.sendall(struct.pack("i", error) + argument)
        with self.changed:
            for offset in held:
                line = self.lines[offset]
                line.consumer = ""
                if not self.persistent:
                    line.flags = INPUT
                    line.drive(None)
            self.changed.notify_all()

    def _handle(self, request: int, argument: bytearray, held: list[int]) -> int:
        if request == CHIPINFO:
            struct.pack_into("32s32sI", argument, 0, b"gpiochip0", self.label.encode(), len(self.lines))
            return 0
        if request == LINEINFO:
            (offset,) = struct.unpack_from("I", argument, 64)
            if offset >= len(self.lines):
                return errno.EINVAL
            line = self.lines[offset]
            flags = line.flags | (USED if line.consumer else 0)
            struct.pack_into(
                "32s32sIIQ", argument, 0, line.name.encode(), line.consumer.encode(), offset, 0, flags
            )
            return 0
        if request == GET_LINE:
            return self._request(argument, held)
        if request == SET_CONFIG:
            self._configure(argument, 0, held)
            return 0
        if request == GET_VALUES:
            bits = sum(self._active(offset) << index for index, offset in enumerate(held))
            struct.pack_into("Q", argument, 0, bits)
            return 0
        return errno.ENOTTY

    def _request(self, argument: bytearray, held: list[int]) -> int:
        (count,) = struct.unpack_from("I", argument, 560)
        offsets = struct.unpack_from(f"{count}I", argument)
        if any(offset >= len(self.lines) for offset in offsets):
            return errno.EINVAL
        if any(self.lines[offset].consumer for offset in offsets):
            return errno.EBUSY
        held += offsets
        for offset in offsets:
            self.lines[offset].consumer = argument[256:288].split(b"\0")[0].decode() or "?"
        self._configure(argument, 288, held)
        return 0

    def _configure(self, argument: bytearray, at: int, held: list[int]) -> None:
        flags, attributes = struct.unpack_from("QI", argument, at)
        values = 0
        for n in range(attributes):
            kind, _, value, mask = struct.unpack_from("IIQQ", argument, at + 32 + 24 * n)
            if kind == _VALUES_ATTRIBUTE:
                values |= value & mask
        for index, offset in enumerate(held):
            self.lines[offset].flags = flags
            if flags & OUTPUT:
                self._drive(offset, bool(values >> index & 1))
            else:
                self.lines[offset].drive(None)

    def _drive(self, offset: int, active: bool) -> None:
        line = self.lines[offset]
        line.drive(int(active is not bool(line.flags & ACTIVE_LOW)))

    def _active(self, offset: int) -> int:
        line = self.lines[offset]
        return int(bool(line.level) is not bool(line.flags & ACTIVE_LOW))
