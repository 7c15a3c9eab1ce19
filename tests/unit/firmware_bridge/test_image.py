from pathlib import Path

import pytest

from edge_sdk.errors import DeviceError, ModelError
from firmware_bridge import image
from firmware_bridge.image import Image, Symbol


def holding(*segments: tuple[int, bytes]) -> Image:
    return Image((), (), segments)


def test_intel_hex_has_its_address_and_a_sum_in_every_line() -> None:
    # The example of Intel's own specification (Hexadecimal Object File Format, 1988).
    assert holding((0x0100, bytes.fromhex("214601360121470136007EFE09D21901"))).hex() == (
        ":10010000214601360121470136007EFE09D2190140\n:00000001FF\n"
    )


def test_intel_hex_goes_on_behind_64_kb() -> None:
    lines = holding((0x0800_0000, b"ab"), (0x0801_0000, b"c")).hex().splitlines()
    assert lines == [
        ":020000040800F2",
        f":02000000{b'ab'.hex().upper()}{-(2 + 0x61 + 0x62) & 255:02X}",
        ":020000040801F1",
        f":01000000{b'c'.hex().upper()}{-(1 + 0x63) & 255:02X}",
        ":00000001FF",
    ]


def test_a_binary_fills_gaps_and_is_none_where_they_are_large() -> None:
    assert holding((0x100, b"ab"), (0x104, b"c")).binary() == b"ab\xff\xffc"
    assert holding((0, b"ab"), (0x6000_0000, b"c")).binary() is None
    assert holding().binary() is None


def test_the_function_at_an_address() -> None:
    found = Image((), (Symbol("run", "", 0x100, 8, ".text"), Symbol("next", "", 0x108, 4, ".text")), ())
    assert [found.function_at(at) for at in (0xFF, 0x100, 0x107, 0x108, 0x10C)] == [
        None,
        "run",
        "run",
        "next",
        None,
    ]


@pytest.mark.parametrize(
    "content", [b"", b"\x7fELF", b"\x7fELF\x01\x01\x01" + bytes(20), b"no program at all"]
)
def test_a_file_that_is_no_program_is_an_error_of_ours(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("elftools", reason="needs: pip install 'edgeml-kit[firmware]'")
    file = tmp_path / "x.elf"
    file.write_bytes(content)
    with pytest.raises(ModelError, match="is no ELF file, or a damaged one"):
        image.read(file)
    with pytest.raises(DeviceError, match="cannot read"):
        image.read(tmp_path / "none.elf")
