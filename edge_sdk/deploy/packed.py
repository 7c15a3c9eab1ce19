"""A release in one file, for a device without a network: as it comes off a USB stick.

It is a zip: the agent, so that ``python3 FILE`` installs it, and the release below ``release/``. Nothing of
the release is believed before its signature was verified.
"""

from __future__ import annotations

import argparse
import base64
import os
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edge_sdk.deploy.agent import Agent
from edge_sdk.deploy.manifest import MOST_BYTES, Manifest, read_listing
from edge_sdk.deploy.slots import Slots
from edge_sdk.errors import ConfigError, DeviceError, EdgeError, GateError, one_line, printable

MANIFEST, SIGNATURE, KEY = "release/manifest.json", "release/manifest.json.sig", "release/key.pub"
CONTENTS = "release/contents/"


def install(
    file: Path, agent: Agent, say: Callable[[Mapping[str, Any]], None], *, trust: bool = False, **options: Any
) -> dict[str, Any]:
    """Install a packed release on this device.

    Args:
        file: the release.
        agent: of this device.
        say: takes what is told about each step.
        trust: trust the key that signed it, where this device never trusted any.
        options: of `Agent.install`.

    Returns:
        As `Agent.follow`.

    Raises:
        GateError: it is not signed by a trusted key, or it does not work here.
        DeviceError: it cannot be read, or the disk is full.
    """
    if os.geteuid() != 0:
        raise DeviceError("installing a release", expected="root", remedy="run it with sudo")
    try:
        with zipfile.ZipFile(file) as packed:
            data, signed = _member(packed, MANIFEST), _member(packed, SIGNATURE)
            if trust and not agent.trusted.exists():
                agent.trust(_member(packed, KEY).decode(errors="replace"))
            name = Manifest.from_bytes(data).name
            slots = Slots(agent.root, name)
            manifest = slots.admit(data, signed, agent.trusted, allow_older=options.get("allow_older", False))
            say({"step": "unpacking"})
            _unpack(packed, slots, manifest)
    except (zipfile.BadZipFile, KeyError, OSError, ValueError) as error:
        if isinstance(error, EdgeError):
            raise
        raise DeviceError(f"{file}: not a release", found=one_line(error)) from error
    installed = agent.install(
        name, base64.b64encode(data).decode(), base64.b64encode(signed).decode(), **options
    )
    if "run" in installed:
        return installed
    return agent.follow(name, installed["slot"])


def _unpack(packed: zipfile.ZipFile, slots: Slots, manifest: Manifest) -> None:
    """Take what is missing, which the listing of the runtime tells when it is there."""
    if manifest.runtime not in slots.store:
        size = packed.getinfo(CONTENTS + manifest.runtime).file_size
        with packed.open(CONTENTS + manifest.runtime) as content:
            slots.store.add(content, manifest.runtime, size)
    listed = read_listing(slots.store.read(manifest.runtime, MOST_BYTES))
    with slots.store.batch() as batch:
        for entry in slots.store.missing([*manifest.files, *listed]):
            with packed.open(CONTENTS + entry.digest) as content:
                batch.add(content, entry.digest, entry.size)


def _member(packed: zipfile.ZipFile, name: str) -> bytes:
    if packed.getinfo(name).file_size > MOST_BYTES:
        raise ConfigError(f"{name} in the release", expected=f"at most {MOST_BYTES:,} bytes")
    return packed.read(name)


def main() -> int:
    """``python3 app.edgeml``: installs it."""
    parser = argparse.ArgumentParser(
        prog=f"python3 {sys.argv[0]}", description="Install this release of edgeml on this device."
    )
    parser.add_argument("--trust", action="store_true", help="trust its key, where none is trusted yet")
    parser.add_argument("--allow-older", action="store_true", help="take an older one than what ran here")
    parser.add_argument("--service", choices=["systemd", "none"], default="systemd")
    given = parser.parse_args()

    os.umask(0o022)  # the service's user has to read what is laid out here

    def say(facts: Mapping[str, Any]) -> None:
        if facts.get("seconds", 0) == 0:
            print(f"{facts['step']} …", file=sys.stderr, flush=True)

    try:
        told = install(Path(sys.argv[0]), Agent(say), say, **vars(given))
    except EdgeError as error:
        print(f"edgeml: {error}", file=sys.stderr)
        return error.exit_code
    return conclude(told)


def conclude(told: Mapping[str, Any]) -> int:
    """Say how it ended; the exit status."""
    if told["verdict"] == "refused":
        running = told["running"]
        error = GateError(
            f"{told['version']} does not work here",
            found=told["reason"],
            remedy=f"{running['version']} runs again" if running else "nothing ran here before",
        )
        print(f"edgeml: {error}", file=sys.stderr)
        return error.exit_code
    print(printable(f"run it with: {told['run']}" if "run" in told else f"{told['version']} works"))
    return 0
