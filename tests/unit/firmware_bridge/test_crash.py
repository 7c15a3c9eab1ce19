"""A fault in words."""

import pytest

from firmware_bridge.crash import board_fault


@pytest.mark.parametrize(
    ("cfsr", "words"),
    [
        (1 << 25, "found a division by zero, at 0x00001234 (CFSR 0x02000000)"),
        (1 << 9 | 1 << 15, "found data was read or written at no memory, at 0x00001234"),
        (1 << 16 | 1 << 24, "an undefined instruction and an access that is not aligned"),
        (0, "no cause given"),
    ],
)
def test_every_cause_is_named(cfsr, words):
    assert words in str(board_fault(0x1234, cfsr))


def test_the_remedy_finds_the_line():
    assert str(board_fault(0x1234, 0)).endswith("arm-none-eabi-addr2line -e firmware.elf 0x00001234")
