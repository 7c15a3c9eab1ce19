"""What firmware is compiled from: the model in C, the bridge, a port, the regions of a machine's memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from converters.c import library
from converters.c.lower import Program
from converters.c_text import version
from edge_sdk import modelfile
from edge_sdk.contract import Contract
from edge_sdk.errors import DeviceError, ModelError
from firmware_bridge import glue, image
from firmware_bridge.machines import Machine, Region

FIRMWARE = Path(__file__).parent / "firmware"
#: Kept for the stack, bytes: an inference takes up to 500, the bridge and a fault less.
STACK_BYTES = 4096
_DEFAULT_NAME = "model"
#: Modules of this package that decide what a firmware is and what is written beside it.
_GENERATING = ("build", "glue", "image", "sizes", "sourcetree")


@dataclass(frozen=True, slots=True)
class Model:
    """The model in a firmware.

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


def read(path: Path) -> Model:
    """A model file, taken apart.

    Raises:
        ModelError: it is damaged.
        ContractError: the contract in it is.
        DeviceError: it cannot be read.
    """
    try:
        file = modelfile.split(path.read_bytes())
    except OSError as error:
        raise DeviceError(f"cannot read {path}", found=error.strerror or error) from error
    except ModelError as error:
        raise error.within(path) from error
    contract = None
    if modelfile.CONTRACT in file.members:
        from edge_sdk.schema import parse_contract  # a model without one needs no msgspec

        contract = parse_contract(file.members[modelfile.CONTRACT], where=f"{path}: {modelfile.CONTRACT}")
    name = contract.name if contract else path.stem
    return Model(file.flatbuffer, contract, name or _DEFAULT_NAME, file.digest)


def of_bridge() -> dict[str, str]:
    """The bridge and its program: name in the folder of a build → text."""
    return _texts("bridge", [FIRMWARE / "include", FIRMWARE / "src", FIRMWARE / "app"])


def of_board(machine: Machine) -> dict[str, str]:
    """Startup and port: name in the folder of a build → text."""
    ports = FIRMWARE / "ports"
    return {
        **_texts("board", [ports / "cortex_m", ports / machine.port]),
        **_texts("libc", [ports / "cortex_m" / "libc"]),
    }


def of_model(model: Model, program: Program) -> dict[str, str]:
    """The model's library and what tells the bridge of it: name in the folder of a build → text.

    Raises:
        ModelError: something in the model has no kernel here.
    """
    files = library.render(model.flatbuffer, model.contract, model.name)
    texts = {f"model/{Path(name).name}": text for name, text in files.items() if name.endswith((".c", ".h"))}
    return {**texts, "model/glue.c": glue.render(program.graph, model.name, model.digest)}


def part_of(name: str) -> str:
    """The part of the firmware that a source is of, as the size report names it."""
    folder, file = name.split("/")
    return "kernels" if folder == "model" and file.startswith("edgeml_") else folder


def definitions(machine: Machine) -> list[str]:
    """What the port is told of its machine, as options of a compiler."""
    numbers = {
        **machine.defines,
        "EDGEML_TICK_NUMERATOR": machine.tick_numerator,
        "EDGEML_TICK_DENOMINATOR": machine.tick_denominator,
    }
    return [*(f"-D{name}={value:#x}u" for name, value in numbers.items()), f'-DEDGEML_CORE="{machine.core}"']


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


def generator_digest() -> str:
    """Of all that writes C for a model: an edit of it makes another firmware."""
    folder = library.KERNELS.parent
    files = sorted(file for file in folder.rglob("*") if file.suffix in (".c", ".h", ".py"))
    files += [Path(__file__).with_name(f"{name}.py") for name in _GENERATING]
    whole = hashlib.sha256(version().encode())
    for file in files:
        whole.update(file.read_bytes())
    return whole.hexdigest()


def _texts(part: str, folders: Iterable[Path]) -> dict[str, str]:
    return {
        f"{part}/{file.name}": file.read_text(encoding="utf-8")
        for folder in folders
        for file in sorted(folder.iterdir())
        if file.suffix in (".c", ".h", ".ld")
    }


def _region(name: str, region: Region, length: int) -> str:
    return f"  {name} : ORIGIN = {region.origin:#x}, LENGTH = {length:#x}\n"
