"""What a firmware needs of a board's memory, by section, by part and by layer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from converters.boards import kb
from converters.c.lower import Program
from converters.costs import title
from edge_sdk.errors import ConfigError
from firmware_bridge.image import Image, Section, Symbol
from firmware_bridge.machines import Machine

#: The part of the firmware that no file of ours names: the stack, the compiler's own functions, gaps.
REST = "stack, rest"
_STACK = ".stack"


@dataclass(frozen=True, slots=True)
class Share:
    """What a part of the firmware takes.

    Attributes:
        name: of the part, or of the layer.
        flash_bytes: code, constants and first values.
        ram_bytes: variables.
    """

    name: str
    flash_bytes: int
    ram_bytes: int


@dataclass(frozen=True, slots=True)
class Model:
    """The model in a firmware: its kernel calls, and the memory that they share, bytes."""

    program: Program
    arena_bytes: int


@dataclass(frozen=True, slots=True)
class _Places:
    """Names of the sections that are kept in flash, and of those that lie in RAM; some do both."""

    flash: set[str]
    ram: set[str]

    def share(self, name: str, symbols: Iterable[Symbol]) -> Share:
        """What symbols take together; several may name the same bytes."""
        found = {(symbol.section, symbol.address): symbol.bytes for symbol in symbols}
        return Share(
            name,
            sum(size for (section, _), size in found.items() if section in self.flash),
            sum(size for (section, _), size in found.items() if section in self.ram),
        )


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a firmware needs.

    Attributes:
        flash_bytes: of all that is kept without power.
        flash_limit: that the board has.
        ram_bytes: data, arena and stack.
        ram_limit: that the board has.
        arena_bytes: of the model.
        stack_bytes: kept for the stack.
        sections: the linker's, with their sizes.
        parts: tables of the model, kernels, the bridge, the rest.
        layers: tables of each, in the order they are run; equal tables count for the first that has them.
    """

    flash_bytes: int
    flash_limit: int
    ram_bytes: int
    ram_limit: int
    arena_bytes: int
    stack_bytes: int
    sections: dict[str, int]
    parts: tuple[Share, ...]
    layers: tuple[Share, ...]

    def as_dict(self) -> dict[str, Any]:
        """The keys that ``--json`` prints."""
        return asdict(self)

    @classmethod
    def rebuilt(cls, facts: Mapping[str, Any]) -> Sizes:
        """From what `as_dict` gave."""
        shares = {key: tuple(Share(**share) for share in facts[key]) for key in ("parts", "layers")}
        return cls(**{**facts, **shares})


def measure(image: Image, machine: Machine, model: Model, files: Mapping[str, str]) -> Sizes:
    """The sizes of a linked firmware.

    Args:
        image: the firmware.
        machine: that it is for.
        model: in it.
        files: the part that each source file is of, by its name without folders.
    """
    sections = {section.name: section.bytes for section in image.sections}
    kept = {section.name for section in image.sections if section.loaded}
    places = _Places(kept, {section.name for section in image.sections if _is_in(section, machine)})
    flash_bytes = sum(sections[name] for name in places.flash)
    ram_bytes = sum(sections[name] for name in places.ram)
    groups: dict[str, list[Symbol]] = {part: [] for part in files.values()}
    for symbol in image.symbols:
        part = files.get(symbol.file)
        if part is not None:
            groups[part].append(symbol)
    parts = [places.share(part, symbols) for part, symbols in groups.items()]
    rest = Share(
        REST,
        flash_bytes - sum(part.flash_bytes for part in parts),
        ram_bytes - sum(part.ram_bytes for part in parts),
    )
    return Sizes(
        flash_bytes=flash_bytes,
        flash_limit=machine.flash_bytes,
        ram_bytes=ram_bytes,
        ram_limit=machine.ram_bytes,
        arena_bytes=model.arena_bytes,
        stack_bytes=sections.get(_STACK, 0),
        sections=sections,
        parts=(*parts, rest),
        layers=tuple(_layers(image, places, model.program)),
    )


def check(sizes: Sizes, board: str) -> None:
    """Refuse what does not fit.

    Raises:
        ConfigError: flash or RAM is not enough, with figures.
    """
    refuse_overflow(board, "flash", sizes.flash_bytes, sizes.flash_limit)
    refuse_overflow(board, "RAM", sizes.ram_bytes, sizes.ram_limit)


def refuse_overflow(board: str, memory: str, needed: int, there: int) -> None:
    """Raise the error of a memory that is not enough, if it is not."""
    if needed > there:
        raise overflow(board, memory, needed, there)


def overflow(board: str, memory: str, needed: int, there: int) -> ConfigError:
    """The error of a memory that is not enough, bytes."""
    return ConfigError(
        f"this model does not fit {board}",
        expected=f"at most {kb(there)} of {memory}",
        found=f"{kb(needed)}, {needed - there:,} bytes too many",
        remedy="see what takes it with: edgeml inspect MODEL --layers; "
        "a smaller input or fewer channels, or another board",
    )


def lines(sizes: Sizes) -> list[str]:
    """The sizes as an aligned table for people."""
    rows = [
        _total("flash", sizes.flash_bytes, sizes.flash_limit),
        _total("RAM", sizes.ram_bytes, sizes.ram_limit)
        + f": arena {sizes.arena_bytes:,}, stack {sizes.stack_bytes:,}",
        "",
        *_table("section, bytes", [(name, f"{size:,}") for name, size in sizes.sections.items()]),
        "",
        *_shares("part, bytes", sizes.parts),
        "",
        *_shares("layer, bytes", sizes.layers),
    ]
    return [row.rstrip() for row in rows]


def _total(name: str, size: int, limit: int) -> str:
    return f"{name:<5}  {size:,} of {limit:,} bytes ({size / limit:.1%})"


def _shares(head: str, shares: Iterable[Share]) -> list[str]:
    rows = [(share.name, f"{share.flash_bytes:,}", f"{share.ram_bytes:,}") for share in shares]
    return _table(head, rows, ("flash", "RAM"))


def _table(head: str, rows: Sequence[tuple[str, ...]], columns: tuple[str, ...] = ("",)) -> list[str]:
    whole = [(head, *columns), *rows]
    widths = [max(len(row[i]) for row in whole) for i in range(len(whole[0]))]
    return [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in whole
    ]


def _is_in(section: Section, machine: Machine) -> bool:
    return 0 <= section.address - machine.ram.origin < machine.ram.bytes


def _layers(image: Image, places: _Places, program: Program) -> Iterator[Share]:
    """Tables and records of each kernel call: their names in model.c begin with the call's."""
    own = [symbol for symbol in image.symbols if symbol.file == "model.c"]
    for n, step in enumerate(program.steps):
        call = f"{step.layer.kernel.removeprefix('edgeml_')}_{n}"
        pattern = re.compile(rf"{re.escape(call)}(_[a-z]\w*)?(\.\w+)*")
        symbols = [symbol for symbol in own if pattern.fullmatch(symbol.name)]
        yield places.share(f"{n} {title(program.graph.ops[step.op])}", symbols)
