"""A board that is a process: the C side of the bridge for this machine, with every sanitizer on."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from pathlib import Path

from firmware_bridge.protocol import Type, decode

ROOT = Path(__file__).parents[1]
FIRMWARE = ROOT / "firmware_bridge" / "firmware"
SOURCES = sorted((FIRMWARE / "src").glob("*.c"))
INCLUDES = ("-I", str(FIRMWARE / "include"), "-I", str(FIRMWARE / "src"))
STRICT = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Werror")
SANITIZE = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def compiled(name: str, folder: Path, *flags: str) -> Path:
    """A program of tests/firmware with the bridge."""
    program = folder / name
    source = ROOT / "tests" / "firmware" / f"{name}.c"
    command = ["gcc", *STRICT, *SANITIZE, *flags, *INCLUDES, str(source), *map(str, SOURCES)]
    done = subprocess.run([*command, "-o", str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


class Board:
    """The process as a `Port`."""

    def __init__(self, program: Path, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )

    def read(self, timeout_s: float) -> bytes:
        out = self._process.stdout
        assert out is not None
        if not select.select([out], [], [], timeout_s)[0]:
            return b""
        data = os.read(out.fileno(), 65536)
        assert data, f"the board ended with {self._process.wait(10)}"
        return data

    def write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)

    def reset(self) -> None:
        """At once, whatever it does; not before it has answered for the first time."""
        self._process.send_signal(signal.SIGUSR1)

    def last_words(self) -> bytes:
        """What it still says when nobody can ask any more."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        return self._process.stdout.read()

    def close(self) -> None:
        for end in (self._process.stdin, self._process.stdout):
            assert end is not None
            end.close()
        assert self._process.wait(10) == 0


def frames_of(data: bytes) -> list[bytes]:
    """The frames in some bytes, each with its zeros."""
    return [b"\0" + part + b"\0" for part in data.split(b"\0") if part]


def type_of(frame: bytes) -> str:
    """What a whole frame is: ``RUN``, ``RUN answer``, ``BLOCK``."""
    message = decode(frame.strip(b"\0"))
    assert message is not None
    if message.type in set(Type):
        return Type(message.type).name
    return f"{Type(message.type & 0x7F).name} answer"
