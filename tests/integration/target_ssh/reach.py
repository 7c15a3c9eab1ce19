"""The address of the device, and what runs for it on either side."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from tests.integration.ssh_server import processes_under


def sessions(device):
    """Its connections: processes of sshd."""
    return [pid for pid, name in processes_under(device.pid).items() if name.startswith("sshd")]


def masters(folder):
    """ssh processes whose control socket lies in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in line and b"ssh" in line.split(b"\0")[0]:
            found.append(path.parent.name)
    return found


def url(device, place=None, **options):
    options = {"python": sys.executable, **options}
    return f"ssh://{place or device.alias}?" + "&".join(f"{name}={value}" for name, value in options.items())


def windows(n=5):
    return np.random.default_rng(3).normal(size=(n, 8, 3)).astype(np.float32)


def link(folder, *packages):
    """Some of the packages that are installed here lie in that folder, too."""
    for package in packages:
        for path in Path(np.__file__).parents[1].glob(f"{package}*"):
            (folder / path.name).symlink_to(path)
