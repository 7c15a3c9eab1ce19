"""Compilers for microcontrollers: Debian's GCC, or Zig's clang from PyPI where there is none."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from edge_sdk.errors import ConfigError, DeviceError, MissingExtraError, one_line
from edge_sdk.modelfile import write_atomic
from firmware_bridge.machines import Machine

NAMES = ("gcc", "zig")
_GCC = "arm-none-eabi-gcc"
_REMEDIES = {"gcc": "apt install gcc-arm-none-eabi", "zig": "pip install 'edgeml-kit[zig]'"}
_COMMON = (
    "-std=c99",
    "-O2",
    "-mthumb",
    # Of a sum and a product that become one instruction the bits differ from those of the host.
    "-ffp-contract=off",
    # There is no C library, but what compilers know of its functions holds.
    "-ffreestanding",
    "-fbuiltin",
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-common",
    # So that a fault's address leads to a line; nothing of it reaches the board.
    "-g",
)
_ZIG = ("-fno-sanitize=undefined", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables")
#: What the compilers themselves call comes from libgcc, and from Zig's compiler_rt, which is always linked.
_LINK = {
    "gcc": ("-nostdlib", "-lgcc", "-Wl,--gc-sections", "-Wl,--no-warn-rwx-segments"),
    "zig": ("-nostartfiles", "-Wl,--gc-sections"),
}
_TIMEOUT_S = 300.0
#: Of what compilers and linkers say, the lines that say what is wrong.
_TELLING = re.compile(r"(?<!collect2: )error:|undefined reference|multiple definition|overflowed by")
_INCLUDED = re.compile(r'^#include ["<]([\w./]+\.h)[">]', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Compiler:
    """A compiler for Cortex-M.

    Attributes:
        name: ``gcc`` or ``zig``.
        command: that compiles and links.
        version: what it is, with its name.
    """

    name: str
    command: tuple[str, ...]
    version: str

    def flags(self, machine: Machine) -> tuple[str, ...]:
        """What makes it compile for a machine."""
        if self.name == "gcc":
            fpu = (f"-mfpu={machine.fpu}",) if machine.fpu else ()
            return *_COMMON, f"-mcpu={machine.core}", f"-mfloat-abi={machine.float_abi}", *fpu
        abi = "eabihf" if machine.float_abi == "hard" else "eabi"
        core = machine.zig or machine.core.replace("-", "_")
        target = ("-target", f"thumb-freestanding-{abi}", f"-mcpu={core}")
        return *target, *_COMMON, *_ZIG

    def link_flags(self, script: str) -> tuple[str, ...]:
        """What makes it link by a script."""
        return *_LINK[self.name], "-T", script


def find(name: str | None = None) -> Compiler:
    """The compiler of that name; without one, GCC if it is there, else Zig.

    Raises:
        ConfigError: there is no such name.
        MissingExtraError: it is not installed.
    """
    if name is not None and name not in NAMES:
        raise ConfigError("--compiler", expected=" or ".join(NAMES), found=name)
    if name != "zig":
        path = shutil.which(_GCC)
        if path is not None:
            return Compiler("gcc", (path,), f"gcc {_version_of(path)}")
    if name != "gcc" and importlib.util.find_spec("ziglang") is not None:
        command = (sys.executable, "-m", "ziglang", "cc")
        return Compiler("zig", command, f"zig {importlib.metadata.version('ziglang')}")
    raise MissingExtraError(
        "a compiler for microcontrollers" if name is None else f"the compiler {name}",
        "zig",
        remedy="install one with: " + (_REMEDIES[name] if name else ", or: ".join(_REMEDIES.values())),
    )


def compile_all(
    compiler: Compiler, flags: Sequence[str], files: Mapping[str, str], folder: Path, cache: Path
) -> list[Path]:
    """Compile every .c of `files`, several at a time, or take from a cache what was compiled before.

    Args:
        compiler: that does it.
        flags: for the machine, and definitions.
        files: name → text; all headers are beside the sources.
        folder: where they are written and compiled.
        cache: folder of objects, shared by processes.

    Returns:
        The objects, in the order of their names.

    Raises:
        DeviceError: the compiler fails, or the disk does.
    """
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    cache.mkdir(parents=True, exist_ok=True)

    # The same object comes out of any folder.
    anywhere = f"-ffile-prefix-map={folder}=."

    def compiled(name: str) -> Path:
        kept = cache / f"{_key(compiler, flags, name, files)}.o"
        if not kept.is_file():
            target = f"{name}.o"
            run(compiler, [*flags, anywhere, "-c", name, "-o", target], folder)
            write_atomic(kept, (folder / target).read_bytes())
        return kept

    with ThreadPoolExecutor() as pool:
        return list(pool.map(compiled, sorted(name for name in files if name.endswith(".c"))))


def run(compiler: Compiler, arguments: Sequence[str], folder: Path) -> None:
    """Call the compiler.

    Raises:
        DeviceError: it does not run, refuses, or takes too long; the first thing it said is in the message.
    """
    try:
        done = subprocess.run(
            [*compiler.command, *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceError(f"{compiler.version} does not run", found=one_line(error)) from error
    if done.returncode:
        raise CompileError(compiler, done.stderr)


class CompileError(DeviceError):
    """The compiler refused; `output` is all that it said."""

    def __init__(self, compiler: Compiler, output: str) -> None:
        self.output = output
        said = [line for line in output.splitlines() if _TELLING.search(line)]
        super().__init__(
            f"{compiler.version} does not build the firmware",
            found=(said or output.splitlines() or ["nothing was said"])[0][:300],
            remedy="try the other compiler with --compiler gcc or zig",
        )


def _version_of(path: str) -> str:
    try:
        done = subprocess.run(
            [path, "-dumpfullversion"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise DeviceError(f"{path} does not run", found=one_line(error)) from error
    return done.stdout.strip()


def _key(compiler: Compiler, flags: Sequence[str], name: str, files: Mapping[str, str]) -> str:
    """Of a source, of the headers that it includes, and of all else that the object depends on."""
    waiting, used = [name], set()
    by_name = {Path(file).name: file for file in files if file.endswith(".h")}
    while waiting:
        file = waiting.pop()
        used.add(file)
        included = (by_name.get(Path(header).name) for header in _INCLUDED.findall(files[file]))
        waiting += [header for header in included if header is not None and header not in used]
    parts = [compiler.version, *compiler.command[:1], *flags, name]
    parts += [part for file in sorted(used) for part in (file, files[file])]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
