"""Other people's packages for a device: fetched as wheels, and made here where there is no wheel.

64-bit systems have wheels of everything, which uv fetches for any of them. 32-bit Arm has not: pip fetches
what there is, since uv does not know that platform, and msgspec is compiled here with Zig, whose compiler
has every C library in it. Nothing is ever compiled on the device.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata, util
from pathlib import Path

from edge_sdk.deploy.manifest import Platform, digest_of, numbers
from edge_sdk.errors import ConfigError, DeviceError, MissingExtraError
from edge_sdk.registry import Url

_DISTRIBUTION = "edgeml-kit"
#: uv's names of platforms, oldest first; the newest that the device's glibc reaches is taken.
_GLIBCS = ("2.28", "2.31", "2.34", "2.36", "2.38", "2.40")
_WITH_UV = ("aarch64", "x86_64")
#: 32-bit Arm with the instructions that Debian asks for: every Pi but the first and the Zero.
_ARM = "armv7l"
#: What the one wheel of tflite-runtime for it was made for.
_ARM_PYTHON, _ARM_GLIBC = "3.11", "2.34"
#: Of what has no wheel for it, and one file of C.
_COMPILED = "msgspec"
_TARGET = ("-target", f"arm-linux-gnueabihf.{_ARM_GLIBC}", "-mcpu=generic+v7a+vfp3d16")
_FLAGS = ("-O2", "-DNDEBUG", "-fwrapv", "-fPIC", "-fno-sanitize=undefined")
#: At the end of a 64-bit Python's pyconfig.h: what the compiler knows better.
_SIZES = """
#undef SIZEOF_LONG
#define SIZEOF_LONG __SIZEOF_LONG__
#undef SIZEOF_SIZE_T
#define SIZEOF_SIZE_T __SIZEOF_SIZE_T__
#undef SIZEOF_VOID_P
#define SIZEOF_VOID_P __SIZEOF_POINTER__
#undef SIZEOF_UINTPTR_T
#define SIZEOF_UINTPTR_T __SIZEOF_POINTER__
#undef SIZEOF_PTHREAD_T
#define SIZEOF_PTHREAD_T __SIZEOF_POINTER__
#undef SIZEOF_TIME_T
#define SIZEOF_TIME_T __SIZEOF_LONG__
#undef SIZEOF_LONG_DOUBLE
#define SIZEOF_LONG_DOUBLE __SIZEOF_LONG_DOUBLE__
#undef ALIGNOF_LONG
#define ALIGNOF_LONG __SIZEOF_LONG__
#undef ALIGNOF_SIZE_T
#define ALIGNOF_SIZE_T __SIZEOF_SIZE_T__
#undef HAVE_GCC_UINT128_T
#undef VA_LIST_IS_ARRAY
"""
#: Where a Python keeps its headers, and which of them says what it was built for.
_WHERE = "import sysconfig as s; print(s.get_path('include')); print(s.get_config_h_filename())"
_TIMEOUT_S = 900
Say = Callable[[str], None]


def from_system(platform: Platform, more: Iterable[str] = ()) -> frozenset[str]:
    """The packages that the device's own system has to have, as they are not in its tree.

    There is no wheel of numpy for 32-bit Arm: it is Debian's python3-numpy there.

    Args:
        platform: of the device.
        more: that the pipeline wants from the system, such as numpy where Debian's Picamera2 needs its own.
    """
    return frozenset(more) | ({"numpy"} if platform.machine == _ARM else set())


def requirements(extras: Iterable[str] = (), machine: str = "x86_64") -> list[str]:
    """What a device needs of other packages, in pip's words.

    Args:
        extras: of edgeml.
        machine: of the device, as `Platform` has it.
    """
    wanted = {*extras, *(("tflite-runtime",) if machine == _ARM else ())}
    found = []
    for line in metadata.requires(_DISTRIBUTION) or ():
        requirement, _, marker = (part.strip() for part in line.partition(";"))
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", marker)
        excepted = re.findall(r"platform_machine\s*!=\s*['\"](\w+)['\"]", marker)
        if (extra is None or extra[1] in wanted) and machine not in excepted:
            found.append(requirement)
    return found


def check(platform: Platform) -> None:
    """Find out whether there is a runtime for such a device.

    Raises:
        ConfigError: there is none.
    """
    if platform.machine == _ARM:
        if platform.python != _ARM_PYTHON or numbers(platform.glibc) < numbers(_ARM_GLIBC):
            raise ConfigError(
                f"no runtime for {platform}",
                expected=f"Python {_ARM_PYTHON} and glibc {_ARM_GLIBC} on 32-bit Arm: tflite-runtime has no "
                "build for others",
                remedy="Raspberry Pi OS bookworm; its 64-bit edition runs on every Pi from the 3 on",
            )
    elif platform.machine not in _WITH_UV:
        raise ConfigError(
            f"no runtime for {platform.machine}",
            expected=", ".join((*_WITH_UV, _ARM)),
            remedy="a 64-bit Raspberry Pi OS runs on every Pi from the 3 on",
        )
    elif _newest_glibc(platform) is None:
        raise ConfigError(
            "the device's system is too old", expected=f"glibc {_GLIBCS[0]}", found=platform.glibc
        )


def check_target(target: str, platform: Platform) -> None:
    """Find out whether a model's target is what such a device has a runtime for.

    Args:
        target: URL, as an edgeml.toml names it.
        platform: of the device.

    Raises:
        ConfigError: it is not.
    """
    url, there = Url.parse(target), platform.engine
    if url.scheme == "host" and url.options.get("runtime", there) != there:
        raise ConfigError(
            f"model: target on {platform.machine}",
            expected=f"runtime={there}, which is sent there, or none",
            found=target,
            remedy='leave "runtime" out of the target in the edgeml.toml: it is then the one that is there',
        )


def install(platform: Platform, wanted: Sequence[str], tree: Path, cache: Path, say: Say) -> None:
    """Put packages into a folder, as the device will have them on its path.

    Args:
        platform: of the device, after `check`.
        wanted: as `requirements`.
        tree: the folder.
        cache: for what is compiled here.
        say: takes what is told about each step.

    Raises:
        DeviceError: the packages cannot be had.
        MissingExtraError: uv, or a compiler, is missing.
    """
    if platform.machine == _ARM:
        _with_pip(platform, wanted, tree, _compiled(platform, wanted, cache, say))
        return
    glibc = _newest_glibc(platform)
    assert glibc is not None, platform
    name = f"{platform.machine}-manylinux_{glibc.replace('.', '_')}"
    command = [*_uv(), "pip", "install", "--quiet", "--no-config", "--python-platform", name]
    command += ["--python-version", platform.python, "--only-binary", ":all:", "--target", str(tree), *wanted]
    _run(command, platform)


def _with_pip(platform: Platform, wanted: Sequence[str], tree: Path, wheels: Path) -> None:
    """Wheels for 32-bit Arm, and `wheels` that were made here."""
    given = [each for each in wanted if named(each) not in from_system(platform)]
    alone = [each for each in given if named(each) == "tflite-runtime"]  # it asks for numpy, which is there
    versions = range(17, numbers(platform.glibc)[1] + 1)
    tags = [f"linux_{_ARM}", *(f"manylinux_2_{minor}_{_ARM}" for minor in versions)]
    command = [*_pip(platform), "install", "--quiet", "--no-compile", "--only-binary", ":all:"]
    command += ["--python-version", platform.python, "--implementation", "cp", "--target", str(tree)]
    command += ["--abi", f"cp{platform.python.replace('.', '')}", "--find-links", str(wheels)]
    command += [word for tag in tags for word in ("--platform", tag)]
    _run([*command, "--no-deps", *alone], platform)
    _run([*command, *(each for each in given if each not in alone)], platform)


def _compiled(platform: Platform, wanted: Sequence[str], cache: Path, say: Say) -> Path:
    """A folder with the wheel of what has none for this platform; compiled when it is not in the cache."""
    requirement = next(each for each in wanted if named(each) == _COMPILED)
    recipe = repr((requirement, platform.machine, platform.python, _TARGET, _FLAGS, _SIZES))
    made = cache / digest_of(recipe.encode())
    if made.is_dir():
        return made
    if util.find_spec("ziglang") is None:
        raise MissingExtraError(f"a compiler for {platform.machine}", "zig", "ziglang")
    say(f"compiling {_COMPILED} for {platform.machine}")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=cache) as folder:
        work, wheels = Path(folder), Path(folder) / "wheels"
        _copy_headers(platform, work / "include")
        compiler = work / "cc"
        compiler.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m ziglang cc {' '.join(_TARGET)} \"$@\"\n")
        compiler.chmod(0o755)
        abi = f"cpython-{platform.python.replace('.', '')}"
        environment = {
            "CC": str(compiler),
            "LDSHARED": f"{compiler} -shared -s",
            "CFLAGS": f"{' '.join(_FLAGS)} -I{work / 'include'}",
            "SETUPTOOLS_EXT_SUFFIX": f".{abi}-arm-linux-gnueabihf.so",
            "_PYTHON_HOST_PLATFORM": f"linux-{platform.machine}",
        }
        command = [*_pip(platform), "wheel", "--quiet", "--no-deps", "--no-cache-dir"]
        command += ["--no-binary", _COMPILED, "--wheel-dir", str(wheels), requirement]
        _run(command, platform, environment)
        with contextlib.suppress(OSError):  # another one was as quick
            wheels.rename(made)
    return made


def _copy_headers(platform: Platform, folder: Path) -> None:
    """The headers of a Python of the device's version, with the sizes of 32 bits."""
    said = _run([_python(platform), "-c", _WHERE], platform).splitlines()
    try:
        shutil.copytree(said[0], folder)
        config = Path(said[1]).read_text(encoding="utf-8")
    except (OSError, shutil.Error) as error:
        raise DeviceError(
            f"{_COMPILED} cannot be compiled for {platform}",
            found=f"no headers of Python {platform.python} in {said[0]}",
            remedy=f"apt install python{platform.python}-dev, or: uv python install {platform.python}",
        ) from error
    (folder / "pyconfig.h").write_text(
        f"#ifndef EDGEML_SIZES\n#define EDGEML_SIZES\n{config}{_SIZES}#endif\n"
    )


