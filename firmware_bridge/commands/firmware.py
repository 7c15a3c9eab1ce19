"""``edgeml firmware``: a model as firmware for a microcontroller: built, handed on as a project, flashed."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path
from typing import Any

import click

from edge_sdk.cli import json_option, print_json
from edge_sdk.errors import first_of, printable

_FILE = click.Path(path_type=Path)
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group(
    epilog="\b\nExample:\n  edgeml firmware build motion.tflite --board cortex-m4"
    "\n  edgeml firmware run motion.tflite --board cortex-m4"
    "\n  edgeml firmware export motion.tflite --for arduino -o sketches"
    "\n  edgeml firmware flash build/firmware.elf --board cortex-m4 --dry-run"
)
def command() -> None:
    """Firmware of a model: it answers over a serial line, on an emulated board or on yours."""


@command.command(
    epilog="\b\nExample:\n  edgeml firmware build motion.tflite --board cortex-m4"
    "\n  edgeml firmware build motion.tflite --board mps3-an547 -o firmware --compiler zig --json"
)
@click.argument("model", type=_FILE, metavar="MODEL")
@click.option("--board", required=True, metavar="NAME", help="A board or an emulated machine: cortex-m4, …")
@click.option(
    "-o", "--output", type=_FOLDER, metavar="DIR", help="Folder for .elf, .hex and .bin; default: the cache."
)
@click.option(
    "--compiler",
    type=click.Choice(["gcc", "zig"]),
    help="arm-none-eabi-gcc, or Zig's clang from PyPI; default: GCC if it is there.",
)
@json_option
def build(model: Path, board: str, output: Path | None, compiler: str | None, as_json: bool) -> None:
    """Build firmware of an int8 .tflite for an emulated board, and tell what it takes of the memory.

    A model that does not fit the board's flash or RAM is refused with figures. The same build again is taken
    from a cache.
    """
    from firmware_bridge import sizes
    from firmware_bridge.build import build as make

    click.echo(f"building for {printable(board)} …", err=True)
    firmware = make(model, board, output, compiler=compiler)
    facts = {
        "board": firmware.board,
        "machine": firmware.machine.name,
        "digest": firmware.digest,
        "compiler": firmware.compiler,
        "elf": str(firmware.elf),
        "hex": str(firmware.hex),
        "binary": None if firmware.binary is None else str(firmware.binary),
        **firmware.sizes.as_dict(),
    }
    if as_json:
        print_json(facts)
        return
    rows = [
        ("firmware", facts["elf"]),
        ("board", f"{firmware.board}: {firmware.machine.title}"),
        ("digest", firmware.digest),
        ("compiler", firmware.compiler),
    ]
    _show(rows)
    click.echo("\n" + "\n".join(sizes.lines(firmware.sizes)))


@command.command(
    epilog="\b\nExample:\n  edgeml firmware run motion.tflite --board cortex-m4"
    "\n  edgeml hil motion.tflite --target serial:/dev/pts/3      in another terminal"
)
@click.argument("model", type=_FILE, metavar="MODEL")
@click.option("--board", required=True, metavar="NAME", help="cortex-m4, mps3-an547, …")
@click.option("--qemu", is_flag=True, help="In QEMU; default: in unicorn, which has no Cortex-M55.")
@json_option
def run(model: Path, board: str, qemu: bool, as_json: bool) -> None:
    """Run firmware of an int8 .tflite on an emulated board, whose serial port other programs open.

    It answers until it is interrupted, or the board meets a fault: exit status 3.
    """
    from firmware_bridge.build import build as make
    from firmware_bridge.emulator import Emulator
    from firmware_bridge.qemu import Qemu
    from firmware_bridge.terminal import Terminal

    click.echo(f"building for {printable(board)} …", err=True)
    firmware = make(model, board)
    port: Qemu | Emulator
    if qemu:
        port = Qemu(firmware.elf, firmware.machine)
    else:
        port = Emulator(firmware.elf, firmware.machine)
        port.counting = True  # what it says an inference costs must be so
    with Terminal(port) as terminal:
        facts = {"port": terminal.path, "board": firmware.board, "digest": firmware.digest}
        print_json(facts) if as_json else _show([("port", terminal.path), ("board", firmware.machine.title)])
        for number in (signal.SIGINT, signal.SIGTERM):  # a shell has its background ignore the first
            signal.signal(number, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            terminal.wait()
        if terminal.failure is not None:
            raise terminal.failure


@command.command(
    epilog="\b\nExample:\n  edgeml firmware export motion.tflite --for arduino -o sketches"
    "\n  edgeml firmware export motion.tflite --for cmake -o motion_firmware --board cortex-m7"
)
@click.argument("model", type=_FILE, metavar="MODEL")
@click.option("--for", "kind", type=click.Choice(["arduino", "cmake"]), required=True, help="What opens it.")
@click.option("-o", "--output", type=_FOLDER, metavar="DIR", help="Folder to write; default: by the model.")
@click.option(
    "--board",
    default="cortex-m4",
    show_default=True,
    metavar="NAME",
    help="That the CMake project is set up for until your port is in.",
)
@json_option
def export(model: Path, kind: str, output: Path | None, board: str, as_json: bool) -> None:
    """Write an int8 .tflite as a project for your own board.

    The model in C, the bridge that answers over serial, and what joins them: a sketch with Serial, or a CMake
    project with a toolchain file, an emulated board to try it on, and a template for yours.

    In a project that is there already only model and bridge are replaced; the rest stays as you made it.
    """
    from firmware_bridge.export import export as write

    written = write(model, kind, output, board)
    if as_json:
        files, kept = list(written.files), list(written.kept)
        print_json({"folder": str(written.folder), "files": files, "kept": kept, "start": written.start})
        return
    rows = [("written", f"{written.folder}, {len(written.files)} files")]
    if written.kept:
        rows.append(("kept", f"{first_of(written.kept)}, as you made them"))
    _show([*rows, ("open" if kind == "arduino" else "build", written.start)])


@command.command(
    epilog="\b\nExample:\n  edgeml firmware flash build/firmware.elf --board cortex-m4"
    "\n  edgeml firmware flash motion.tflite --board stm32f405"
    "\n  edgeml firmware flash firmware.bin --board esp32-s3 --port /dev/ttyACM0 --dry-run"
)
@click.argument("firmware", type=_FILE, metavar="FIRMWARE|MODEL")
@click.option("--board", required=True, metavar="NAME", help="cortex-m4, esp32-s3, …")
@click.option("--port", metavar="PORT", help="Serial port for esptool; the probe's id for pyocd.")
@click.option("--dry-run", is_flag=True, help="Print the command and call nothing.")
@json_option
def flash(firmware: Path, board: str, port: str | None, dry_run: bool, as_json: bool) -> None:
    """Write firmware onto a board, with pyocd or esptool, whichever the board takes.

    FIRMWARE is what your own build made for the chip: .elf or .hex for pyocd, .bin for esptool. A model is
    built first where there is a port for the chip itself: stm32f405.
    """
    from firmware_bridge import flash as flashing

    order = flashing.order(firmware, board, port)
    if not dry_run:
        click.echo(str(order), err=True)
        flashing.flash(order)
    if as_json:
        print_json({"command": list(order.command), "tool": order.flasher.tool, "flashed": not dry_run})
    elif dry_run:
        click.echo(str(order))
    else:
        _show([("flashed", f"{firmware} onto {board}")])


def _show(rows: list[tuple[str, Any]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        click.echo(f"{name:<{width}}  {printable(str(text))}")
