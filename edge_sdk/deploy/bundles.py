"""Writes a release to one file, for a device without a network; made on the host."""

from __future__ import annotations

import contextlib
import zipfile
from pathlib import Path

from edge_sdk.deploy import archive, packed
from edge_sdk.deploy.manifest import Platform
from edge_sdk.deploy.release import Release
from edge_sdk.deploy.store import Store
from edge_sdk.errors import ConfigError, DeviceError, UnknownNameError

#: What a bundle may be for; a device that is asked over ssh says it itself.
SYSTEMS = {
    f"{system}-{kind}": Platform(machine, python, glibc)
    for system, python, glibc in (("bookworm", "3.11", "2.36"), ("trixie", "3.13", "2.41"))
    for kind, machine in (("arm64", "aarch64"), ("amd64", "x86_64"))
} | {"bookworm-armhf": Platform("armv7l", "3.11", "2.36")}


def platform(system: str | None) -> Platform:
    """What a system is.

    Raises:
        ConfigError: none was named.
        UnknownNameError: there is none of that name.
    """
    if system is None:
        raise ConfigError("--bundle", expected=f"--for {' or '.join(SYSTEMS)} beside it")
    if system not in SYSTEMS:
        raise UnknownNameError("system", system, SYSTEMS)
    return SYSTEMS[system]


def write(release: Release, store: Store, key: str, file: Path) -> int:
    """Write a release to a file, which is the old or the new one whatever happens.

    Args:
        release: what.
        store: that has its contents.
        key: the public key that signed it, as a ``.pub`` file has it.
        file: to write.

    Returns:
        Its size, bytes.

    Raises:
        DeviceError: it cannot be written.
    """
    part = file.with_name(f".{file.name}.part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as into:
            for name, text in sorted(archive.program("packed").items()):
                into.writestr(_named(name), text)
            into.writestr(_named(packed.MANIFEST), release.data)
            into.writestr(_named(packed.SIGNATURE), release.signed)
            into.writestr(_named(packed.KEY), key)
            for digest in sorted({entry.digest for entry in release.entries}):
                into.writestr(_named(packed.CONTENTS + digest), store.path(digest).read_bytes())
        part.replace(file)
    except OSError as error:
        raise DeviceError(f"{file}: cannot be written", found=error.strerror or error) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return file.stat().st_size


def _named(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, archive.TIME)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info
