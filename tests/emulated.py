"""Generated C on the Cortex-M cores that QEMU emulates: outputs, instructions, bytes."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.c import library
from converters.c.lower import lower
from tests.c_library import STRICT, write

_FOLDER = Path(__file__).parent / "firmware"
_LINK = ("-nostartfiles", "-specs=nano.specs", "-Wl,--gc-sections", "-Wl,--no-warn-rwx-segments")
_LINK += ("-Wl,-z,noexecstack", "-Wl,--no-enum-size-warning")
_TIMEOUT_S = 120


@dataclass(frozen=True)
class Core:
    """A core as QEMU has it.

    Attributes:
        machine: of QEMU.
        flags: for the compiler.
        memory: regions for the linker.
        shift: of QEMU's ``-icount``.
        instructions: for each tick of the timer.
        defines: which timer is there.
    """

    machine: str
    flags: tuple[str, ...]
    memory: str
    shift: int
    instructions: float
    defines: tuple[str, ...] = ()


_MPS2 = """
MEMORY { FLASH (rx) : ORIGIN = 0, LENGTH = 4M  RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 4M }
REGION_ALIAS("TABLES", FLASH)
"""
#: Starts in its secure world, where memory and timer have other addresses.
_AN505 = """
MEMORY { FLASH (rx) : ORIGIN = 0x10000000, LENGTH = 4M  RAM (rwx) : ORIGIN = 0x38000000, LENGTH = 4M }
REGION_ALIAS("TABLES", FLASH)
"""
_MPS3 = """
MEMORY {
  FLASH (rx) : ORIGIN = 0, LENGTH = 512K
  RAM (rwx) : ORIGIN = 0x21000000, LENGTH = 4M
  TABLES (r) : ORIGIN = 0x60000000, LENGTH = 16M
}
"""
CORES = {
    "cortex-m3": Core("mps2-an385", ("-mcpu=cortex-m3",), _MPS2, 6, 5 / 8),
    "cortex-m4": Core(
        "mps2-an386", ("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"), _MPS2, 6, 5 / 8
    ),
    "cortex-m7": Core(
        "mps2-an500", ("-mcpu=cortex-m7", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"), _MPS2, 6, 5 / 8
    ),
    "cortex-m33": Core(
        "mps2-an505", ("-mcpu=cortex-m33", "-mfloat-abi=soft"), _AN505, 6, 25 / 32, ("-DTIMER=0x50000000",)
    ),
    "cortex-m55": Core(
        "mps3-an547", ("-mcpu=cortex-m55", "-mfloat-abi=hard"), _MPS3, 0, 31.25, ("-DSYSTICK",)
    ),
}


@dataclass(frozen=True)
class Run:
    """What an emulated core did.

    Attributes:
        outputs: of each output [n, …].
        instructions: of each inference.
        flash_bytes: of the library alone: code and constants.
        arena_bytes: its static memory.
        stack_bytes: what its run() needs of the stack.
    """

    outputs: list[NDArray[Any]]
    instructions: list[int]
    flash_bytes: int
    arena_bytes: int
    stack_bytes: int


def run(
    flatbuffer: bytes,
    core: Core,
    inputs: Sequence[NDArray[Any]],
    folder: Path,
    optimize: str = "-O2",
    compiler: Sequence[str] = (),
) -> Run:
    """Build a model for a core, run it in QEMU, and measure.

    Args:
        flatbuffer: the model.
        core: where it runs.
        inputs: [n, …] each.
        folder: for what is built.
        optimize: flags.
        compiler: words of a command that makes one object of the library's sources; GCC, one by one, if
            none. GCC links what it makes.

    Raises:
        RuntimeError: the core met a fault, or stopped before its time.
        subprocess.TimeoutExpired: it did not come to an end.
    """
    graph = lower(flatbuffer).graph
    files = library.render(flatbuffer, None, "m")
    header = _header(inputs, len(graph.outputs))
    found = execute(files, header, core, folder, optimize, compiler)
    if len(found.told) != len(inputs[0]):
        raise RuntimeError(f"{core.machine}: expected {len(inputs[0])} inferences, found {len(found.told)}")
    outputs, start = [], 0
    for index in graph.outputs:
        tensor = graph.tensors[index]
        part = np.ascontiguousarray(found.told[:, start : start + tensor.bytes])
        outputs.append(part.view(tensor.dtype).reshape(len(part), *tensor.shape))
        start += tensor.bytes
    return Run(outputs, found.instructions, found.flash_bytes, found.arena_bytes, found.stack_bytes)


@dataclass(frozen=True)
class Executed:
    """What a program did; as `Run`, but for what it told: uint8 [n, bytes]."""

    told: NDArray[np.uint8]
    instructions: list[int]
    flash_bytes: int
    arena_bytes: int
    stack_bytes: int


def execute(
    files: Mapping[str, str],
    header: str,
    core: Core,
    folder: Path,
    optimize: str = "-O2",
    compiler: Sequence[str] = (),
) -> Executed:
    """Build a library and what a header asks of it for a core, and run it in QEMU.

    Args:
        files: of the library.
        header: the text of inputs.h: INPUTS, MODEL(init) and MODEL(run), feed(), tell().
        core: where it runs.
        folder: for what is built.
        optimize: flags.
        compiler: as for `run`.

    Raises:
        RuntimeError: the core met a fault, or stopped before its time.
        subprocess.TimeoutExpired: it did not come to an end.
    """
    source = write(folder, files) / "src"
    (folder / "inputs.h").write_text(header)
    (folder / "all.ld").write_text(core.memory + (_FOLDER / "link.ld").read_text())
    common = ["arm-none-eabi-gcc", "-mthumb", *core.flags, *STRICT, optimize, "-ffunction-sections"]
    common += ["-fdata-sections", "-I", str(source), "-I", str(folder), *core.defines]
    sources = [str(file) for file in sorted(source.glob("*.c"))]
    if compiler:
        objects = [str(folder / "library.o")]
        words = [*compiler, *STRICT, optimize, "-I", str(source), "-c", *sources, "-o", *objects]
        subprocess.run(words, check=True)
    else:
        objects = [str(folder / f"{Path(file).stem}.o") for file in sources]
        for file, target in zip(sources, objects, strict=True):
            subprocess.run([*common, "-c", file, "-o", target], check=True)
    entry = str(folder / "start.o")
    command = [*common, "-Wno-pedantic", "-c", str(_FOLDER / "start.c"), "-o", entry]
    subprocess.run(command, check=True)
    image = folder / "firmware.elf"
    subprocess.run(
        [*common, *objects, entry, *_LINK, "-T", str(folder / "all.ld"), "-o", str(image)],
        check=True,
    )
    command = ["qemu-system-arm", "-M", core.machine, "-kernel", str(image), "-display", "none"]
    command += ["-monitor", "none", "-serial", "none", "-no-reboot"]
    command += ["-semihosting-config", "enable=on,target=native"]
    command += ["-icount", f"shift={core.shift},sleep=off"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    *lines, last = (done.stdout + done.stderr).splitlines() or [""]
    rows = [re.fullmatch(r"(\d+) ([0-9a-f]+)", line) for line in lines]
    stack = re.fullmatch(r"stack (\d+)", last)
    if stack is None or not all(rows):
        raise RuntimeError(f"{core.machine}: expected inferences to the end, found {last or done!r}")
    told = np.array([list(bytes.fromhex(row[2])) for row in rows if row], np.uint8)
    flash, arena = _sizes(folder, objects)
    ticks = [int(row[1]) for row in rows if row]
    instructions = [round(count * core.instructions) for count in ticks]
    return Executed(told, instructions, flash, arena, int(stack[1]))


def _sizes(folder: Path, objects: Sequence[str]) -> tuple[int, int]:
    """Bytes of code and constants, and of static memory, of the library's own object files."""
    done = subprocess.run(
        ["arm-none-eabi-size", *objects], capture_output=True, text=True, check=True, cwd=folder
    )
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    return sum(int(row[0]) + int(row[1]) for row in rows), sum(int(row[1]) + int(row[2]) for row in rows)


def _header(inputs: Sequence[NDArray[Any]], outputs: int) -> str:
    lines = [
        "#include <string.h>",
        '#include "model.h"',
        f"#define INPUTS {len(inputs[0])}",
        "#define MODEL(name) m_##name",
    ]
    feeds = []
    for number, array in enumerate(inputs):
        name = f"input_{number}" if number else "input"
        values = ",".join(str(byte) for byte in array.tobytes())
        lines.append(f"static const uint8_t {name}_bytes[] = {{{values}}};")
        size = f"M_{name.upper()}_BYTES"
        feeds.append(f"  memcpy(m_{name}(), {name}_bytes + n * {size}, {size});")
    lines += ["static void feed(size_t n) {", *feeds, "}"]
    lines.append("static void tell(void (*say)(const uint8_t *, size_t)) {")
    for number in range(outputs):
        name = f"output_{number}" if number else "output"
        lines.append(f"  say((const uint8_t *)m_{name}(), M_{name.upper()}_BYTES);")
    return "\n".join([*lines, "}", ""])
