"""Machines that firmware is built for: emulators that stand for boards, and silicon; see boards.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from converters import boards
from edge_sdk.errors import ConfigError, UnknownNameError, suggestion


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch of memory."""

    origin: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Machine:
    """What firmware is built for, and how it is emulated.

    Attributes:
        name: as in boards.toml; QEMU's, where QEMU has it.
        title: for people.
        core: as the firmware names it, ``cortex-m4``.
        port: folder in firmware/ports.
        flash: code, and constants unless there is a region for them.
        ram: stack, data and arena.
        tick_numerator: one tick of the port's counter is this many of `tick_unit`
        tick_denominator: divided by that.
        tick_unit: ``instructions`` or ``ns``.
        float_abi: ``hard`` or ``soft``.
        fpu: GCC's name of the unit for floats; None where the core implies it.
        zig: Zig's name of the core with its features; None where it is GCC's.
        tables: where constants go instead of flash.
        defines: for the port: addresses of its UART and the number of its interrupt.
        qemu: arguments of qemu-system-arm; empty where QEMU has no such machine.
        virtual: whether unicorn has the core.
        flasher: what writes firmware onto it; None of an emulator.
        board: the board that it stands for here, or its own name.
        flash_bytes: the firmware's share of flash and tables, bytes; a board may have less than its machine.
        ram_bytes: its share of RAM, bytes.
    """

    name: str
    title: str
    core: str
    port: str
    flash: Region
    ram: Region
    tick_numerator: int
    tick_denominator: int
    tick_unit: str
    float_abi: str
    fpu: str | None = None
    zig: str | None = None
    tables: Region | None = None
    defines: Mapping[str, int] = field(default_factory=dict)
    qemu: tuple[str, ...] = ()
    virtual: bool = False
    flasher: boards.Flasher | None = None
    board: str = ""
    flash_bytes: int = 0
    ram_bytes: int = 0


def load() -> dict[str, Machine]:
    """Every machine there is, by name."""
    return {name: _machine(name, facts) for name, facts in boards.machine_facts().items()}


def find(name: str) -> Machine:
    """The machine of that name, or the one that stands for the board of that name, with the board's memory.

    Raises:
        UnknownNameError: there is neither.
        ConfigError: the board has no machine: nothing emulates it.
    """
    machines = load()
    if name in machines:
        return machines[name]
    known = boards.load()
    standing = [other.name for other in known.values() if other.machine]
    if name not in known:
        named = [*standing, *machines]
        near = suggestion(name, named) or f"name one of {', '.join(standing)}"
        raise UnknownNameError("board", name, named, remedy=near)
    board = known[name]
    if board.machine is None:
        raise ConfigError(
            f"firmware for {name} cannot be built here",
            expected=f"a board that a machine stands for: {', '.join(standing)}",
            found=board.title,
            remedy="take its project with: edgeml firmware export MODEL --for cmake (or arduino)",
        )
    machine = machines[board.machine]
    return replace(
        machine,
        board=name,
        flash_bytes=min(board.flash_bytes, machine.flash_bytes),
        ram_bytes=min(board.ram_bytes, machine.ram_bytes),
    )


def standing_for() -> dict[str, tuple[str, ...]]:
    """The boards that each machine stands for, by the machine's name."""
    known = boards.load().values()
    return {name: tuple(board.name for board in known if board.machine == name) for name in load()}


def _machine(name: str, facts: Mapping[str, Any]) -> Machine:
    given = dict(facts)
    tick = given.pop("tick")
    flash, ram = Region(**given.pop("flash")), Region(**given.pop("ram"))
    tables = Region(**given.pop("tables")) if "tables" in given else None
    return Machine(
        name=name,
        board=name,
        flash=flash,
        ram=ram,
        tables=tables,
        tick_numerator=tick["numerator"],
        tick_denominator=tick["denominator"],
        tick_unit=tick["unit"],
        qemu=tuple(given.pop("qemu", ())),
        flasher=boards.Flasher(**given.pop("flasher")) if "flasher" in given else None,
        flash_bytes=flash.bytes + (tables.bytes if tables else 0),
        ram_bytes=ram.bytes,
        **given,
    )
