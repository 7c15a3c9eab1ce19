"""Firmware of a model for a board: the model's C, the bridge and a port, compiled and linked.

All that goes into a firmware names it in a cache: a second build is a look-up, and processes that build the
same at the same time do not disturb each other.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from converters.c import library
from converters.c.lower import lower
from converters.c_text import version
from edge_sdk import modelfile
from edge_sdk.contract import Contract
from edge_sdk.errors import ConfigError, DeviceError, ModelError
from firmware_bridge import compilers, glue, image, machines, sizes
from firmware_bridge.compilers import Compiler
from firmware_bridge.machines import Machine, Region
from firmware_bridge.sizes import Sizes

FIRMWARE = Path(__file__).parent / "firmware"
#: Kept for the stack, bytes: an inference takes up to 500, the bridge and a fault less.
STACK_BYTES = 4096
#: What the bridge and the board's code need at least, bytes: a model that leaves less is not compiled.
_LEAST_FLASH, _LEAST_RAM = 4096, 1024
_ELF, _HEX, _BINARY, _FACTS = "firmware.elf", "firmware.hex", "firmware.bin", "firmware.json"
_DEFAULT_NAME = "model"
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
class Model:
    """What a firmware is built from.

    Attributes:
        flatbuffer: without what is packed behind it.
        contract: None of a foreign model.
        name: of the model.
        digest: ``sha256:…`` of the flatbuffer.
    """

    flatbuffer: bytes
    contract: Contract | None
    name: str
    digest: str


def build(model: Path, board: str, folder: Path | None = None, *, compiler: str | None = None) -> Firmware:
    """Build the firmware of an int8 model, or find it.

    Args:
        model: a .tflite, with or without a contract in it.
        board: or a machine, by name.
        folder: where the files are put, made if need be; by default they stay in the user's cache.
        compiler: ``gcc`` or ``zig``; by default GCC if it is there.

    Raises:
        ModelError: the model is damaged, or something in it has no kernel, as in a float model.
        UnknownNameError: there is no such board.
        ConfigError: nothing emulates the board, or the model does not fit it.
        MissingExtraError: there is no compiler.
        DeviceError: the compiler fails, or a file cannot be read or written.
    """
    machine = machines.find(board)
    tool = compilers.find(compiler)
    given = read(model)
    sources = {**bridge_sources(), **_board_sources(machine)}
    entry = cache_folder() / _key(given, machine, tool, sources)
    if not (entry / _FACTS).is_file():
        try:
            _make(given, machine, tool, sources, entry)
        except (ModelError, ConfigError) as error:
            raise error.within(model) from error
    if folder is not None:
        _copy(entry, folder)
    return _firmware(folder or entry, entry, machine, given.digest)


def cache_folder() -> Path:
    """Where firmware is kept."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "edgeml" / "firmware"


def read(path: Path) -> Model:
    """A model file, taken apart.

    Raises:
        ModelError, ContractError: it is damaged.
        DeviceError: it cannot be read.
    """
    try:
        file = modelfile.split(path.read_bytes())
    except OSError as error:
        raise DeviceError(f"cannot read {path}", found=error.strerror or error) from error
    contract = None
    if modelfile.CONTRACT in file.members:
        from edge_sdk.schema import parse_contract  # a model without one needs no msgspec

        contract = parse_contract(file.members[modelfile.CONTRACT], where=f"{path}: {modelfile.CONTRACT}")
    name = contract.name if contract else path.stem
    return Model(file.flatbuffer, contract, name or _DEFAULT_NAME, file.digest)


def bridge_sources() -> dict[str, str]:
    """The bridge and its program: name in the folder of a build → text."""
    return _sources("bridge", [FIRMWARE / "include", FIRMWARE / "src", FIRMWARE / "app"])


