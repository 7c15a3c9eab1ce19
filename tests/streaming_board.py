"""A board that streams by itself: the bridge and a model's C, compiled for this machine, on a pty that can be
unplugged."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import tty
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.c import library
from edge_sdk.graph import read_graph
from edge_sdk.modelfile import split
from firmware_bridge import glue
from tests.board import FIRMWARE, INCLUDES, ROOT, SOURCES
from tests.c_library import write

BLOCK = 10


def compiled(model: Path, folder: Path) -> Path:
    """The program for a model file; its name in the firmware is ``net``."""
    parts = split(model.read_bytes())
    files = library.render(parts.flatbuffer, None, "net")
    files["src/glue.c"] = glue.render(read_graph(parts.flatbuffer), "net", parts.digest)
    source = write(folder, files) / "src"
    includes = (*INCLUDES, "-I", str(FIRMWARE / "app"), "-I", str(source))
    sources = map(str, (ROOT / "tests/firmware/streaming.c", *source.glob("*.c"), *SOURCES))
    program = folder / "board"
    command = [
        "gcc",
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-O1",
        *includes,
        *sources,
        "-o",
        str(program),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


class StreamingBoard:
    """One of them, plugged in.

    Args:
        program: from `compiled`.
        link: where its port lies while it is plugged in.
        windows: int8 [n, …], as the model's input holds them.
        samples: float32 [n, channels].
    """

    def __init__(
        self, program: Path, link: Path, windows: NDArray[np.int8], samples: NDArray[np.float32]
    ) -> None:
        self._program, self._link = program, link
        self._files = [link.with_suffix(".windows"), link.with_suffix(".samples")]
        self._channels = samples.shape[1]
        for file, array in zip(self._files, (windows, samples), strict=True):
            file.write_bytes(array.tobytes())
        self._process: subprocess.Popen[bytes] | None = None

    def plug(self, kind: str = "p", *mishaps: str, first: int = 0) -> None:
        """Power it, with a port of its own.

        Args:
            kind: ``p`` predictions, ``b`` blocks, ``pb`` both.
            mishaps: such as ``reset@7``: before the message of that number.
            first: the number to begin with.
        """
        controller, device = pty.openpty()
        tty.setraw(device)
        facts = [*self._files, BLOCK, self._channels, first, *mishaps]
        with contextlib.closing(os.fdopen(controller, "r+b", 0)) as end:
            self._process = subprocess.Popen([self._program, kind, *map(str, facts)], stdin=end, stdout=end)
        self._link.symlink_to(os.ttyname(device))
        self._device = device

    def unplug(self) -> None:
        """Pull it out; may be done twice."""
        if self._process is not None:
            self._link.unlink()
            self._process.kill()
            self._process.wait(10)
            self._process = None
            os.close(self._device)
