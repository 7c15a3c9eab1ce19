"""A device for tests: Debian under its own systemd and sshd in a container, without a network.

The root file system is made of Debian packages once and cached; each machine is a copy. It has a network
namespace of its own with nothing but loopback in it, so that whatever a release needs has to come with it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.deploy.machine import USER, Machine, cache_to_oneself, need
from tests.integration.ssh_server import make_key

_RELAY = Path(__file__).with_name("relay.py")
#: Of every suite of Debian, and not of this machine's alone.
_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
_PACKAGES = "systemd,systemd-sysv,dbus,openssh-server,openssh-client,python3,sudo,libstdc++6"
#: What a board's image has and a minimal root has not.
_HOOKS = (
    'chroot "$1" useradd --create-home --shell /bin/bash pi',
    'echo "pi ALL=(ALL) NOPASSWD: ALL" >"$1/etc/sudoers.d/pi"',
    'printf "127.0.0.1 localhost device\\n" >"$1/etc/hosts"',
    'echo device >"$1/etc/hostname"',
    'printf "ListenAddress 127.0.0.1\\nUsePAM yes\\n" >"$1/etc/ssh/sshd_config.d/test.conf"',
    'chroot "$1" systemctl mask systemd-networkd systemd-resolved systemd-timesyncd getty@tty1 console-getty',
    'rm -rf "$1/usr/share/doc" "$1/usr/share/man" "$1/usr/share/locale" "$1/var/cache/apt"',
)


@dataclass(frozen=True)
class System:
    """What is installed in a machine.

    Attributes:
        suite: of Debian.
        more: packages that others do without, with commas between them.
    """

    suite: str = "bookworm"
    more: str = ""

    @property
    def packages(self) -> str:
        """All that are asked for; what they need comes with them."""
        return ",".join(filter(None, (_PACKAGES, self.more)))


def root_archive(system: System) -> Path:
    """The root file system as a tar; made when it is not in the cache."""
    recipe = repr((system.suite, system.packages, _HOOKS)).encode()
    with cache_to_oneself() as cache:
        made = cache / f"root-{hashlib.sha256(recipe).hexdigest()[:16]}.tar"
        if not made.exists():
            need("mmdebstrap", "mmdebstrap")
            part = made.with_suffix(".part.tar")
            hooks = [f"--customize-hook={hook}" for hook in _HOOKS]
            command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--keyring={_KEYS}"]
            command += [f"--include={system.packages}", *hooks, system.suite, str(part)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
            part.replace(made)
    return made


BOOKWORM = System()


class Container(Machine):
    """A machine in a container; its disk is a folder of this one.

    Attributes:
        root: that folder.
    """

    def __init__(self, folder: Path, system: System) -> None:
        self.suite = f"{system.suite}-amd64"
        self.root = folder / "root"
        self.root.mkdir(parents=True)
        subprocess.run(["tar", "-xpf", str(root_archive(system)), "-C", str(self.root)], check=True)
        key = make_key(folder / "key")
        home = self.root / "home" / USER / ".ssh"
        home.mkdir()
        shutil.copy(key.with_name("key.pub"), home / "authorized_keys")
        subprocess.run(["chown", "-R", "1000:1000", str(home)], check=True)
        super().__init__(folder, key, self.root / "etc/ssh/ssh_host_ed25519_key.pub")

    def run(self, command: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        words = ["nsenter", "--target", str(self._leader), "--all", "sh", "-c", command]
        return subprocess.run(words, input=given, capture_output=True, check=False, timeout=600)

    def cut_power(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.kill(self._leader, signal.SIGKILL)
            self.process.wait(60)

    def close(self) -> None:
        super().close()
        subprocess.run(["umount", "--recursive", str(self.root)], capture_output=True, check=False)
        shutil.rmtree(self.root, ignore_errors=True)

    @property
    def _leader(self) -> int:
        """Its first process, seen from here."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def _start(self) -> subprocess.Popen[bytes]:
        command = ["systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--private-network"]
        command += [f"--directory={self.root}", "--machine=device", "--console=pipe"]
        with self.console.open("ab") as console:
            return subprocess.Popen(
                command,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _reached(self) -> str:
        try:
            leader = self._leader
        except (IndexError, FileNotFoundError):
            return ""
        return f"ProxyCommand nsenter --target {leader} --net {sys.executable} {_RELAY} 22"


@contextmanager
def booted(
    folder: Path, system: System = BOOKWORM, prepare: Callable[[Path], None] = lambda _: None
) -> Iterator[Container]:
    """A container that is up.

    Args:
        folder: for its files.
        system: what is installed.
        prepare: changes its root file system before it is first on.
    """
    need("systemd-nspawn", "systemd-container")
    container = Container(folder, system)
    prepare(container.root)
    try:
        container.boot()
        yield container
    finally:
        container.close()
