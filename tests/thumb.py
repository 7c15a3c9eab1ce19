"""Programs of a few Thumb instructions as ELF files, for tests that need a core but no compiler."""

from __future__ import annotations

import struct
from collections.abc import Mapping

STACK_TOP = 0x20001000
_CODE = 0x40
_NAMES = b"\0.text\0.symtab\0.strtab\0.shstrtab\0"

#: Register 4 is the UART, which is switched on; then comes a loop that answers each byte with the next one.
#: But ``!`` is an undefined instruction, ``~`` a loop without an end, and ``w`` writes to flash.
ECHO = """
2401 0424 3401 03a4
2010 6120 2003 60a0
6860 0780 d50e
6820 2821 d006 287e d005 2877 d004
3001 6020 e7f2
de00
e7fe
2100 6001 e7ed
bf30 e7eb
"""
#: The same, but without sleeping.
ECHO_AWAKE = ECHO.replace("bf30", "bf00")


def code(halves: str) -> bytes:
    """Half words in hex, with spaces between them, as they lie in memory."""
    return b"".join(struct.pack("<H", int(half, 16)) for half in halves.split())


def program(halves: str, functions: Mapping[str, tuple[int, int]], at: int = 0) -> bytes:
    """An ELF file whose reset goes to the first instruction.

    Args:
        halves: as `code` takes them.
        functions: offset in the code and size of each, bytes, by name.
        at: address of the vector table.
    """
    vectors = struct.pack("<16I", STACK_TOP, at + _CODE + 1, *([0] * 14))
    text = vectors + code(halves)
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in functions)
    symbols, name_at = struct.pack("<IIIBBH", 0, 0, 0, 0, 0, 0), 1
    for name, (offset, size) in functions.items():
        symbols += struct.pack("<IIIBBH", name_at, at + _CODE + offset + 1, size, 0x12, 0, 1)
        name_at += len(name) + 1
    text_at = 52 + 32
    symbols_at = text_at + len(text)
    strings_at = symbols_at + len(symbols)
    names_at = strings_at + len(strings)
    sections_at = names_at + len(_NAMES)
    head = b"\x7fELF\x01\x01\x01" + bytes(9)
    head += struct.pack("<HHIIIIIHHHHHH", 2, 40, 1, at + _CODE + 1, 52, sections_at, 0, 52, 32, 1, 40, 5, 4)
    segment = struct.pack("<8I", 1, text_at, at, at, len(text), len(text), 5, 4)
    sections = struct.pack("<10I", *([0] * 10))
    sections += struct.pack("<10I", 1, 1, 6, at, text_at, len(text), 0, 0, 4, 0)
    sections += struct.pack("<10I", 7, 2, 0, 0, symbols_at, len(symbols), 3, 1, 4, 16)
    sections += struct.pack("<10I", 15, 3, 0, 0, strings_at, len(strings), 0, 0, 1, 0)
    sections += struct.pack("<10I", 23, 3, 0, 0, names_at, len(_NAMES), 0, 0, 1, 0)
    return head + segment + text + symbols + strings + _NAMES + sections
