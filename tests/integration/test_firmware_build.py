"""Firmware is built for every machine, runs in QEMU, and says where it failed when it fails."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.c import library
from converters.c.lower import lower
from edge_sdk.cli import main
from edge_sdk.errors import DeviceError
from edge_sdk.modelfile import digest_of
from firmware_bridge import build, compilers, image, machines, sourcetree
from firmware_bridge.c_runtime import Runtime
from firmware_bridge.link import Link
from firmware_bridge.ports import open_serial
from tests.c_library import STRICT
from tests.integration.firmware_boards import emulated, linked

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        shutil.which("arm-none-eabi-gcc") is None or shutil.which("qemu-system-arm") is None,
        reason="needs: apt install gcc-arm-none-eabi qemu-system-arm",
    ),
]
GOLDEN = Path(__file__).parents[1] / "golden"
MODEL = GOLDEN / "arena" / "tcn_int8.tflite"
#: Flash of what is the same for every model, as it was last.
RECORDED = GOLDEN / "firmware" / "sizes.json"
#: Another patch release of the compiler may move a few bytes.
MORE = 1.03
#: The chip's own firmware runs on a machine of QEMU's, too; what its timer counts there means nothing.
CHIP = ("-M", "netduinoplus2")
#: Zig builds its own runtime for each core before the first firmware: ten seconds.
EVERYTHING = "EDGEML_FIRMWARE_ALL" in os.environ
NO_ZIG = pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="needs: pip install ziglang")


@pytest.fixture(scope="module")
def case():
    """Inputs of the model, and what the generated C makes of them on this machine."""
    runtime = Runtime(MODEL.read_bytes())
    rng = np.random.default_rng(7)
    inputs = [rng.normal(size=port.shape).astype(port.dtype) for port in runtime.inputs]
    outputs = runtime.invoke(inputs)
    runtime.close()
    return [array.tobytes() for array in inputs], tuple(array.tobytes() for array in outputs)


def the_same(machine, firmware, case, qemu=None):
    """The firmware introduces itself and gives the reference's bits; its counts."""
    inputs, outputs = case
    with linked(firmware.elf, qemu or machine.qemu) as link:
        hello = link.hello()
        assert hello.digest == firmware.digest == digest_of(MODEL.read_bytes())
        assert hello.core == machine.core
        assert hello.tick_unit == machine.tick_unit
        assert hello.arena_bytes == firmware.sizes.arena_bytes
        first = link.invoke(inputs)
        assert first.outputs == outputs
        assert link.invoke(inputs).outputs == outputs
        stats = link.stats()
    assert stats.stack_bytes == firmware.sizes.stack_bytes == build.STACK_BYTES
    assert 0 < stats.stack_used_bytes < stats.stack_bytes / 2
    return first.cost


@pytest.mark.parametrize("name", [name for name, machine in machines.load().items() if machine.qemu])
def test_the_same_bits_on_every_machine(name, case):
    machine = machines.find(name)
    firmware = build.build(MODEL, name)
    figures = json.loads((GOLDEN / "c_library" / "figures.json").read_text())["tcn_int8"][machine.core]
    counted = the_same(machine, firmware, case)
    # As many as the library alone was counted to take, and what its caller and the timer's steps come to.
    assert counted == pytest.approx(figures["instructions"], rel=0.08)


@NO_ZIG
@pytest.mark.parametrize("board", ["cortex-m4", *(["cortex-m3", "cortex-m55"] if EVERYTHING else [])])
def test_zig_builds_what_gcc_builds(board, case):
    firmware = build.build(MODEL, board, compiler="zig")
    assert firmware.compiler.startswith("zig ")
    assert image.defines(firmware.elf, "__aeabi_fmul") == (board == "cortex-m3")  # floats in software
    the_same(firmware.machine, firmware, case)


def test_firmware_of_a_chip_runs_where_qemu_has_it(case):
    firmware = build.build(MODEL, "stm32f405")
    assert firmware.binary is not None
    the_same(firmware.machine, firmware, case, CHIP)


