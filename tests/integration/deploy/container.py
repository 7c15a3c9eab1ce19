"""A device for tests: Debian under its own systemd and sshd in a container, without a network.

The root file system is made of Debian packages once and cached; each machine is a copy. It has a network
namespace of its own with nothing but loopback in it, so that whatever a release needs has to come with it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.ssh_server import make_key

_RELAY = Path(__file__).with_name("relay.py")
_SUITE = "bookworm"
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
_BOOT_S = 300
#: The user's, from before tests got one of their own: a root file system takes minutes to make.
USERS_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
CACHE = USERS_CACHE / "edgeml" / "tests"
USER = "pi"


def root_archive() -> Path:
    """The root file system as a tar; made when it is not in the cache."""
    recipe = repr((_SUITE, _PACKAGES, _HOOKS)).encode()
    made = CACHE / f"root-{hashlib.sha256(recipe).hexdigest()[:16]}.tar"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:  # of several test processes one makes it
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _need("mmdebstrap", "mmdebstrap")
            part = made.with_suffix(".part.tar")
            hooks = [f"--customize-hook={hook}" for hook in _HOOKS]
            command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={_PACKAGES}", *hooks]
            subprocess.run([*command, _SUITE, str(part)], check=True, stdin=subprocess.DEVNULL)
            part.replace(made)
    return made


def _need(program: str, package: str) -> None:
    if shutil.which(program) is None:
        pytest.fail(f"needs a program {program!r}: apt-get install {package}")


class Container:
    """A machine; `boot` it, pull its plug with `cut_power`, boot it again.

    Attributes:
        root: its file system, seen from here.
        config: for ssh; the machine is the host ``device``.
        key: that logs in.
    """

    url = "ssh://device"

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "root"
        self.root.mkdir(parents=True)
        subprocess.run(["tar", "-xpf", str(root_archive()), "-C", str(self.root)], check=True)
        self.key = make_key(folder / "key")
        public = self.key.with_name("key.pub").read_text()
        self.put("/home/pi/.ssh/authorized_keys", public)
        subprocess.run(["chown", "-R", "1000:1000", str(self.root / "home/pi/.ssh")], check=True)
        host_key = " ".join((self.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split()[:2])
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(f"device {host_key}\n")
        self.config = folder / "ssh_config"
        self._process: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        """Start it, and wait until one can log in."""
        command = ["systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--private-network"]
        command += [f"--directory={self.root}", "--machine=device", "--console=pipe"]
        with (self.folder / "console").open("ab") as console:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _BOOT_S
        while not self._can_log_in():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = (self.folder / "console").read_text(errors="replace")[-2000:]
                pytest.fail(f"the container does not boot: {said}")
            time.sleep(0.2)

    def ask(self, command: str, *, check: bool = True) -> str:
        """What a command says there, run by root."""
        done = subprocess.run(
            ["nsenter", "--target", str(self.leader), "--all", "sh", "-c", command],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def put(self, path: str, text: str) -> None:
        """Write a file there."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    @property
    def leader(self) -> int:
        """Its first process, seen from here."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return int(children[0])

    def cut_power(self) -> None:
        """Every process of it is gone at once; what it had written is there."""
        if self._process is not None and self._process.poll() is None:
            os.kill(self.leader, signal.SIGKILL)
            self._process.wait(60)

    def close(self) -> None:
        self.cut_power()
        subprocess.run(["umount", "--recursive", str(self.root)], capture_output=True, check=False)
        shutil.rmtree(self.root, ignore_errors=True)

    def _can_log_in(self) -> bool:
        try:
            leader = self.leader
        except (IndexError, FileNotFoundError):
            return False
        proxy = f"nsenter --target {leader} --net {sys.executable} {_RELAY} 22"
        self.config.write_text(
            f"Host device raspberrypi\n  HostKeyAlias device\n  User {USER}\n  IdentityFile {self.key}\n"
            f"  IdentitiesOnly yes\n  UserKnownHostsFile {self.known_hosts}\n  ProxyCommand {proxy}\n"
        )
        command = ["ssh", "-F", str(self.config), "-o", "BatchMode=yes", "device", "true"]
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
        return done.returncode == 0


@contextmanager
def booted(folder: Path) -> Iterator[Container]:
    """A container that is up."""
    if os.geteuid() != 0:
        pytest.skip("needs root and systemd-nspawn: run as root, outside a restricted container")
    _need("systemd-nspawn", "systemd-container")
    container = Container(folder)
    try:
        container.boot()
        yield container
    finally:
        container.close()
