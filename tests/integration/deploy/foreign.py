"""User space of another processor without its machine: Debian's packages, unpacked, run by QEMU's user mode.

Every program in it is another processor's, those that a program starts too: the kernel hands them to QEMU, as
it was told in a namespace of its own, so that nothing changes on this machine. There is no network in it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.deploy.debian import ARM64, ARMHF, CHOSEN, MAIN_ONLY, SUITE, Architecture
from tests.integration.deploy.machine import cache_to_oneself, need

#: What Raspberry Pi OS has of what a release needs from the system.
_PACKAGES = "python3,python3-numpy,libstdc++6"
_UNUSED = ("usr/share", "var/lib/apt", "var/cache", "boot")
#: Mounted while something runs.
_MOUNTED = ("dev", "proc", "tmp", "tree", "work")
_START = """\
set -e
registered=/proc/sys/fs/binfmt_misc
if ! [ -e $registered/qemu-{qemu} ]; then
    mount -t binfmt_misc binfmt_misc $registered
    tr -d '\\n' </usr/lib/binfmt.d/qemu-{qemu}.conf >$registered/register
fi
for part in dev proc; do mount --rbind /$part {root}/$part; done
mount -t tmpfs tmpfs {root}/tmp
mount --bind {tree} {root}/tree
mount --bind {work} {root}/work
exec env -i PATH=/usr/sbin:/usr/bin:/bin HOME=/tmp LC_ALL=C.UTF-8 PYTHONPATH=/tree chroot {root} python3 "$@"
"""
_RUN_S = 800


@dataclass(frozen=True)
class Space:
    """The user space of a device.

    Attributes:
        architecture: that Debian has for it.
        machine: as ``uname -m`` names it.
        qemu: as QEMU does.
    """

    architecture: Architecture
    machine: str
    qemu: str

    def run(self, tree: Path, work: Path, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Python in it.

        Args:
            tree: what Python finds its packages in.
            work: the folder ``/work`` there.
            words: of its command line.
        """
        if os.geteuid() != 0:
            pytest.skip("needs root: Debian's packages are unpacked, and mounts made, for another processor")
        root = self.root()
        script = _START.format(qemu=self.qemu, root=root, tree=tree, work=work)
        command = [
            "unshare",
            "--user",
            "--map-root-user",
            "--mount",
            "--net",
            "sh",
            "-c",
            script,
            "sh",
            *words,
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_RUN_S, check=False, stdin=subprocess.DEVNULL
        )
        if "wrong fs type" in done.stderr or "permission denied" in done.stderr:
            pytest.fail(f"needs Linux 6.7, or qemu-{self.qemu} registered with binfmt_misc: {done.stderr}")
        return done

    def root(self) -> Path:
        """Its root file system; made when it is not in the cache, in some ten seconds."""
        recipe = repr((SUITE, _PACKAGES, MAIN_ONLY, _UNUSED, _MOUNTED, CHOSEN)).encode()
        with cache_to_oneself() as cache:
            made = cache / f"foreign-{self.architecture.name}-{hashlib.sha256(recipe).hexdigest()[:16]}"
            if made.is_dir():
                return made
            need(f"qemu-{self.qemu}-static", "qemu-user-static")
            part = made.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            self.architecture.unpack((_PACKAGES,), part)
            self._finish(part)
            part.rename(made)
            return made

    def _finish(self, root: Path) -> None:
        for name in _UNUSED:
            shutil.rmtree(root / name, ignore_errors=True)
        for name in _MOUNTED:
            (root / name).mkdir(exist_ok=True)
        cores = root / "sys/devices/system/cpu"  # LiteRT counts them there, and dies without
        cores.mkdir(parents=True, exist_ok=True)
        for name in ("possible", "present"):
            (cores / name).write_text("0-3\n")


SPACES = {
    "aarch64": Space(ARM64, "aarch64", "aarch64"),
    "armv7l": Space(ARMHF, "armv7l", "arm"),
}
