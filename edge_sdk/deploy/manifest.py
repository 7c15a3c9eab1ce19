"""What a release is: a signed list of files by their content, and the runtime tree that they need.

A release's manifest lists the few files of the pipeline itself. The runtime, thousands of files, is a listing
of its own that the manifest names by digest: a new model sends a new manifest, not all of that again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from edge_sdk.errors import ModelError, one_line

SCHEMA = 1
#: Of a manifest or a listing, bytes; a runtime's has some 3,000 files of 150 bytes.
MOST_BYTES = 8 << 20
_MOST_FILES = 50_000
_DIGEST = re.compile(r"[0-9a-f]{64}")
#: Of a pipeline: it names folders and units, of which edgeml-NAME-trial and -recover are another one's.
NAME = re.compile(r"(?!.*-(?:trial|recover)$)[a-z0-9][a-z0-9-]{0,62}")
NAME_WORDS = "small letters, digits and -, at most 63, and neither -trial nor -recover at the end"
VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,63}")
VERSION_WORDS = "letters, digits and . + -, at most 64"
#: In `Manifest.health`: the device may pick the port.
ANY_HEALTH = "any"
_HEALTH = re.compile(rf"|{ANY_HEALTH}|http://(?:[\w.-]+|\[[\w:.%]+\]):\d{{1,5}}/health")
_EXECUTABLE, _PLAIN = 0o755, 0o644


def digest_of(data: bytes) -> str:
    """The sha256 of contents, hexadecimal: their name in a store."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A file.

    Attributes:
        path: within its tree, with slashes.
        digest: of its contents.
        size: bytes.
        executable: whether it may be run.
    """

    path: str
    digest: str
    size: int
    executable: bool = False

    @property
    def mode(self) -> int:
        """Permissions that it is laid out with."""
        return _EXECUTABLE if self.executable else _PLAIN


@dataclass(frozen=True, slots=True)
class Platform:
    """What a runtime tree was made for.

    Attributes:
        machine: as ``uname -m`` says of the user space: ``aarch64``, ``armv7l``, ``x86_64``.
        python: ``3.11``.
        glibc: the oldest that it runs with, ``2.28``.
    """

    machine: str
    python: str
    glibc: str

    def __str__(self) -> str:
        return f"{self.machine}, Python {self.python}, glibc {self.glibc}"

    @property
    def engine(self) -> str:
        """What models run in there, as the variable EDGEML_RUNTIME names it: 32-bit Arm has no LiteRT."""
        return "tflite_runtime" if self.machine == "armv7l" else "litert"


def numbers(version: str) -> tuple[int, ...]:
    """Of a version, to compare it by: as far as it is numbers with points between."""
    leading, *_ = re.split(r"[^\d.]", version, maxsplit=1)
    return tuple(int(part) for part in leading.split(".") if part)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A release.

    Attributes:
        name: of the pipeline on the device, and of its service.
        version: for people.
        serial: grows from release to release; a device takes no lower one unless it is told to.
        platform: that it is for.
        runtime: digest of the listing of its runtime tree.
        config: path of its edgeml.toml among the files.
        health: where the service tells its health, ``http://127.0.0.1:9464/health``; empty where it does not,
            ``any`` where the device picks a port for it.
        window_s: how long it must stay healthy before it is trusted, whole seconds.
        files: of the pipeline itself, sorted by path.
    """

    name: str
    version: str
    serial: int
    platform: Platform
    runtime: str
    config: str
    health: str
    window_s: int
    files: tuple[Entry, ...]

    def to_bytes(self) -> bytes:
        """What is signed; the same release gives the same bytes."""
        facts = {
            "schema": SCHEMA,
            "name": self.name,
            "version": self.version,
            "serial": self.serial,
            "platform": {
                "machine": self.platform.machine,
                "python": self.platform.python,
                "glibc": self.platform.glibc,
            },
            "runtime": self.runtime,
            "config": self.config,
            "health": self.health,
            "window_s": self.window_s,
            "files": _listed(self.files),
        }
        return (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a manifest; nothing in it is believed before its signature was verified.

        Raises:
            ModelError: malformed, of another schema, or with a path that leads out of its folder.
        """
        facts = _object(data, "release manifest")
        if facts.get("schema") != SCHEMA:
            raise ModelError(
                "release manifest: schema",
                expected=SCHEMA,
                found=facts.get("schema"),
                remedy="deploy it with the same version of edgeml that the device has",
            )
        place = facts.get("platform")
        place = place if isinstance(place, dict) else {}
        files = entries(facts.get("files"), "release manifest")
        manifest = cls(
            name=_matching(facts, "name", NAME, NAME_WORDS),
            version=_matching(facts, "version", VERSION, VERSION_WORDS),
            serial=_number(facts, "serial"),
            platform=Platform(*(_text(place, key) for key in ("machine", "python", "glibc"))),
            runtime=_matching(facts, "runtime", _DIGEST, "a sha256"),
            config=_text(facts, "config"),
            health=_matching(facts, "health", _HEALTH, "http://HOST:PORT/health"),
            window_s=_number(facts, "window_s"),
            files=files,
        )
        if manifest.config not in {entry.path for entry in files}:
            raise ModelError("release manifest: config", expected="one of its files", found=manifest.config)
        return manifest


def listing(files: Iterable[Entry]) -> bytes:
    """A runtime tree as bytes; the same tree gives the same bytes."""
    return (json.dumps(_listed(sorted(files)), separators=(",", ":")) + "\n").encode()


def read_listing(data: bytes) -> tuple[Entry, ...]:
    """The files of a runtime tree.

    Raises:
        ModelError: malformed, or with a path that leads out of its folder.
    """
    return entries(_json(data, "runtime listing"), "runtime listing")


def entries(items: Any, where: str) -> tuple[Entry, ...]:
    """Files as a manifest or a listing has them.

    Raises:
        ModelError: as `read_listing`.
    """
    if not isinstance(items, list) or len(items) > _MOST_FILES:
        raise ModelError(f"{where}: files", expected=f"a list of at most {_MOST_FILES:,}")
    found = tuple(_entry(item, where) for item in items)
    paths = {entry.path for entry in found}
    if len(paths) != len(found):
        raise ModelError(f"{where}: files", expected="each path once")
    for path in paths:
        parts = path.split("/")
        above = next((a for a in ("/".join(parts[:n]) for n in range(1, len(parts))) if a in paths), None)
        if above is not None:
            raise ModelError(f"{where}: files", expected="files or folders", found=f"{above!r} is both")
    return found


def _entry(item: Any, where: str) -> Entry:
    try:
        path, digest, size, executable = item
    except (TypeError, ValueError) as error:
        raise ModelError(f"{where}: files", expected="[path, sha256, bytes, executable]") from error
    if not is_safe(path):
        raise ModelError(f"{where}: path", expected="one within its folder", found=repr(path)[:200])
    fits = isinstance(digest, str) and _DIGEST.fullmatch(digest) and type(size) is int and size >= 0
    if not fits or type(executable) is not bool:
        raise ModelError(f"{where}: {path}", expected="[path, sha256, bytes, executable]")
    return Entry(path, digest, size, executable)


def is_safe(path: Any) -> bool:
    """Whether a path stays within its folder whatever the system."""
    return (
        isinstance(path, str)
        and 0 < len(path) <= 1000
        and path.isprintable()
        and "\\" not in path
        and all(part not in ("", ".", "..") and len(part.encode()) <= 255 for part in path.split("/"))
    )


def _listed(files: Iterable[Entry]) -> list[list[Any]]:
    return [[entry.path, entry.digest, entry.size, entry.executable] for entry in files]


def _json(data: bytes, where: str) -> Any:
    if len(data) > MOST_BYTES:
        raise ModelError(where, expected=f"at most {MOST_BYTES:,} bytes", found=f"{len(data):,}")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{where}: not JSON", found=one_line(error)[:200]) from error


def _object(data: bytes, where: str) -> Mapping[str, Any]:
    facts = _json(data, where)
    if not isinstance(facts, dict):
        raise ModelError(where, expected="a JSON object")
    return facts


def _text(facts: Mapping[str, Any], key: str) -> str:
    value = facts.get(key)
    if not isinstance(value, str) or not value.isprintable() or len(value) > 1000:
        raise ModelError(f"release manifest: {key}", expected="a text", found=repr(value)[:200])
    return value


def _matching(facts: Mapping[str, Any], key: str, pattern: re.Pattern[str], words: str) -> str:
    value = _text(facts, key)
    if not pattern.fullmatch(value):
        raise ModelError(f"release manifest: {key}", expected=words, found=value)
    return value


def _number(facts: Mapping[str, Any], key: str) -> int:
    value: Any = facts.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 53:
        raise ModelError(f"release manifest: {key}", expected="a number from 0", found=repr(value)[:200])
    return value
