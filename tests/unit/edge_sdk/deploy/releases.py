"""Small releases, as a host would make them."""

from __future__ import annotations

from pathlib import Path

from edge_sdk.deploy.manifest import Entry, Manifest, Platform, digest_of, listing
from edge_sdk.deploy.records import Slot
from edge_sdk.deploy.slots import Slots

PLATFORM = Platform("aarch64", "3.11", "2.28")
RUNTIME = {"numpy/__init__.py": b"import this", "bin/run": b"#!/bin/sh\n"}


def entry(path: str, data: bytes) -> Entry:
    return Entry(path, digest_of(data), len(data), executable=path.startswith("bin/"))


def manifest(serial: int = 1, files: dict[str, bytes] | None = None, **changes: object) -> Manifest:
    files = files if files is not None else content(serial)
    runtime = listing([entry(path, data) for path, data in RUNTIME.items()])
    facts = {
        "name": "press-7",
        "version": f"1.{serial}",
        "serial": serial,
        "platform": PLATFORM,
        "runtime": digest_of(runtime),
        "config": "edgeml.toml",
        "health": "http://127.0.0.1:9464/health",
        "window_s": 60,
        "files": tuple(sorted(entry(path, data) for path, data in files.items())),
    }
    return Manifest(**{**facts, **changes})  # type: ignore[arg-type]


def content(serial: int) -> dict[str, bytes]:
    return {
        "edgeml.toml": b"# %d" % serial,
        "models/m.tflite": b"weights %d" % serial,
        "labels.txt": b"a\nb\n",
    }


def send(slots: Slots, serial: int) -> None:
    """All contents of a release, as a push brings them."""
    runtime = listing([entry(path, data) for path, data in RUNTIME.items()])
    for data in (*content(serial).values(), *RUNTIME.values(), runtime):
        slots.store.add_bytes(data)


def installed(slots: Slots, serial: int, **changes: object) -> Slot:
    send(slots, serial)
    release = manifest(serial, **changes)
    return slots.install(release.to_bytes(), b"signature", release)


def is_whole(slot: Slot) -> bool:
    """Whether everything of a release is where it belongs."""
    app = {path: (slot.app / path).read_bytes() for path in content(slot.manifest.serial)}
    runtime = {path: (slot.runtime / path).read_bytes() for path in RUNTIME}
    return app == content(slot.manifest.serial) and runtime == RUNTIME and _runs(slot.runtime / "bin/run")


def _runs(path: Path) -> bool:
    return path.stat().st_mode & 0o111 == 0o111
