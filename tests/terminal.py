"""A pseudo-terminal with an eye: what a program has drawn, as the lines that a person would see."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
import threading
import time
import tty

_CODE = re.compile(r"\x1b\[(\?)?([\d;]*)([A-Za-z])")


class Terminal:
    """Understands what the live view says to it: the cursor, erasing, colours, the alternate screen."""

    def __init__(self, width: int = 80, height: int = 24) -> None:
        self._controller, self.device = pty.openpty()
        tty.setraw(self.device)
        self.resize(width, height)
        self.raw = ""
        self._cells: dict[int, str] = {}
        self.alternate, self.cursor = False, True
        self._row = self._column = 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def resize(self, width: int, height: int) -> None:
        fcntl.ioctl(self.device, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    @property
    def lines(self) -> list[str]:
        rows = dict(self._cells)
        return [rows.get(row, "").rstrip() for row in range(max(rows, default=-1) + 1)]

    def wait_for(self, text: str, seconds: float = 10.0) -> list[str]:
        deadline = time.monotonic() + seconds
        while not any(text in line for line in self.lines):
            assert time.monotonic() < deadline, f"no {text!r} in {self.lines}"
            time.sleep(0.02)
        return self.lines

    def wait_until(self, condition, seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition(self):
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.02)

    def close(self) -> None:
        os.close(self.device)
        self._thread.join(10)
        os.close(self._controller)

    def _read(self) -> None:
        rest = b""
        while True:
            try:
                data = rest + os.read(self._controller, 65536)
            except OSError:
                return
            cut = data.rfind(b"\x1b")
            text = data.decode("utf-8", "replace")
            if cut >= 0 and not _CODE.match(data[cut:].decode("utf-8", "replace")):
                text, rest = data[:cut].decode("utf-8", "replace"), data[cut:]
            else:
                rest = b""
            self.raw += text
            self._take(text)

    def _take(self, text: str) -> None:
        at = 0
        for match in _CODE.finditer(text):
            self._print(text[at : match.start()])
            self._obey(match[1] or "", match[2], match[3])
            at = match.end()
        self._print(text[at:])

    def _print(self, text: str) -> None:
        for character in text:
            if character == "\n":
                self._row, self._column = self._row + 1, 0
            elif character == "\r":
                self._column = 0
            else:
                line = self._cells.get(self._row, "").ljust(self._column)
                self._cells[self._row] = line[: self._column] + character + line[self._column + 1 :]
                self._column += 1

    def _obey(self, private: str, numbers: str, code: str) -> None:
        if private:
            on = code == "h"
            if numbers == "1049":
                self.alternate = on
                self._cells = {}
            elif numbers == "25":
                self.cursor = on
        elif code == "H":
            row, _, column = numbers.partition(";")
            self._row, self._column = int(row or 1) - 1, int(column or 1) - 1
        elif code == "J":
            self._cells = {}
        elif code == "K":
            self._cells[self._row] = self._cells.get(self._row, "")[: self._column]
