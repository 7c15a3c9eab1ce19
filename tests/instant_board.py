"""A board without time: an hour on its line takes as long as there is something to compute."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

from tests.board import INCLUDES, ROOT, SOURCES, STRICT

#: Of a line with 115200 baud, s.
_BYTE_S = 10 / 115200
_ROOM = 4096


class Clock:
    """Stands for the module `time`: goes on only where somebody waits or sends."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


class InstantBoard:
    """The C side of the bridge as a library, and a `Port`.

    Args:
        library: of `built`.
        clock: that it lets go on, by the time that bytes take on the line and nothing comes.
    """

    def __init__(self, library: Path, clock: Clock) -> None:
        self._clock, self._board = clock, ctypes.CDLL(str(library))
        self._buffer = ctypes.create_string_buffer(_ROOM)
        self.reset()

    def reset(self) -> None:
        self._board.board_reset()

    def read(self, timeout_s: float) -> bytes:
        count = self._board.board_read(self._buffer, _ROOM)
        self._clock.now_s += count * _BYTE_S if count else max(timeout_s, 1e-6)
        return self._buffer.raw[:count]

    def write(self, data: bytes) -> None:
        self._clock.now_s += len(data) * _BYTE_S
        self._board.board_write(data, len(data))

    def close(self) -> None:
        pass


def built(folder: Path) -> Path:
    """The library."""
    library = folder / "instant.so"
    source = ROOT / "tests" / "firmware" / "instant.c"
    flags = ("-O2", "-shared", "-fPIC", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")
    subprocess.run(["gcc", *STRICT, *flags, *INCLUDES, source, *SOURCES, "-o", library], check=True)
    return library