@pytest.mark.parametrize("board", ["cortex-m3", "cortex-m33", "cortex-m55"])
def test_ports_compile_without_a_warning(board, tmp_path):
    """Startup, ports and template: GNU C, as they have to speak assembly; what is generated is plain C99."""
    machine = machines.find(board)
    model = sourcetree.read(MODEL)
    sources = {**sourcetree.of_bridge(), **sourcetree.of_model(model, lower(model.flatbuffer))}
    ports = sourcetree.FIRMWARE / "ports"
    folders = [ports / "cortex_m", ports / machine.port, ports / "template", ports / "stm32f4"]
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    core = [flag for flag in compilers.find("gcc").flags(machine) if flag.startswith(("-m", "-f"))]
    common = ["arm-none-eabi-gcc", "-O2", *core, *STRICT, *sourcetree.definitions(machine), "-c"]
    common += ["-Ibridge", "-Imodel", f"-I{ports / 'cortex_m'}", f"-I{ports / 'cortex_m' / 'libc'}"]
    files = [
        "model/glue.c",
        "bridge/main.c",
        *(str(file) for folder in folders for file in folder.glob("*.c")),
    ]
    for file in files:
        subprocess.run([*common, file, "-o", "x.o"], cwd=tmp_path, check=True)


def broken(elf, function, tmp_path, *halfwords):
    """The same firmware with the first instructions of a function replaced."""
    found = image.read(elf)
    at = next(symbol.address for symbol in found.symbols if symbol.name == function)
    whole = elf.read_bytes()
    code = next(data[at - start :][:16] for start, data in found.segments if start <= at < start + len(data))
    assert whole.count(code) == 1
    wrong = b"".join(halfword.to_bytes(2, "little") for halfword in halfwords)
    target = tmp_path / "broken.elf"
    target.write_bytes(whole.replace(code, wrong + code[len(wrong) :]))
    return target, found


@pytest.mark.parametrize("name", ["mps2-an386", "mps3-an547"])
def test_a_fault_says_in_which_function_and_again_to_whoever_asks(name, case, tmp_path):
    machine = machines.find(name)
    elf, found = broken(build.build(MODEL, name).elf, "edgeml_softmax", tmp_path, 0xDE00)  # udf
    with emulated(elf, machine.qemu) as terminal:
        with (
            Link(open_serial(terminal)) as link,
            pytest.raises(DeviceError, match="an undefined instruction, at 0x") as met,
        ):
            link.invoke(case[0])
        where = re.search(r"at (0x[0-9a-f]{8})", str(met.value))
        assert where
        assert found.function_at(int(where[1], 16)) == "edgeml_softmax"
        line = subprocess.check_output(["arm-none-eabi-addr2line", "-e", str(elf), where[1]], text=True)
        assert re.search(r"model/edgeml_softmax\.c:\d+", line)
        with (
            Link(open_serial(terminal)) as later,
            pytest.raises(DeviceError, match="an undefined instruction"),
        ):
            later.hello()


@pytest.mark.parametrize("name", ["mps2-an386", "mps3-an547"])
def test_a_stack_that_runs_over_is_a_fault_and_no_wrong_answer(name, case, tmp_path):
    machine = machines.find(name)
    # push {r0-r7}; branch to itself: until the memory ends.
    elf, _ = broken(build.build(MODEL, machine.name).elf, "edgeml_softmax", tmp_path, 0xB4FF, 0xE7FD)
    with linked(elf, machine.qemu) as link, pytest.raises(DeviceError, match="stack ran over"):
        link.invoke(case[0])