def _board_sources(machine: Machine) -> dict[str, str]:
    ports = FIRMWARE / "ports"
    return {
        **_sources("board", [ports / "cortex_m", ports / machine.port]),
        **_sources("libc", [ports / "cortex_m" / "libc"]),
    }


def _sources(part: str, folders: Iterable[Path]) -> dict[str, str]:
    return {
        f"{part}/{file.name}": file.read_text(encoding="utf-8")
        for folder in folders
        for file in sorted(folder.iterdir())
        if file.suffix in (".c", ".h", ".ld")
    }


def _generator() -> str:
    """Of all that writes C for a model, so that an edit of it is not answered from the cache."""
    files = sorted(library.KERNELS.parent.rglob("*.[ch]")) + sorted(library.KERNELS.parent.rglob("*.py"))
    text = hashlib.sha256(version().encode())
    for file in [*files, *(Path(__file__).with_name(f"{name}.py") for name in ("build", "glue", "sizes"))]:
        text.update(file.read_bytes())
    return text.hexdigest()


def _key(model: Model, machine: Machine, tool: Compiler, sources: Mapping[str, str]) -> str:
    contract = model.contract.to_json() if model.contract else b""
    parts = [model.digest, hashlib.sha256(contract).hexdigest(), model.name, repr(machine), _generator()]
    parts += [tool.version, *tool.command[:1], *tool.flags(machine)]
    parts += [part for name in sorted(sources) for part in (name, sources[name])]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _make(model: Model, machine: Machine, tool: Compiler, sources: Mapping[str, str], entry: Path) -> None:
    """Build into a folder beside the entry, which then takes its name."""
    figures = library.figures(model.flatbuffer)
    sizes.refuse_overflow(machine.board, "flash", figures["flash_bytes"] + _LEAST_FLASH, machine.flash_bytes)
    needed = figures["arena_bytes"] + STACK_BYTES + _LEAST_RAM
    sizes.refuse_overflow(machine.board, "RAM", needed, machine.ram_bytes)
    files = {**sources, **model_sources(model)}
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(dir=entry.parent, prefix=".building-"))
    except OSError as error:
        raise _unwritable(entry.parent, error) from error
    try:
        objects = compilers.compile_all(
            tool,
            [*tool.flags(machine), *definitions(machine), *_INCLUDES],
            files,
            stage,
            entry.parent / "objects",
        )
        linked = stage / "kept"
        linked.mkdir()
        _link(tool, machine, objects, stage)
        _write(linked, model, machine, tool, image.read(linked / _ELF, objects), files)
        with contextlib.suppress(OSError):  # another process was faster: its files are the same
            linked.rename(entry)
    except OSError as error:
        if isinstance(error, DeviceError):
            raise
        raise _unwritable(entry.parent, error) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def model_sources(model: Model) -> dict[str, str]:
    """The model's library and what tells the bridge of it: name in the folder of a build → text.

    Raises:
        ModelError: something in the model has no kernel here.
    """
    program = lower(model.flatbuffer)
    files = library.render(model.flatbuffer, model.contract, model.name)
    sources = {
        f"model/{Path(name).name}": text for name, text in files.items() if name.endswith((".c", ".h"))
    }
    return {**sources, "model/glue.c": glue.render(program.graph, model.name, model.digest)}


def definitions(machine: Machine) -> list[str]:
    """What the port is told of its machine, as options of a compiler."""
    numbers = {
        **machine.defines,
        "EDGEML_TICK_NUMERATOR": machine.tick_numerator,
        "EDGEML_TICK_DENOMINATOR": machine.tick_denominator,
    }
    return [*(f"-D{name}={value:#x}u" for name, value in numbers.items()), f'-DEDGEML_CORE="{machine.core}"']


def _link(tool: Compiler, machine: Machine, objects: list[Path], stage: Path) -> None:
    (stage / "all.ld").write_text(memory_script(machine) + (stage / "board" / "link.ld").read_text())
    flags = tool.link_flags("all.ld")
    try:
        compilers.run(tool, [*tool.flags(machine), *map(str, objects), *flags, "-o", f"kept/{_ELF}"], stage)
    except compilers.CompileError as error:
        raise _overflow(error, machine) or error from error


