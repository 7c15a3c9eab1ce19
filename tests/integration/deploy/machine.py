"""A device for tests, whatever it is made of: it boots, one logs in, its power is cut, it boots again."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

USER = "pi"
#: The user's, from before tests got one of their own: what a machine is made of takes minutes to make.
USERS_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
CACHE = USERS_CACHE / "edgeml" / "tests"
_ASK_S = 300


@contextmanager
def cache_to_oneself() -> Iterator[Path]:
    """The folder of what machines are made of; of several test processes one makes it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield CACHE


def need(program: str, package: str) -> None:
    if shutil.which(program) is None:
        pytest.fail(f"needs a program {program!r}: apt-get install {package}")


class Machine(ABC):
    """A machine; `boot` it, pull its plug with `cut_power`, boot it again.

    Args:
        folder: for its files.
        key: that logs in.
        host_key: of the machine, the public part.

    Attributes:
        config: for ssh; the machine is the host ``device``, and ``raspberrypi``.
        known_hosts: for ssh.
        suite: what a bundle for it is made for.
    """

    url = "ssh://device"
    suite: str
    #: For it to boot, s.
    boot_s: float = 300
    #: Nothing that is deployed to it is watched for less, s: a slow machine may be late with its health.
    least_window_s = 1

    def __init__(self, folder: Path, key: Path, host_key: Path) -> None:
        self.folder, self.key = folder, key
        self.config, self.known_hosts = folder / "ssh_config", folder / "known_hosts"
        self.known_hosts.write_text(f"device {' '.join(host_key.read_text().split()[:2])}\n")
        self.process: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        """Start it, and wait until one can log in."""
        self.process = self._start()
        deadline = time.monotonic() + self.boot_s
        while not self._can_log_in():
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = self.console.read_text(errors="replace")[-2000:]
                pytest.fail(f"the machine does not boot: {said}")
            time.sleep(0.2)

    @property
    def console(self) -> Path:
        """What it says while it boots."""
        return self.folder / "console"

    @abstractmethod
    def run(self, command: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """A command there, run by root.

        Args:
            command: for a shell.
            given: its standard input.
        """

    def ask(self, command: str, *, check: bool = True) -> str:
        """What a command says there, run by root."""
        done = self.run(command)
        assert not check or done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def put(self, path: str, content: str | bytes) -> None:
        """Write a file there."""
        data = content.encode() if isinstance(content, str) else content
        done = self.run(f"mkdir -p $(dirname {path}) && cat >{path}", data)
        assert done.returncode == 0, done.stderr.decode()

    def has(self, path: str) -> bool:
        return self.run(f"test -e {path}").returncode == 0

    @abstractmethod
    def cut_power(self) -> None:
        """Every process of it is gone at once; what it had written is there."""

    def close(self) -> None:
        self.cut_power()

    @abstractmethod
    def _start(self) -> subprocess.Popen[bytes]:
        """Switch it on."""

    @abstractmethod
    def _reached(self) -> str:
        """How ssh gets there, as a line of its configuration; empty while it cannot be known yet."""

    def _can_log_in(self) -> bool:
        way = self._reached()
        if not way:
            return False
        self.config.write_text(
            f"Host device raspberrypi\n  HostKeyAlias device\n  User {USER}\n  IdentityFile {self.key}\n"
            f"  IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile {self.known_hosts}\n  {way}\n"
        )
        command = ["ssh", "-F", str(self.config), "-o", "BatchMode=yes", "device", "true"]
        try:
            done = subprocess.run(
                command, capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0
