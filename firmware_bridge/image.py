"""What a linked program puts where, and the forms in which tools take it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_sdk.errors import DeviceError, MissingExtraError, ModelError, one_line

#: A binary file has the gaps between its parts in it; with larger ones there is none.
_LARGEST_GAP = 1 << 20
_RECORD = 16
#: A symbol of firmware that only an emulator can run.
EMULATED = "edgeml_emulated"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the program in memory.

    Attributes:
        name: the linker's.
        address: where it is used.
        bytes: its size.
        loaded: whether the program's file has its content.
    """

    name: str
    address: int
    bytes: int
    loaded: bool


@dataclass(frozen=True, slots=True)
class Symbol:
    """A function or a variable.

    Attributes:
        name: its own.
        file: that defines it, without folders; empty where that is not known.
        address: without the bit that says Thumb.
        bytes: its size.
        section: that it lies in.
    """

    name: str
    file: str
    address: int
    bytes: int
    section: str


@dataclass(frozen=True, slots=True)
class Image:
    """A linked program.

    Attributes:
        sections: those that take memory.
        symbols: functions and variables, with their sizes.
        segments: load address and content, ascending.
    """

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    segments: tuple[tuple[int, bytes], ...]

    def function_at(self, address: int) -> str | None:
        """The function that an address is in, as of a program counter."""
        for symbol in self.symbols:
            if symbol.address <= address < symbol.address + symbol.bytes:
                return symbol.name
        return None

    def binary(self) -> bytes | None:
        """Its content from the first byte to the last, or None where the parts lie too far apart."""
        if not self.segments:
            return None
        whole = bytearray()
        start = self.segments[0][0]
        for address, data in self.segments:
            gap = address - start - len(whole)
            if gap > _LARGEST_GAP:
                return None
            whole += b"\xff" * gap + data
        return bytes(whole)

    def hex(self) -> str:
        """Its content as Intel HEX."""
        lines = []
        upper = 0
        for address, data in self.segments:
            for at in range(0, len(data), _RECORD):
                place = address + at
                if place >> 16 != upper:
                    upper = place >> 16
                    lines.append(_record(4, 0, upper.to_bytes(2, "big")))
                lines.append(_record(0, place & 0xFFFF, data[at : at + _RECORD]))
        return "\n".join([*lines, _record(1, 0, b""), ""])


def read(path: Path, objects: Iterable[Path] = ()) -> Image:
    """What a linked ELF file has in it.

    Args:
        path: of the program.
        objects: that it was linked from: they tell which file a symbol is from.

    Raises:
        ModelError: it is no ELF file, or damaged.
        DeviceError: it cannot be read.
        MissingExtraError: pyelftools is not installed.
    """
    elf = _open(path)
    owners = dict(pair for file in objects for pair in _defined(_open(file)))
    kept = [section for section in elf.iter_sections() if section["sh_flags"] & 2 and section["sh_size"]]
    sections = tuple(
        Section(part.name, part["sh_addr"], part["sh_size"], part["sh_type"] != "SHT_NOBITS") for part in kept
    )
    segments = sorted(
        (segment["p_paddr"], segment.data())
        for segment in elf.iter_segments("PT_LOAD")
        if segment["p_filesz"]
    )
    return Image(sections, tuple(_symbols(elf, owners)), tuple(segments))


def defines(path: Path, name: str) -> bool:
    """Whether an ELF file has a symbol of that name.

    Raises:
        ModelError, DeviceError: as `read`.
    """
    table = _open(path).get_section_by_name(".symtab")
    return table is not None and bool(table.get_symbol_by_name(name))


def _open(path: Path) -> Any:
    try:
        from elftools.common.exceptions import ELFError
        from elftools.elf.elffile import ELFFile
    except ImportError as error:
        raise MissingExtraError("what reads firmware", "firmware", "pyelftools") from error
    try:
        return ELFFile(io.BytesIO(path.read_bytes()))
    except OSError as error:
        raise DeviceError(f"cannot read {path}", found=error.strerror or error) from error
    except ELFError as error:
        raise ModelError(f"{path} is no ELF file, or a damaged one", found=one_line(error)) from error


def _symbols(elf: Any, owners: Mapping[str, str]) -> Iterator[Symbol]:
    for symbol, file in _named(elf):
        own = file if symbol["st_info"]["bind"] == "STB_LOCAL" else owners.get(symbol.name, "")
        address = symbol["st_value"]
        if symbol["st_info"]["type"] == "STT_FUNC":
            address &= ~1
        yield Symbol(symbol.name, own, address, symbol["st_size"], elf.get_section(symbol["st_shndx"]).name)


def _defined(elf: Any) -> Iterator[tuple[str, str]]:
    """What an object file defines for others, with the name of its source."""
    for symbol, file in _named(elf):
        if symbol["st_info"]["bind"] != "STB_LOCAL":
            yield symbol.name, file


def _named(elf: Any) -> Iterator[tuple[Any, str]]:
    """Functions and variables that are there, each with the source that was named before it."""
    file = ""
    table = elf.get_section_by_name(".symtab")
    for symbol in table.iter_symbols() if table else ():
        kind = symbol["st_info"]["type"]
        if kind == "STT_FILE":
            file = symbol.name.rpartition("/")[2]
        elif kind in ("STT_FUNC", "STT_OBJECT") and symbol["st_size"] and isinstance(symbol["st_shndx"], int):
            yield symbol, file


def _record(kind: int, address: int, data: bytes) -> str:
    body = bytes([len(data), *address.to_bytes(2, "big"), kind]) + data
    return ":" + (body + bytes([-sum(body) & 0xFF])).hex().upper()
