"""A core in this process, with programs of a few instructions: pauses, counts, faults, resets."""

from __future__ import annotations

import sys

import pytest

from edge_sdk.errors import ConfigError, DeviceError, MissingExtraError, ModelError
from firmware_bridge import emulator, machines
from firmware_bridge.emulator import Emulator
from tests import thumb

pytest.importorskip("unicorn", reason="needs unicorn: pip install 'edgeml-kit[firmware]'")

M4 = machines.find("cortex-m4")
#: Where the functions of `thumb.ECHO` are.
FUNCTIONS = {"start": (0, 16), "answer": (16, 26), "broken": (42, 2), "endless": (44, 2), "scribble": (46, 6)}
#: Instructions of the echo for one byte: from the sleep to the next one.
PER_BYTE = 1 + 3 + 7 + 3 + 3 + 1


@pytest.fixture
def run(tmp_path):
    """Starts a program; closes it in the end."""
    opened = []

    def start(halves=thumb.ECHO, machine=M4, **options):
        file = tmp_path / "program.elf"
        file.write_bytes(thumb.program(halves, FUNCTIONS))
        opened.append(Emulator(file, machine, **options))
        return opened[-1]

    yield start
    for board in opened:
        board.close()


def test_the_program_is_what_its_functions_say():
    body = thumb.code(thumb.ECHO)
    assert body[42:44] == thumb.code("de00")
    assert body[44:46] == thumb.code("e7fe")


@pytest.mark.parametrize("board", ["cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"])
def test_every_core_answers(run, board):
    with run(machine=machines.find(board)) as core:
        core.write(b"abc")
        assert core.read(1) == b"bcd"
        assert core.name == board


@pytest.mark.parametrize("halves", [thumb.ECHO, thumb.ECHO_AWAKE], ids=["sleeps", "polls"])
def test_says_nothing_where_there_is_nothing_to_say(run, halves):
    core = run(halves)
    assert core.read(0) == b""
    assert core.read(0.01) == b""


@pytest.mark.parametrize("halves", [thumb.ECHO, thumb.ECHO_AWAKE], ids=["sleeps", "polls"])
def test_no_byte_is_lost_or_doubled_however_often_it_is_paused(run, halves):
    core = run(halves)
    sent = bytes(range(200, 250)) * 400
    core.write(sent)
    heard = b""
    while len(heard) < len(sent):
        core._uart.hurry = True  # as the watch says when the time is over
        heard += core.read(0)
    assert heard == bytes(byte + 1 for byte in sent)


def test_counts_every_instruction_and_the_same_each_time(run):
    core = run()
    core.read(0)
    assert core.instructions == 0
    core.counting = True
    counts = []
    for _ in range(3):
        before = core.instructions
        core.write(b"a")
        assert core.read(1) == b"b"
        counts.append(core.instructions - before)
    assert counts == [PER_BYTE] * 3
    core.counting = False
    core.write(b"a")
    core.read(1)
    assert core.instructions == 3 * PER_BYTE


def test_a_fault_is_named_with_its_place_and_lasts_until_the_reset(run):
    core = run()
    core.write(b"a!")
    assert core.read(1) == b"b"
    with pytest.raises(
        DeviceError, match=r"met a fault.*Invalid instruction.*at 0x0000006a in broken; .*addr2line"
    ):
        core.read(1)
    for ask in (lambda: core.read(0), lambda: core.write(b"a")):
        with pytest.raises(DeviceError, match="met a fault"):
            ask()
    core.reset()
    core.write(b"c")
    assert core.read(1) == b"d"


def test_flash_cannot_be_written(run):
    core = run()
    core.write(b"w")
    with pytest.raises(DeviceError, match=r"Write to write-protected memory.*in scribble"):
        core.read(1)


def test_a_core_that_lost_its_way_is_stopped_and_found(run):
    core = run(limit_s=0.1)
    core.write(b"~")
    with pytest.raises(
        DeviceError, match=r"does not come back: expected .* 0.1 s, found busy at 0x\w+ in endless"
    ):
        core.read(0.01)
    core.reset()
    core.write(b"a")
    assert core.read(1) == b"b"


def test_a_reset_forgets_what_waited(run):
    core = run()
    core.write(b"abc")
    core.reset()
    assert core.read(0) == b""
    core.write(b"x")
    assert core.read(1) == b"y"


def test_a_closed_one_says_so(run):
    core = run()
    core.close()
    core.close()
    with pytest.raises(DeviceError, match="virtual board cortex-m4: closed"):
        core.read(0)
    with pytest.raises(DeviceError, match="closed"):
        core.write(b"a")


def test_one_that_nobody_closed_leaves_no_thread(run, tmp_path):
    import gc
    import threading

    before = threading.active_count()
    file = tmp_path / "forgotten.elf"
    file.write_bytes(thumb.program(thumb.ECHO, FUNCTIONS))
    core = Emulator(file, M4)
    watch = core._watch
    thread = watch._thread
    del core, watch
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()
    assert threading.active_count() <= before


def test_a_program_for_other_memory_is_refused(tmp_path):
    file = tmp_path / "elsewhere.elf"
    file.write_bytes(thumb.program(thumb.ECHO, FUNCTIONS, at=0x08000000))
    with pytest.raises(
        DeviceError, match=r"is not for Cortex-M4F on MPS2: expected .*found .* at 0x8000000; build"
    ):
        Emulator(file, M4)


def test_what_is_no_program_is_refused(tmp_path):
    file = tmp_path / "text.elf"
    file.write_text("nothing of the kind")
    with pytest.raises(ModelError, match=r"is no ELF file"):
        Emulator(file, M4)
    with pytest.raises(DeviceError, match="cannot read"):
        Emulator(tmp_path / "none.elf", M4)


def test_the_m55_is_qemus():
    with pytest.raises(
        ConfigError, match=r"no virtual board has a cortex-m55: .*QEMU has it: qemu:mps3-an547"
    ):
        emulator.check(machines.find("cortex-m55"))


def test_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "unicorn", None)
    with pytest.raises(
        MissingExtraError, match=r"no package 'unicorn'; .*pip install 'edgeml-kit\[firmware\]'"
    ):
        emulator.check(M4)
