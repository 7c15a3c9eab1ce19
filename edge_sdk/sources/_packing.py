"""What a packet of packed numbers is: its layout, its framing, its counter and its check."""

from __future__ import annotations

import binascii
import re
import struct
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import Literal

from edge_sdk.errors import ConfigError

Framing = Literal["sync", "cobs"]
Check = Literal["none", "sum8", "xor8", "crc16"]
Counter = Literal["none", "u8", "u16"]

#: A packet is no longer than this, and neither is what waits for the rest of one.
MAX_PACKET_BYTES = 4096
_LAYOUT = re.compile(r"([<>!]?)((?:[0-9]{0,4}[bBhHiIlLqQefdx])+)")
_COUNTERS = {"none": "", "u8": "B", "u16": "H"}
_CHECKS = {"none": "", "sum8": "B", "xor8": "B", "crc16": "H"}


@dataclass(frozen=True, slots=True)
class Packing:
    """What a packet is: sync bytes, a counter, the values, a check; with COBS a frame and no sync bytes.

    Counter and check have the byte order of the values; the check is over counter and values.

    Attributes:
        layout: the values as the module `struct` writes them, never padded; little-endian unless it says.
        sync: hexadecimal, what each packet begins with.
        framing: ``sync``, or ``cobs``: Consistent Overhead Byte Stuffing, a zero byte after each frame.
        check: ``sum8``, ``xor8`` of the bytes, or ``crc16``: CRC-16/CCITT-FALSE.
        counter: of packets, ``u8`` or ``u16``, so that lost ones are noticed.
        scale: what the values are multiplied by, one or one for each channel.
        offset: what is added then, likewise.
    """

    layout: str
    sync: str = ""
    framing: Framing = "sync"
    check: Check = "none"
    counter: Counter = "none"
    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)

    def structs(self) -> tuple[struct.Struct, struct.Struct, struct.Struct]:
        """Counter, values and check.

        Raises:
            ConfigError: it is no layout, or too long.
        """
        match = _LAYOUT.fullmatch(self.layout.replace(" ", ""))
        if match is None:
            raise ConfigError(
                "option 'layout'",
                expected="a struct such as <hhh, with codes of bBhHiIqQefdx",
                found=self.layout,
            )
        order, codes = match[1] or "<", match[2]
        parts = _COUNTERS[self.counter], codes, _CHECKS[self.check]
        counter, values, check = (struct.Struct(order + part) for part in parts)
        if not 0 < values.size <= MAX_PACKET_BYTES or codes.strip("x0123456789") == "":
            raise ConfigError(
                "option 'layout'", expected=f"1 to {MAX_PACKET_BYTES} bytes with a value", found=self.layout
            )
        return counter, values, check

    def mark(self) -> bytes:
        """The sync bytes.

        Raises:
            ConfigError: nothing would tell where a packet begins, or they are not hexadecimal.
        """
        if self.framing == "cobs":
            if self.sync:
                raise ConfigError("options 'sync' and 'framing=cobs'", expected="one of the two")
            return b""
        if not self.sync and self.check != "crc16":
            raise ConfigError(
                "format=struct: nothing tells where a packet begins",
                remedy="add sync=aa55 or whatever the device sends, framing=cobs, or check=crc16",
            )
        try:
            return bytes.fromhex(self.sync)
        except ValueError as error:
            raise ConfigError(
                "option 'sync'", expected="bytes in hex, such as aa55", found=self.sync
            ) from error


def checked(kind: Check, data: bytes) -> int:
    """The check of counter and values."""
    if kind == "crc16":
        return binascii.crc_hqx(data, 0xFFFF)
    return sum(data) & 0xFF if kind == "sum8" else reduce(xor, data, 0)