def _python(platform: Platform) -> str:
    """A Python of the device's version on this machine."""
    if "{}.{}".format(*sys.version_info) == platform.python:
        return sys.executable
    return _run([*_uv(), "python", "find", "--no-config", platform.python], platform).strip()


def _pip(platform: Platform) -> list[str]:
    """pip, run by a Python of the device's version: what is compiled is for its headers."""
    return [*_uv(), "tool", "run", "--quiet", "--no-config", "--python", _python(platform), "pip"]


def _run(command: Sequence[str], platform: Platform, environment: Mapping[str, str] | None = None) -> str:
    """What a program says on standard output."""
    program = Path(command[0]).name
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"{program} does not end", expected=f"within {_TIMEOUT_S} s") from error
    if not done.returncode:
        return done.stdout
    lines = [line.strip(" ×╰─▶│") for line in done.stderr.splitlines() if line.strip()]
    wrong = [line for line in lines if re.match(r"(?i)(fatal )?error\b|.*\berror:", line)] or lines
    lacking = re.search(r"(?:Cannot install|No matching distribution found for) ([\w.-]+)", done.stderr)
    if lacking is not None:
        raise ConfigError(
            f"no wheel for {platform.machine}",
            expected="one of every package that the pipeline needs",
            found=f"none of {lacking[1]}",
            remedy="leave out the source or sink that needs it, or name an index that has one to pip",
        )
    raise DeviceError(
        f"the packages for {platform} cannot be had",
        found=" ".join(wrong)[:500],
        remedy="does this machine reach a package index?",
    )


def _uv() -> list[str]:
    program = shutil.which("uv") or os.environ.get("UV")
    if program:
        return [program]
    if util.find_spec("uv") is not None:
        return [sys.executable, "-m", "uv"]
    raise MissingExtraError("edgeml deploy", "deploy", "uv")


def _newest_glibc(platform: Platform) -> str | None:
    return max((each for each in _GLIBCS if numbers(each) <= numbers(platform.glibc)), default=None)


def named(requirement: str) -> str:
    """The package that a requirement asks for."""
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower()
