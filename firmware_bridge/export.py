"""A model as a project that a user opens in an IDE of their own: an Arduino sketch, or a CMake project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from converters import c_array
from converters.c.lower import lower
from converters.c_text import comment, identifier
from edge_sdk.errors import ConfigError, DeviceError
from firmware_bridge import machines, sourcetree
from firmware_bridge.compilers import Compiler
from firmware_bridge.machines import Machine

KINDS = ("arduino", "cmake")
_PROJECTS = sourcetree.FIRMWARE / "projects"
#: Folders that are written anew each time; what is elsewhere is the user's once it is there.
_OURS = ("model/", "bridge/", "src/")
#: Only asked for its flags, which do not depend on where it is.
_GCC = Compiler("gcc", ("arm-none-eabi-gcc",), "gcc")


@dataclass(frozen=True, slots=True)
class Exported:
    """A project that was written.

    Attributes:
        folder: of the project.
        files: that were written: names within the folder, sorted.
        kept: that were there already, and are the user's to change: names within the folder, sorted.
        start: the file to open, or the command to begin with.
    """

    folder: Path
    files: tuple[str, ...]
    kept: tuple[str, ...]
    start: str


def export(model: Path, kind: str, folder: Path | None = None, board: str = "cortex-m4") -> Exported:
    """Write a project, or bring the model and the bridge of one up to date.

    Args:
        model: an int8 .tflite.
        kind: ``arduino`` or ``cmake``.
        folder: to write, made if need be; by default one of the model's name, here. An Arduino sketch must be
            in a folder of its own name, which is made inside.
        board: that the CMake project is set up for; a machine stands for it until it has a port.

    Raises:
        ModelError: the model has no C library.
        ConfigError: there is no such kind, or nothing emulates the board.
        UnknownNameError: there is no such board.
        DeviceError: a file cannot be read or written; nothing was written.
    """
    if kind not in KINDS:
        raise ConfigError("--for", expected=" or ".join(KINDS), found=kind)
    given = sourcetree.read(model)
    stem = identifier(given.name)
    if kind == "arduino":
        place = (folder or Path()) / stem
        files, start = _arduino(given, stem), str(place / f"{stem}.ino")
    else:
        place = folder or Path(f"{stem}_firmware")
        files = _cmake(given, stem, machines.find(board))
        start = f"cmake -S {place} -B {place / 'build'} -DCMAKE_TOOLCHAIN_FILE=arm-none-eabi.cmake"
    kept = {name for name in files if not name.startswith(_OURS) and (place / name).exists()}
    new = {name: _ascii(text) for name, text in files.items() if name not in kept}
    c_array.write(place, new)
    _remove_others(place, new)
    return Exported(place, tuple(sorted(new)), tuple(sorted(kept)), start)


def _remove_others(place: Path, files: Mapping[str, str]) -> None:
    """Kernels of a model that was here before: with this one's headers they might not compile."""
    for folder in _OURS:
        for file in (place / folder).glob("edgeml_*.[ch]"):
            if f"{folder}{file.name}" not in files:
                try:
                    file.unlink()
                except OSError as error:
                    raise DeviceError(f"cannot remove {file}", found=error.strerror or error) from error


def _arduino(given: sourcetree.Model, stem: str) -> dict[str, str]:
    """The sketch, and all else flat in its folder src: Arduino has no other include path."""
    files = _sources(given)
    sources = {f"src/{Path(name).name}": text for name, text in files.items() if not name.endswith("/main.c")}
    return {f"{stem}.ino": _filled("arduino/sketch.ino", given.name, stem, {}), **sources}


def _cmake(given: sourcetree.Model, stem: str, machine: Machine) -> dict[str, str]:
    ports = sourcetree.FIRMWARE / "ports"
    files = _sources(given)
    for folder in ("cortex_m", "cortex_m/libc", machine.port, "template"):
        files |= {
            f"ports/{folder}/{f.name}": f.read_text("utf-8")
            for f in (ports / folder).iterdir()
            if f.is_file()
        }
    files[f"ports/{machine.port}/memory.ld"] = sourcetree.memory_script(machine) + "INCLUDE link.ld\n"
    definitions = [option.removeprefix("-D") for option in sourcetree.definitions(machine)]
    flags = _GCC.flags(machine)
    emulator = " ".join(["qemu-system-arm", *machine.qemu, "-kernel build/firmware.elf -nographic"])
    values = {
        "PORT": machine.port,
        "TITLE": machine.title,
        "TRY": f", which QEMU emulates: `{emulator}`" if machine.qemu else "",
        "FLAGS": " ".join(flag for flag in flags if flag.startswith("-m")),
        "OPTIONS": " ".join(flag for flag in flags if not flag.startswith(("-m", "-std"))),
        # A macro that is text needs its quotes kept by CMake and by the shell.
        "DEFINITIONS": " ".join(f"[[{text}]]" for text in definitions),
    }
    for name in ("CMakeLists.txt", "arm-none-eabi.cmake", "README.md"):
        files[name] = _filled(f"cmake/{name}", given.name, stem, values)
    return files


def _sources(given: sourcetree.Model) -> dict[str, str]:
    """The model and the bridge, in folders of those names."""
    files = {**sourcetree.of_model(given, lower(given.flatbuffer)), **sourcetree.of_bridge()}
    return {name.replace("bridge/main.c", "app/main.c"): text for name, text in files.items()}


def _filled(template: str, name: str, stem: str, values: Mapping[str, str]) -> str:
    text = (_PROJECTS / template).read_text(encoding="utf-8")
    for key, value in {"NAME": comment(name), "STEM": stem, **values}.items():
        text = text.replace(f"@{key}@", value)
    return text


def _ascii(text: str) -> str:
    """Sources are ASCII: not every compiler of microcontrollers reads more."""
    return text.replace("\N{HORIZONTAL ELLIPSIS}", "...").encode("ascii", "replace").decode()
