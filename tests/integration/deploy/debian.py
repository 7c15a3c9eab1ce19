"""Debian's packages for another processor, unpacked into a folder; no script of theirs is ever run."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.integration.deploy.machine import need

SUITE = "bookworm"
#: The main archive does; what else a mirror may have need not be there for every architecture.
MAIN_ONLY = 'sed -i /security/d "$1"/etc/apt/sources.list'
#: A package's script would choose these.
CHOSEN = {"libblas.so.3": "blas/libblas.so.3", "liblapack.so.3": "lapack/liblapack.so.3"}


@dataclass(frozen=True)
class Architecture:
    """A processor that Debian is made for.

    Attributes:
        name: as Debian names it.
        libraries: folder of its libraries.
    """

    name: str
    libraries: str

    def unpack(self, packages: tuple[str, ...], root: Path, *more: str) -> None:
        """Make a root file system of packages.

        Args:
            packages: lists of names, or patterns, as mmdebstrap takes them; ``NAME:arm64`` is one of another
                architecture.
            root: folder, which is new.
            more: words for mmdebstrap.
        """
        need("mmdebstrap", "mmdebstrap")
        processors = dict.fromkeys([self.name, *re.findall(r":(\w+)", " ".join(packages))])
        command = ["mmdebstrap", "--quiet", "--variant=extract", f"--architectures={','.join(processors)}"]
        command += ["--skip=check/qemu", f"--setup-hook={MAIN_ONLY}", *more]
        command += [f"--include={names}" for names in packages]
        command += [SUITE, str(root)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        for name, chosen in CHOSEN.items():
            link = root / "usr/lib" / self.libraries / name
            if (link.parent / chosen).exists():
                link.symlink_to(chosen)


ARM64 = Architecture("arm64", "aarch64-linux-gnu")
ARMHF = Architecture("armhf", "arm-linux-gnueabihf")
