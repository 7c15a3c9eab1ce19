"""What a device is and has, as far as a release for it must know."""

from __future__ import annotations

import grp
import os
import platform
import shutil
import sys
import time
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edge_sdk.deploy import systemd

#: Groups that sources and sinks may need.
_GROUPS = ("dialout", "gpio", "i2c", "spi", "video", "iio")
#: Of Python, that a release may leave to the system.
_PACKAGES = ("numpy", "picamera2")
_THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
_MODEL = Path("/proc/device-tree/model")


def facts(root: Path) -> dict[str, Any]:
    """Of this machine.

    Args:
        root: where releases lie, or will.
    """
    place = root
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    bits = 64 if sys.maxsize > 1 << 32 else 32
    machine = platform.machine()
    return {
        "machine": {"aarch64": "armv7l", "x86_64": "i686"}.get(machine, machine) if bits == 32 else machine,
        "kernel": machine,
        "python": "{}.{}".format(*sys.version_info),
        "glibc": platform.libc_ver()[1],
        "model": _read(_MODEL).rstrip("\0"),
        "ram_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "free_bytes": free,
        "writable": os.access(place, os.W_OK),
        "read_only": bool(os.statvfs(place).f_flag & os.ST_RDONLY),
        "systemd": systemd.version(),
        "groups": [group for group in _GROUPS if _is_group(group)],
        "throttled": _throttled(),
        "clock_s": time.time(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "root": os.geteuid() == 0,
        "ssh_keygen": shutil.which("ssh-keygen") is not None,
    }


def _version(package: str) -> str | None:
    """Of a package of this Python; empty where nobody knows it, None where it is not there."""
    if find_spec(package) is None:
        return None
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _is_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _throttled() -> int | None:
    """The flags of a Raspberry Pi's firmware; None elsewhere."""
    text = _read(_THROTTLED).strip()
    return int(text, 16) if text else None


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
