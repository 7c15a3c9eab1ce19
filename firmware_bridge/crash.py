"""What a board's fault handler said, in words."""

from __future__ import annotations

from edge_sdk.errors import DeviceError

#: Bits of the Configurable Fault Status Register, Armv7-M Architecture Reference Manual B3.2.15.
_CAUSES = {
    0: "an instruction was fetched where none may be",
    1: "data was read or written where none may be",
    3: "the memory protection fired on a return from an exception",
    4: "the stack ran over: the memory protection fired on an entry to an exception",
    5: "the memory protection fired while floating-point state was saved",
    8: "an instruction was fetched from no memory",
    9: "data was read or written at no memory",
    10: "data was written at no memory, some instructions before",
    11: "a return from an exception found no memory",
    12: "the stack ran over: an entry to an exception found no memory",
    13: "floating-point state was saved to no memory",
    16: "an undefined instruction",
    17: "a jump to an address that is no Thumb code",
    18: "a broken return from an exception",
    19: "a coprocessor or floating-point unit that is off",
    20: "the stack ran over its limit",
    24: "an access that is not aligned",
    25: "a division by zero",
}


def board_fault(program_counter: int, cfsr: int) -> DeviceError:
    """The error for a fault on a board."""
    causes = [text for bit, text in _CAUSES.items() if cfsr >> bit & 1]
    return DeviceError(
        "the board met a fault and stopped",
        found=f"{' and '.join(causes) or 'no cause given'}, at {program_counter:#010x} (CFSR {cfsr:#010x})",
        remedy=f"find the line with: arm-none-eabi-addr2line -e firmware.elf {program_counter:#010x}",
    )
