import pytest

from converters import boards
from edge_sdk.errors import ConfigError, UnknownNameError
from firmware_bridge import machines, sourcetree


def test_a_board_is_its_machine_with_the_boards_own_memory() -> None:
    machine, board = machines.find("cortex-m4"), boards.find("cortex-m4")
    assert (machine.name, machine.board) == ("mps2-an386", "cortex-m4")
    assert (machine.flash_bytes, machine.ram_bytes) == (board.flash_bytes, board.ram_bytes)
    whole = machines.find("mps2-an386")
    assert whole.board == "mps2-an386"
    assert whole.flash_bytes == whole.flash.bytes > machine.flash_bytes


@pytest.mark.parametrize("name", sorted(machines.load()))
def test_every_machine_has_what_a_build_needs(name: str) -> None:
    machine = machines.find(name)
    assert (sourcetree.FIRMWARE / "ports" / machine.port / "board.c").is_file()
    assert machine.core.startswith("cortex-m")
    assert machine.tick_unit in ("instructions", "ns")
    assert machine.qemu or machine.virtual or machine.flasher
    assert "EDGEML_UART_IRQ" in machine.defines


def test_every_cortex_board_but_the_smallest_has_a_machine() -> None:
    standing = {board for there in machines.standing_for().values() for board in there}
    assert standing == {name for name in boards.load() if name.startswith("cortex-m")} - {"cortex-m0plus"}


def test_names_that_are_neither_are_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown board 'cortex-m77': .*did you mean 'cortex-m7'"):
        machines.find("cortex-m77")
    with pytest.raises(UnknownNameError, match="name one of cortex-m3, cortex-m4"):
        machines.find("x")


@pytest.mark.parametrize("name", ["rpi4", "esp32-s3", "ethos-u55-128", "cortex-m0plus"])
def test_a_board_that_nothing_emulates_says_what_there_is(name: str) -> None:
    with pytest.raises(ConfigError, match=f"firmware for {name} cannot be built here: .*firmware export"):
        machines.find(name)


def test_machines_are_no_boards() -> None:
    assert not set(machines.load()) & set(boards.load())