def memory_script(machine: Machine) -> str:
    """The regions of a machine for the linker; a board that has less limits them."""
    flash = min(machine.flash.bytes, machine.flash_bytes)
    regions = [
        _region("FLASH (rx)", machine.flash, flash),
        _region("RAM (rwx)", machine.ram, machine.ram_bytes),
    ]
    if machine.tables is not None:
        regions.append(_region("TABLES (r)", machine.tables, min(machine.tables.bytes, machine.flash_bytes)))
    alias = "" if machine.tables else 'REGION_ALIAS("TABLES", FLASH)\n'
    marks = f"stack_bytes = {STACK_BYTES};\n"
    if machine.flasher is None:
        marks += f"{image.EMULATED} = 1;\n"
    return f"MEMORY {{\n{''.join(regions)}}}\n{alias}{marks}"


def _region(name: str, region: Region, length: int) -> str:
    return f"  {name} : ORIGIN = {region.origin:#x}, LENGTH = {length:#x}\n"


def _overflow(error: compilers.CompileError, machine: Machine) -> Exception | None:
    """The linker's refusal of what is too large, in our words."""
    found = re.search(r"['`]?(FLASH|RAM|TABLES)'?:? ?'? ?overflowed by (\d+) bytes", error.output)
    if found is None:
        return None
    memory, limit = ("RAM", machine.ram_bytes) if found[1] == "RAM" else ("flash", machine.flash_bytes)
    try:
        sizes.refuse_overflow(machine.board, memory, limit + int(found[2]), limit)
    except Exception as refused:  # noqa: BLE001 - it is raised by the caller, from the linker's error
        return refused
    return None


def _write(
    folder: Path,
    model: Model,
    machine: Machine,
    tool: Compiler,
    program: image.Image,
    files: Mapping[str, str],
) -> None:
    lowered = lower(model.flatbuffer)
    arena = library.figures(model.flatbuffer)["arena_bytes"]
    measured = sizes.measure(program, machine, sizes.Model(lowered, arena), _parts(files))
    sizes.check(measured, machine.board)
    (folder / _HEX).write_text(program.hex(), encoding="ascii")
    binary = program.binary()
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


def _parts(files: Mapping[str, str]) -> dict[str, str]:
    """The part of the firmware that each source is of, as the size report names them."""
    names = {"model": "model", "bridge": "bridge", "board": "board"}
    parts = {}
    for file in files:
        folder, name = file.split("/")
        if name.endswith(".c"):
            is_kernel = folder == "model" and name.startswith("edgeml_")
            parts[name] = "kernels" if is_kernel else names[folder]
    return parts


def _copy(entry: Path, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (entry / _BINARY).exists():
            (folder / _BINARY).unlink(missing_ok=True)
        for file in entry.iterdir():
            modelfile.write_atomic(folder / file.name, file.read_bytes())
    except OSError as error:
        raise _unwritable(folder, error) from error


def _firmware(folder: Path, entry: Path, machine: Machine, digest: str) -> Firmware:
    facts = json.loads((entry / _FACTS).read_text(encoding="utf-8"))
    return Firmware(
        elf=folder / _ELF,
        hex=folder / _HEX,
        binary=folder / _BINARY if (entry / _BINARY).exists() else None,
        machine=machine,
        board=machine.board,
        digest=digest,
        compiler=facts["compiler"],
        sizes=Sizes.rebuilt(facts["sizes"]),
    )


def _unwritable(folder: Path, error: OSError) -> DeviceError:
    return DeviceError(
        f"cannot write {folder}",
        found=error.strerror or error,
        remedy="check the disk, or let XDG_CACHE_HOME name a folder that can be written",
    )