def test_a_second_build_is_found_and_files_are_put_where_they_are_wanted(tmp_path, monkeypatch):
    first = build.build(MODEL, "cortex-m4")

    def called(*arguments):
        raise AssertionError("compiled again")

    monkeypatch.setattr(compilers, "compile_all", called)
    assert build.build(MODEL, "cortex-m4") == first
    there = build.build(MODEL, "cortex-m4", tmp_path / "out")
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "firmware.elf",
        "firmware.hex",
        "firmware.bin",
        "firmware.json",
    }
    assert there.elf.read_bytes() == first.elf.read_bytes()
    assert there.binary is not None
    whole = image.read(there.elf)
    assert there.binary.read_bytes()[:4] == (0x2000_0000 + build.STACK_BYTES).to_bytes(4, "little")
    assert len(there.binary.read_bytes()) == first.sizes.flash_bytes + gaps(whole)


def gaps(whole):
    """Bytes between parts that lie behind each other, for their alignment."""
    return sum(
        after[0] - before[0] - len(before[1])
        for before, after in zip(whole.segments, whole.segments[1:], strict=False)
    )


def test_builds_at_the_same_time_do_not_disturb_each_other(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made, failed = [], []

    def one():
        try:
            made.append(build.build(MODEL, "cortex-m3"))
        except Exception as error:  # noqa: BLE001 - a thread's error would be lost
            failed.append(error)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len({firmware.elf for firmware in made}) == 1
    # Made elsewhere and at another time, but of the same: every byte is the same.
    monkeypatch.undo()
    assert made[0].elf.read_bytes() == build.build(MODEL, "cortex-m3").elf.read_bytes()
    assert [
        path.name for path in (tmp_path / "edgeml" / "firmware").iterdir() if path.name.startswith(".")
    ] == []


def test_a_cache_that_cannot_be_written_is_an_error_of_ours(tmp_path, monkeypatch):
    (tmp_path / "edgeml").write_text("a file where the folder would be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DeviceError, match="cannot write .*XDG_CACHE_HOME"):
        build.build(MODEL, "cortex-m4")


def test_the_size_report_adds_up_and_is_no_larger_than_it_was(capsys):
    sizes = build.build(MODEL, "cortex-m4").sizes
    assert sum(part.flash_bytes for part in sizes.parts) == sizes.flash_bytes
    assert sum(part.ram_bytes for part in sizes.parts) == sizes.ram_bytes
    assert all(part.flash_bytes >= 0 and part.ram_bytes >= 0 for part in sizes.parts)
    parts = {part.name: part for part in sizes.parts}
    layers = sum(layer.flash_bytes for layer in sizes.layers)
    figures = library.figures(MODEL.read_bytes())
    # Every table of the model is of some layer; records of the kernel calls come on top.
    assert figures["flash_bytes"] <= layers <= parts["model"].flash_bytes
    assert parts["model"].ram_bytes == sizes.arena_bytes == figures["arena_bytes"]
    assert parts["bridge"].flash_bytes <= 3072
    found = {part.name: part.flash_bytes for part in sizes.parts}
    for name, size in json.loads(RECORDED.read_text()).items():
        assert found[name] <= size * MORE, f"{name} is larger"

    with pytest.raises(SystemExit) as ended:
        main(["firmware", "build", str(MODEL), "--board", "cortex-m4", "--json"])
    assert ended.value.code == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["flash_bytes"] == sizes.flash_bytes
    assert printed["parts"][0]["name"] == sizes.parts[0].name
    with pytest.raises(SystemExit):
        main(["firmware", "build", str(MODEL), "--board", "cortex-m4"])
    text = capsys.readouterr().out
    assert f"flash  {sizes.flash_bytes:,} of 1,048,576 bytes" in text
    assert re.search(r"^\d+ CONV_2D +[\d,]+ +0$", text, re.MULTILINE)


def test_what_does_not_fit_after_linking_is_said_with_figures(monkeypatch, capsys):
    """Tables and arena alone would fit; with the program they do not."""
    small = replace(machines.find("cortex-m4"), flash_bytes=12_000)
    monkeypatch.setattr(machines, "find", lambda name: small)
    with pytest.raises(SystemExit) as ended:
        main(["firmware", "build", str(MODEL), "--board", "cortex-m4"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert re.search(
        r"tcn_int8.tflite: this model does not fit cortex-m4: expected at most 12.0 kB of flash, found", said
    )
