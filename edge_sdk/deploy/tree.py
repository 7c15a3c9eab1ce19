"""The runtime of a device, made on the host: it needs no internet, no pip and no compiler there."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata, util
from pathlib import Path

from edge_sdk.deploy.manifest import MOST_BYTES, Entry, Platform, digest_of, listing, read_listing
from edge_sdk.deploy.store import Store, write_durably
from edge_sdk.errors import ConfigError, DeviceError, MissingExtraError

_DISTRIBUTION = "edgeml-kit"
#: Our packages that run on a device.
_OURS = ("edge_sdk", "firmware_bridge")
#: uv's names of platforms, oldest first; the newest that the device's glibc reaches is taken.
_GLIBCS = ("2.28", "2.31", "2.34", "2.36", "2.38", "2.40")
_MACHINES = {"aarch64": "aarch64", "x86_64": "x86_64"}
#: By the scheme of a source or sink, the extra that it needs.
EXTRAS = {
    "mqtt": "mqtt",
    "mqtts": "mqtt",
    "postgres": "postgres",
    "postgresql": "postgres",
    "gpio": "gpio",
    "i2c": "i2c",
    "notify": "notify",
}
#: What no device needs: half of what is installed.
_LEFT_OUT = re.compile(
    r"(^|/)(bin|__pycache__|tests?|testing)/"
    r"|^(google|ml_dtypes|tqdm|backports)(/|-)"
    r"|^ai_edge_litert/(aot|tools)/"
    r"|^numpy/(f2py|distutils|_pyinstaller)/"
    r"|libLiteRtWebGpuAccelerator\.so$"
    r"|\.(pyi|pyx|pxd|h|a|lib|md|rst)$"
)
_TIMEOUT_S = 900


def build(platform: Platform, extras: Iterable[str], store: Store, say: Callable[[str], None]) -> bytes:
    """Make a runtime tree, or find the one made before.

    Args:
        platform: of the device.
        extras: of edgeml that the pipeline needs.
        store: takes its contents.
        say: takes what is told about each step.

    Returns:
        Its listing, whose digest names it.

    Raises:
        ConfigError: there is no runtime for such a device.
        DeviceError: the packages cannot be had.
        MissingExtraError: uv is missing.
    """
    wanted = sorted(requirements(extras))
    ours = [*(_taken(path, file, store) for path, file in _own_files().items()), *_described(store)]
    key = digest_of(repr((str(platform), wanted, ours, _LEFT_OUT.pattern)).encode())
    known = store.folder / "runtimes" / key
    if known.exists():
        digest = known.read_text()
        if digest in store:
            found = store.read(digest, MOST_BYTES)
            if not store.missing(read_listing(found)):
                return found
    say(f"making the runtime for {platform}")
    with tempfile.TemporaryDirectory(prefix="edgeml-tree-") as folder:
        tree = Path(folder) / "tree"
        _install(platform, wanted, tree)
        found = listing([*_kept(tree, store), *ours])
    store.add_bytes(found)
    write_durably(known, digest_of(found).encode())
    return found


def requirements(extras: Iterable[str] = ()) -> list[str]:
    """What a device needs of other packages, in pip's words.

    Args:
        extras: of edgeml.
    """
    found = []
    for line in metadata.requires(_DISTRIBUTION) or ():
        requirement, _, marker = (part.strip() for part in line.partition(";"))
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", marker)
        if extra is None or extra[1] in set(extras):
            found.append(requirement)
    return found


def _own_files() -> dict[str, Path]:
    """Our own files for a device, by their path in the tree."""
    found = {}
    for package in _OURS:
        spec = util.find_spec(package)
        assert spec is not None, package
        assert spec.origin is not None, package
        folder = Path(spec.origin).parent
        for file in sorted(folder.rglob("*.py")):
            found[f"{package}/{file.relative_to(folder).as_posix()}"] = file
    return {path: file for path, file in found.items() if not re.search(r"(^|/)(tests|__pycache__)/", path)}


def _taken(path: str, file: Path, store: Store) -> Entry:
    data = file.read_bytes()
    return Entry(path, store.add_bytes(data), len(data))


def _described(store: Store) -> Iterator[Entry]:
    """What tells Python of our distribution: its version, and plug-ins by their entry points."""
    distribution = metadata.distribution(_DISTRIBUTION)
    folder = f"edgeml_kit-{distribution.version}.dist-info"
    for name in ("METADATA", "entry_points.txt"):
        data = (distribution.read_text(name) or "").encode()
        yield Entry(f"{folder}/{name}", store.add_bytes(data), len(data))


def _kept(tree: Path, store: Store) -> Iterator[Entry]:
    for file in sorted(tree.rglob("*")):
        path = file.relative_to(tree).as_posix()
        if not file.is_file() or file.is_symlink():
            continue
        if _LEFT_OUT.search(path):
            continue
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        size = file.stat().st_size
        if digest not in store:
            with file.open("rb") as content:
                store.add(content, digest, size)
        yield Entry(path, digest, size)


def _install(platform: Platform, wanted: list[str], tree: Path) -> None:
    if platform.machine not in _MACHINES:
        raise ConfigError(
            f"no runtime for {platform.machine}",
            expected=" or ".join(_MACHINES),
            remedy="a 64-bit Raspberry Pi OS runs on every Pi from the 3 on",
        )
    glibc = max((each for each in _GLIBCS if _numbers(each) <= _numbers(platform.glibc)), default=None)
    if glibc is None:
        raise ConfigError(
            "the device's system is too old", expected=f"glibc {_GLIBCS[0]}", found=platform.glibc
        )
    name = f"{_MACHINES[platform.machine]}-manylinux_{glibc.replace('.', '_')}"
    command = [*_uv(), "pip", "install", "--quiet", "--no-config", "--python-platform", name]
    command += ["--python-version", platform.python, "--only-binary", ":all:", "--target", str(tree), *wanted]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError("uv does not end", expected=f"within {_TIMEOUT_S} s") from error
    if done.returncode:
        lines = [line.strip(" ×╰─▶") for line in done.stderr.splitlines() if line.strip()]
        raise DeviceError(
            f"the packages for {platform} cannot be had",
            found=" ".join(lines)[:500],
            remedy="does this machine reach a package index?",
        )


def _uv() -> list[str]:
    program = shutil.which("uv") or os.environ.get("UV")
    if program:
        return [program]
    if util.find_spec("uv") is not None:
        return [sys.executable, "-m", "uv"]
    raise MissingExtraError("edgeml deploy", "deploy", "uv")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
