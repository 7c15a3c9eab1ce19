"""Firmware onto a board, by pyocd or esptool: programs of their own, which are called and never imported."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from converters import boards
from converters.boards import Flasher
from edge_sdk.errors import ConfigError, DeviceError, MissingExtraError, one_line
from firmware_bridge import build, image, machines

#: Files that a tool takes, and the names that it is installed under.
_TAKES = {"pyocd": (".elf", ".axf", ".hex"), "esptool": (".bin",)}
_PROGRAMS = {"pyocd": ("pyocd",), "esptool": ("esptool", "esptool.py")}
#: Where esptool writes an application, and how a whole image is known that has the partition table in it.
_APPLICATION, _PARTITIONS, _PARTITION_MAGIC = 0x10000, 0x8000, b"\xaa\x50"
_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be called to write a firmware.

    Attributes:
        command: the program and its arguments.
        flasher: what boards.toml says of the tool.
        file: that is written.
    """

    command: tuple[str, ...]
    flasher: Flasher
    file: Path

    def __str__(self) -> str:
        """As one would type it."""
        return shlex.join(self.command)


def order(file: Path, board: str, port: str | None = None) -> Order:
    """Work out the command that writes a firmware onto a board.

    Args:
        file: the firmware, as the tool of that board takes it; or a model, which is built, where firmware of
            ours runs on the chip itself.
        board: or a chip, by name.
        port: serial port for esptool, a probe's id for pyocd; None where the tool finds it by itself.

    Raises:
        UnknownNameError: there is no such board.
        ConfigError: nothing is known that flashes it, the tool does not take such a file, or the firmware is
            for an emulator.
        EdgeError: as `build.build`, of a model.
        DeviceError: the file cannot be read.
    """
    flasher = _flasher(board)
    if file.suffix.lower() == ".tflite":
        file = _built(file, board)
    if file.suffix.lower() not in _TAKES[flasher.tool]:
        raise ConfigError(
            f"{flasher.tool} does not take {file.name}",
            expected=f"a file that ends in {' or '.join(_TAKES[flasher.tool])}",
            remedy="let the build write one",
        )
    _refuse_emulated(file)
    program = _program(flasher.tool)
    if flasher.tool == "pyocd":
        arguments = ["flash", "--target", flasher.chip, *(("--uid", port) if port else ())]
    else:
        place = ("--port", port) if port else ()
        arguments = ["--chip", flasher.chip, *place, "write_flash", f"{_address(file):#x}"]
    return Order((program, *arguments, str(file)), flasher, file)


def flash(what: Order) -> None:
    """Write the firmware; what the tool says goes to standard error.

    Raises:
        MissingExtraError: the tool is not installed.
        DeviceError: it fails, or takes longer than ten minutes.
    """
    tool = what.flasher.tool
    if shutil.which(what.command[0]) is None:
        raise MissingExtraError(tool, tool, remedy=f"install it with: pip install {tool}")
    try:
        done = subprocess.run(what.command, stdout=2, check=False, timeout=_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceError(f"{tool} failed", found=one_line(error), remedy="check cable and port") from error
    if done.returncode:
        pack = (
            f", and that it has the chip: pyocd pack install {what.flasher.chip}" if what.flasher.pack else ""
        )
        raise DeviceError(
            f"{tool} did not flash {what.file.name}",
            found=f"exit status {done.returncode}; what it said stands above",
            remedy=f"check cable, --port and power{pack}",
        )


def _flasher(name: str) -> Flasher:
    machine = machines.load().get(name)
    if machine is not None:
        if machine.flasher is None:
            raise ConfigError(
                f"{name} is an emulator",
                expected="a board to flash",
                remedy=f"run it with: edgeml hil MODEL --target qemu:{name}",
            )
        return machine.flasher
    board = boards.find(name)
    if board.flasher is None:
        raise ConfigError(
            f"{name} is not flashed",
            expected="a microcontroller",
            found=board.title,
            remedy="a Raspberry Pi is deployed to: edgeml deploy --help",
        )
    return board.flasher


def _built(model: Path, board: str) -> Path:
    """The firmware of a model, where there is a port for the chip itself."""
    machine = machines.load().get(board)
    if machine is None or machine.flasher is None:
        chips = [name for name, known in machines.load().items() if known.flasher is not None]
        raise ConfigError(
            f"{model} is a model, and firmware for {board} needs that board's own UART and clocks",
            expected=f"firmware, or a chip that there is a port for: {', '.join(chips)}",
            remedy="make a project of it with: edgeml firmware export MODEL --for cmake (or arduino), "
            "build it for the board, then flash what comes out",
        )
    return build.build(model, board).elf


def _refuse_emulated(file: Path) -> None:
    """Refuse what `build` made for an emulator: on silicon it would reach for a UART that is not there."""
    beside = file.with_suffix(".json")
    try:
        name = json.loads(beside.read_text(encoding="utf-8")).get("machine")
        machine = machines.load().get(name)
        emulated = machine is not None and machine.flasher is None
    except (OSError, ValueError, AttributeError):
        emulated = False
    if not emulated and file.suffix.lower() in (".elf", ".axf"):
        emulated = image.defines(file, image.EMULATED)
    if emulated:
        raise ConfigError(
            f"{file} was built for an emulator",
            expected="firmware for the chip itself",
            remedy="make a project for it with: edgeml firmware export MODEL --for cmake (or arduino)",
        )


def _program(tool: str) -> str:
    """The name that the tool is installed under, or its usual one."""
    return next((name for name in _PROGRAMS[tool] if shutil.which(name)), tool)


def _address(file: Path) -> int:
    try:
        with file.open("rb") as content:
            content.seek(_PARTITIONS)
            return 0 if content.read(2) == _PARTITION_MAGIC else _APPLICATION
    except OSError as error:
        raise DeviceError(f"cannot read {file}", found=error.strerror or error) from error
