"""C sources as a library of this machine: compiled once, kept, and loaded as often as there are models.

A generated library keeps its arena in static memory, and the loader gives one file one copy of it however
often it is opened. So every engine loads a copy of its own.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_sdk import home
from edge_sdk.errors import DeviceError, MissingExtraError, one_line
from edge_sdk.modelfile import write_atomic

#: Programs that are tried in this order; what CC names comes before them.
_PROGRAMS = ("gcc", "cc", "clang")
#: Of a sum and a product that become one instruction the bits differ from those of a microcontroller.
_FLAGS = ("-std=c99", "-O2", "-fPIC", "-shared", "-ffp-contract=off")
#: Zig compiles for the processor that it finds; a kept library may be loaded by another one.
_ZIG_FLAGS = ("-mcpu=baseline", "-fno-sanitize=undefined")
_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Compiler:
    """A C compiler of this machine.

    Attributes:
        command: that compiles, with what this compiler needs besides `_FLAGS`.
        version: what it says it is.
    """

    command: tuple[str, ...]
    version: str


def find_compiler() -> Compiler:
    """The one that the environment variable CC names, else gcc, cc or clang, else that of ziglang.

    Raises:
        MissingExtraError: there is none.
        DeviceError: the one that CC names does not run.
    """
    named = os.environ.get("CC")
    if named:
        program, *options = shlex.split(named)
        # What is named from here would not be found from where the sources lie.
        return _asked((str(Path(program).absolute()) if os.sep in program else program, *options))
    for program in _PROGRAMS:
        path = shutil.which(program)
        if path is not None:
            return _asked((path,))
    if importlib.util.find_spec("ziglang") is None:
        raise MissingExtraError(
            "a C compiler",
            "zig",
            remedy="install one with: apt install gcc, or: pip install 'edgeml-kit[zig]'",
        )
    zig = (sys.executable, "-m", "ziglang")
    return Compiler((*zig, "cc", *_ZIG_FLAGS), "zig " + _first_line((*zig, "version")))


def build(files: Mapping[str, str], compiler: Compiler) -> Path:
    """Compile sources, or find what was compiled of the same before.

    Several processes may do so at once: the file appears whole.

    Args:
        files: name → text; every .c is compiled, headers lie beside them.
        compiler: that does it.

    Returns:
        The library in the user's cache folder.

    Raises:
        DeviceError: the compiler refuses the sources, or does not finish; the cache cannot be written.
    """
    kept = _cache_folder() / f"{_key(files, compiler)}.so"
    if kept.is_file():
        return kept
    with tempfile.TemporaryDirectory(prefix="edgeml-c-") as folder:
        for name, text in files.items():
            Path(folder, name).write_text(text, encoding="ascii")
        sources = [name for name in files if name.endswith(".c")]
        command = [*compiler.command, *_FLAGS, *sources, "-o", "library.so"]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DeviceError(f"the compiler {compiler.command[0]} failed", found=one_line(error)) from error
        if done.returncode:
            said = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr)
            raise DeviceError(
                f"{compiler.version} does not compile the generated C",
                found=said[:300],
                remedy="choose another compiler with the environment variable CC",
            )
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(kept, error) from error
        write_atomic(kept, Path(folder, "library.so").read_bytes())
    return kept


class Library:
    """A copy of a library, loaded; close it to unload it.

    Args:
        path: of the library.

    Raises:
        DeviceError: it cannot be copied or loaded.
    """

    def __init__(self, path: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="edgeml-c-") as folder:
            # Another name and another file: the loader knows a library by either.
            own = Path(folder, "library.so")
            try:
                shutil.copyfile(path, own)
                self._loaded = ctypes.CDLL(str(own), mode=os.RTLD_NOW | os.RTLD_LOCAL)
            except OSError as error:
                raise DeviceError(
                    f"cannot load the compiled model {path}",
                    found=one_line(error),
                    remedy="let TMPDIR name a folder that programs may be run from",
                ) from error

    def function(self, name: str, result: type[ctypes.c_void_p] | None = None) -> ctypes._NamedFuncPointer:
        """A function without arguments.

        Args:
            name: of the function.
            result: its type; None for void.
        """
        found = self._loaded[name]
        found.argtypes, found.restype = (), result
        return found

    def close(self) -> None:
        """Unload it: what was got from it must not be used any more."""
        handle, self._loaded._handle = self._loaded._handle, 0
        unload = ctypes.CDLL(None).dlclose
        unload.argtypes, unload.restype = (ctypes.c_void_p,), ctypes.c_int
        if handle:
            unload(handle)


def _asked(command: tuple[str, ...]) -> Compiler:
    return Compiler(command, _first_line((*command, "--version")))


def _first_line(command: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise DeviceError(
            f"the compiler {command[0]} does not run",
            found=one_line(error),
            remedy="let CC name another, or unset it",
        ) from error
    return (done.stdout.splitlines() or [command[0]])[0].strip()


def _key(files: Mapping[str, str], compiler: Compiler) -> str:
    """Of all that the library depends on."""
    parts = [compiler.version, *compiler.command, *_FLAGS, platform.machine()]
    parts += [part for name in sorted(files) for part in (name, files[name])]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _cache_folder() -> Path:
    return Path(home.place("cache", "c"))


def _unwritable(path: Path, error: OSError) -> DeviceError:
    return DeviceError(
        f"cannot write {path}",
        found=error.strerror or error,
        remedy="let XDG_CACHE_HOME name a folder that can be written",
    )
