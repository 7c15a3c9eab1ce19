"""Firmware in QEMU, reached over its UART on a pseudo terminal."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from firmware_bridge.link import Link
from firmware_bridge.ports import open_serial

_QUIET = ("-display", "none", "-monitor", "none", "-no-reboot", "-serial", "pty")


@contextmanager
def emulated(elf: Path, machine: Sequence[str]) -> Iterator[str]:
    """QEMU with a firmware: the name of the terminal that its UART is on."""
    command = ["qemu-system-arm", *machine, "-kernel", str(elf), *_QUIET]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            terminal = re.search(r"/dev/pts/\d+", said)
            assert terminal, said
            yield terminal[0]
        finally:
            process.kill()


@contextmanager
def linked(elf: Path, machine: Sequence[str]) -> Iterator[Link]:
    """A link to a firmware in QEMU."""
    with emulated(elf, machine) as terminal, Link(open_serial(terminal)) as link:
        yield link
