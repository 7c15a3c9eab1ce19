"""Firmware of a model for a board: the model's C, the bridge and a port, compiled and linked.

All that goes into a firmware names it in a cache: a second build is a look-up, and processes that build the
same at the same time do not disturb each other.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from converters.c import library
from converters.c.lower import lower
from edge_sdk import home
from edge_sdk.errors import ConfigError, DeviceError, ModelError
from edge_sdk.modelfile import write_atomic
from firmware_bridge import compilers, image, machines, sizes, sourcetree
from firmware_bridge.compilers import Compiler
from firmware_bridge.machines import Machine
from firmware_bridge.sizes import Sizes
from firmware_bridge.sourcetree import STACK_BYTES, Model

#: What the bridge and the board's code need at least, bytes: a model that leaves less is not compiled.
_LEAST_FLASH, _LEAST_RAM = 4096, 1024
_ELF, _HEX, _BINARY, _FACTS = "firmware.elf", "firmware.hex", "firmware.bin", "firmware.json"
_INCLUDES = ("-Imodel", "-Ibridge", "-Iboard", "-Ilibc")


@dataclass(frozen=True, slots=True)
class Firmware:
    """A firmware that was built.

    Attributes:
        elf: the linked program.
        hex: the same as Intel HEX.
        binary: the same as it lies in memory; None where its parts lie too far apart.
        machine: that it was built for.
        board: whose memory it was held against; the machine's name where none was named.
        digest: ``sha256:…`` of the model's flatbuffer.
        compiler: that built it, with its version.
        sizes: what it needs.
    """

    elf: Path
    hex: Path
    binary: Path | None
    machine: Machine
    board: str
    digest: str
    compiler: str
    sizes: Sizes


@dataclass(frozen=True, slots=True)
class _Job:
    """All that decides what a firmware will be."""

    model: Model
    machine: Machine
    tool: Compiler
    sources: Mapping[str, str]

    def key(self) -> str:
        """Its name in the cache."""
        model, tool = self.model, self.tool
        contract = model.contract.to_json() if model.contract else b""
        parts = [model.digest, hashlib.sha256(contract).hexdigest(), model.name, repr(self.machine)]
        parts += [sourcetree.generator_digest(), tool.version, *tool.command[:1], *tool.flags(self.machine)]
        parts += [part for name in sorted(self.sources) for part in (name, self.sources[name])]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def build(model: Path, board: str, folder: Path | None = None, *, compiler: str | None = None) -> Firmware:
    """Build the firmware of an int8 model, or find it.

    Args:
        model: a .tflite, with or without a contract in it.
        board: or a machine, by name.
        folder: where the files are put, made if need be; by default they stay in the user's cache.
        compiler: ``gcc`` or ``zig``; by default GCC if it is there.

    Raises:
        ModelError: the model is damaged, or something in it has no kernel, as in a float model.
        ContractError: the contract in it is damaged.
        UnknownNameError: there is no such board.
        ConfigError: nothing emulates the board, or the model does not fit it.
        MissingExtraError: there is no compiler.
        DeviceError: the compiler fails, or a file cannot be read or written.
    """
    machine = machines.find(board)
    tool = compilers.find(compiler)
    sources = {**sourcetree.of_bridge(), **sourcetree.of_board(machine)}
    job = _Job(sourcetree.read(model), machine, tool, sources)
    entry = cache_folder() / job.key()
    facts = _recall(entry)
    if facts is None:
        try:
            _make(job, entry)
        except (ModelError, ConfigError) as error:
            raise error.within(model) from error
        facts = json.loads((entry / _FACTS).read_text(encoding="utf-8"))
    if folder is not None:
        _copy(entry, folder)
    place = folder or entry
    return Firmware(
        elf=place / _ELF,
        hex=place / _HEX,
        binary=place / _BINARY if (entry / _BINARY).exists() else None,
        machine=machine,
        board=machine.board,
        digest=job.model.digest,
        compiler=tool.version,
        sizes=Sizes.rebuilt(facts["sizes"]),
    )


def cache_folder() -> Path:
    """Where firmware is kept."""
    return Path(home.place("cache", "firmware"))


def _recall(entry: Path) -> dict[str, dict[str, object]] | None:
    """What was written beside a firmware when it was built, or None; a damaged one counts as none."""
    try:
        facts: dict[str, dict[str, object]] = json.loads((entry / _FACTS).read_text(encoding="utf-8"))
        Sizes.rebuilt(facts["sizes"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return facts if (entry / _ELF).is_file() else None


def _make(job: _Job, entry: Path) -> None:
    """Build into a folder beside the entry, which then takes its name."""
    machine = job.machine
    figures = library.figures(job.model.flatbuffer)
    sizes.refuse_overflow(machine.board, "flash", figures["flash_bytes"] + _LEAST_FLASH, machine.flash_bytes)
    needed = figures["arena_bytes"] + STACK_BYTES + _LEAST_RAM
    sizes.refuse_overflow(machine.board, "RAM", needed, machine.ram_bytes)
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(dir=entry.parent, prefix=".building-"))
    except OSError as error:
        raise _unwritable(entry.parent, error) from error
    try:
        _publish(_compiled(job, stage, entry.parent / "objects", figures["arena_bytes"]), entry)
    except DeviceError:
        raise
    except OSError as error:
        raise _unwritable(entry.parent, error) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _compiled(job: _Job, stage: Path, objects_cache: Path, arena_bytes: int) -> Path:
    """A folder with the firmware and what is written beside it."""
    model, machine, tool = job.model, job.machine, job.tool
    program = lower(model.flatbuffer)
    files = {**job.sources, **sourcetree.of_model(model, program)}
    flags = [*tool.flags(machine), *sourcetree.definitions(machine), *_INCLUDES]
    objects = compilers.compile_all(tool, flags, files, stage, objects_cache)
    folder = stage / "kept"
    folder.mkdir()
    _link(job, objects, stage, folder / _ELF)
    linked = image.read(folder / _ELF, objects)
    parts = {Path(name).name: sourcetree.part_of(name) for name in files if name.endswith(".c")}
    measured = sizes.measure(linked, machine, sizes.Model(program, arena_bytes), parts)
    sizes.check(measured, machine.board)
    (folder / _HEX).write_text(linked.hex(), encoding="ascii")
    binary = linked.binary()
    if binary is not None:
        (folder / _BINARY).write_bytes(binary)
    facts = {
        "board": machine.board,
        "machine": machine.name,
        "digest": model.digest,
        "compiler": tool.version,
        "sizes": measured.as_dict(),
    }
    (folder / _FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return folder


def _link(job: _Job, objects: list[Path], stage: Path, elf: Path) -> None:
    tool, machine = job.tool, job.machine
    script = sourcetree.memory_script(machine) + (stage / "board" / "link.ld").read_text(encoding="utf-8")
    (stage / "all.ld").write_text(script, encoding="utf-8")
    inputs = [*tool.flags(machine), *map(str, objects), *tool.link_flags("all.ld")]
    try:
        compilers.run(tool, [*inputs, "-o", str(elf)], stage)
    except compilers.CompileError as error:
        raise _overflow(error, machine) or error from error


def _overflow(error: compilers.CompileError, machine: Machine) -> ConfigError | None:
    """The linker's refusal of what is too large, in our words."""
    found = re.search(r"['`](FLASH|RAM|TABLES)':? overflowed by (\d+) bytes", error.output)
    if found is None:
        return None
    memory, limit = ("RAM", machine.ram_bytes) if found[1] == "RAM" else ("flash", machine.flash_bytes)
    return sizes.overflow(machine.board, memory, limit + int(found[2]), limit)


def _publish(folder: Path, entry: Path) -> None:
    """Give a folder its name in the cache, unless another process was faster: its files are the same."""
    with contextlib.suppress(OSError):
        folder.rename(entry)
    if _recall(entry) is None:  # what has the name is damaged
        shutil.rmtree(entry, ignore_errors=True)
        folder.rename(entry)


def _copy(entry: Path, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (entry / _BINARY).exists():
            (folder / _BINARY).unlink(missing_ok=True)
        for file in entry.iterdir():
            write_atomic(folder / file.name, file.read_bytes())
    except DeviceError:
        raise
    except OSError as error:
        raise DeviceError(
            f"cannot write {folder}",
            found=error.strerror or error,
            remedy="check the folder, its rights and the disk",
        ) from error


def _unwritable(folder: Path, error: OSError) -> DeviceError:
    return DeviceError(
        f"cannot write {folder}",
        found=error.strerror or error,
        remedy="check the disk, or let XDG_CACHE_HOME name a folder that can be written",
    )
