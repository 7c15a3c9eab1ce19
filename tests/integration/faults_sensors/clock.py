"""A wall clock that can be stepped for one process, while every other clock runs on."""

from __future__ import annotations

import mmap
import struct
import subprocess
import time
from pathlib import Path

_SOURCE = Path(__file__).with_name("clock.c")


class WallClock:
    """What processes that are started under `variables` believe the time is.

    Args:
        folder: for the shim and its file.
    """

    def __init__(self, folder: Path) -> None:
        self.library = folder / "clock.so"
        flags = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O2", "-fPIC", "-shared"]
        subprocess.run(["gcc", *flags, str(_SOURCE), "-o", str(self.library), "-ldl"], check=True)
        file = folder / "clock"
        file.write_bytes(bytes(8))
        with file.open("r+b") as opened:
            self._offset = mmap.mmap(opened.fileno(), 8)
        self.variables = {"LD_PRELOAD": str(self.library), "EDGEML_CLOCK": str(file)}

    def step(self, offset_s: float) -> None:
        """So much is added to the true time from now on."""
        struct.pack_into("=q", self._offset, 0, round(offset_s))

    def set(self, wall_s: float) -> None:
        """It is that time now, s since the epoch."""
        self.step(wall_s - time.time())
