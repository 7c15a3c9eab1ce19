"""A release in one file, for a device without a network: as it comes off a USB stick.

It is a zip: the agent, so that ``python3 FILE`` installs it, and the release below ``release/``. Nothing of
the release is believed before its signature was verified. The agent that is in it is a program that somebody
runs as root, and has to be trusted before: a device that has one already need not, ``agent.pyz take FILE``.
"""

from __future__ import annotations

import argparse
import base64
import os
import signal
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_sdk.deploy import signature
from edge_sdk.deploy.agent import PLACE, Agent
from edge_sdk.deploy.archive import archive
from edge_sdk.deploy.fitness import check_platform, check_service
from edge_sdk.deploy.manifest import MOST_BYTES, Manifest, read_listing
from edge_sdk.deploy.slots import Slots
from edge_sdk.deploy.store import require, write_durably
from edge_sdk.errors import ConfigError, DeviceError, EdgeError, GateError, one_line, printable

MANIFEST, SIGNATURE, KEY = "release/manifest.json", "release/manifest.json.sig", "release/key.pub"
CONTENTS = "release/contents/"
#: What a file that is no release, or was damaged, makes of reading it.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, LookupError, OSError, RuntimeError, ValueError)
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


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
    os.umask(0o022)  # the service's user has to read what is laid out here
    try:
        with zipfile.ZipFile(file) as packed:
            _check_readable(packed)
            data, signed = _member(packed, MANIFEST), _member(packed, SIGNATURE)
            name = Manifest.from_bytes(data).name
            if trust and not agent.trusted.exists():
                key = _signer(data, signed, _member(packed, KEY))
                say({"step": f"trusting {key.line}"})
                agent.trust(key.line)
            slots = Slots(agent.root, name)
            manifest = slots.admit(data, signed, agent.trusted, allow_older=options.get("allow_older", False))
            check_service(options.get("service", "systemd"))
            check_platform(manifest, agent.facts())
            say({"step": "unpacking"})
            _unpack(packed, slots, manifest)
    except _UNREADABLE as error:
        if isinstance(error, EdgeError):
            raise
        raise DeviceError(f"{file}: not a release", found=one_line(error)) from error
    _stay(agent.root / PLACE.name)
    installed = agent.install(
        name, base64.b64encode(data).decode(), base64.b64encode(signed).decode(), **options
    )
    if "run" in installed:
        return installed
    return agent.follow(name, installed["slot"])


def _signer(data: bytes, signed: bytes, line: bytes) -> signature.PublicKey:
    """The key that a release brings, if it is the one that signed it."""
    key = signature.PublicKey.parse(line.decode(errors="replace"), KEY)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "signers"
        file.write_text(signature.allowed_signers([key]), encoding="utf-8")
        signature.verify(data, signed, file)
    return key


def _stay(place: Path) -> None:
    """Leave this program where the services of a pipeline find it: they start it at boot, and to watch."""
    running = Path(sys.argv[0])
    if running.exists() and place.exists() and running.samefile(place):
        return
    data = archive()
    if not place.exists() or place.read_bytes() != data:
        write_durably(place, data)


def _unpack(packed: zipfile.ZipFile, slots: Slots, manifest: Manifest) -> None:
    """Take what is missing, which the listing of the runtime tells when it is there."""
    store = slots.store
    with store.batch() as batch:
        if manifest.runtime not in store:
            size = packed.getinfo(CONTENTS + manifest.runtime).file_size
            if size > MOST_BYTES:
                raise ConfigError(
                    "the runtime's listing", expected=f"at most {MOST_BYTES:,} bytes", found=size
                )
            with packed.open(CONTENTS + manifest.runtime) as content:
                store.add(content, manifest.runtime, size)
        missing = store.missing([*manifest.files, *read_listing(store.read(manifest.runtime, MOST_BYTES))])
        require(slots.root, sum(entry.size for entry in missing))
        for entry in missing:
            with packed.open(CONTENTS + entry.digest) as content:
                batch.add(content, entry.digest, entry.size)


def _check_readable(packed: zipfile.ZipFile) -> None:
    for info in packed.infolist():
        if info.flag_bits & 1 or info.compress_type not in _METHODS:
            raise zipfile.BadZipFile(f"{info.filename[:80]} is encrypted, or packed in an unknown way")


def _member(packed: zipfile.ZipFile, name: str) -> bytes:
    if packed.getinfo(name).file_size > MOST_BYTES:
        raise ConfigError(f"{name} in the release", expected=f"at most {MOST_BYTES:,} bytes")
    return packed.read(name)


def main(arguments: Sequence[str] | None = None) -> int:
    """``python3 app.edgeml`` installs it; ``agent.pyz take app.edgeml`` does so with the agent that is there.

    Args:
        arguments: with the file; None where this program is in it.
    """
    own = arguments is None
    parser = argparse.ArgumentParser(
        prog=f"python3 {sys.argv[0]}" + ("" if own else " take"),
        description="Install a release of edgeml on this device.",
    )
    if not own:
        parser.add_argument("file", type=Path, metavar="APP.EDGEML")
    parser.add_argument("--trust", action="store_true", help="trust its key, where none is trusted yet")
    parser.add_argument("--allow-older", action="store_true", help="take an older one than what ran here")
    parser.add_argument("--service", choices=["systemd", "none"], default="systemd")
    given = {"file": Path(sys.argv[0]), **vars(parser.parse_args(arguments))}

    def say(facts: Mapping[str, Any]) -> None:
        if facts.get("seconds", 0) == 0:
            print(printable(f"{facts['step']} …"), file=sys.stderr, flush=True)

    try:
        told = install(agent=Agent(say), say=say, **given)
        print(conclude(told))
    except EdgeError as error:
        print(f"edgeml: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("edgeml: interrupted; a release that is on trial already goes on by itself", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


def conclude(told: Mapping[str, Any]) -> str:
    """How it ended, for people.

    Raises:
        GateError: it was gone back from.
    """
    if told["verdict"] == "refused":
        running = told["running"]
        raise GateError(
            f"{told['version']} does not work here",
            found=told["reason"],
            remedy=f"{running['version']} runs again" if running else "nothing ran here before",
        )
    return printable(f"run it with: {told['run']}" if "run" in told else f"{told['version']} works")
