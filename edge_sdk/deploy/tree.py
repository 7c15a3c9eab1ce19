"""The runtime of a device, made on the host: it needs no internet, no pip and no compiler there."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from importlib import metadata, util
from pathlib import Path

from edge_sdk.deploy import packages
from edge_sdk.deploy.manifest import MOST_BYTES, Entry, Platform, digest_of, listing, read_listing
from edge_sdk.deploy.store import Store, write_durably

_DISTRIBUTION = "edgeml-kit"
#: Our packages that run on a device.
_OURS = ("edge_sdk", "firmware_bridge")
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


def build(
    platform: Platform,
    extras: Iterable[str],
    store: Store,
    say: Callable[[str], None],
    *,
    system: Iterable[str] = (),
) -> bytes:
    """Make a runtime tree, or find the one made before.

    Args:
        platform: of the device.
        extras: of edgeml that the pipeline needs.
        store: takes its contents.
        say: takes what is told about each step.
        system: packages that are left out, for the device's own system has to have them: ``numpy`` where
            Debian's Picamera2 runs, which is built for Debian's. See `packages.from_system`, too.

    Returns:
        Its listing, whose digest names it.

    Raises:
        ConfigError: there is no runtime for such a device.
        DeviceError: the packages cannot be had.
        MissingExtraError: uv is missing.
    """
    packages.check(platform)
    wanted = sorted(packages.requirements(extras, platform.machine))
    without = packages.from_system(platform, system)
    ours = [*(_taken(path, file, store) for path, file in _own_files().items()), *_described(store)]
    key = digest_of(repr((str(platform), wanted, sorted(without), ours, _LEFT_OUT.pattern)).encode())
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
        packages.install(platform, wanted, tree, store.folder / "wheels", say)
        found = listing([*_kept(tree, store, without), *ours])
    store.add_bytes(found)
    write_durably(known, digest_of(found).encode())
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


def _kept(tree: Path, store: Store, without: Collection[str]) -> Iterator[Entry]:
    left_out = re.compile("|".join(rf"^{re.escape(name)}(\.libs|-[^/]*)?/" for name in without) or "$^")
    for file in sorted(tree.rglob("*")):
        path = file.relative_to(tree).as_posix()
        if not file.is_file() or file.is_symlink():
            continue
        if _LEFT_OUT.search(path) or left_out.search(path):
            continue
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        size = file.stat().st_size
        if digest not in store:
            with file.open("rb") as content:
                store.add(content, digest, size)
        yield Entry(path, digest, size)
