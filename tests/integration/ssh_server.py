"""A real OpenSSH server on a free loopback port, with keys, configuration and a home folder of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Device:
    """What stands for another machine: its commands run here, in another home and another temporary folder.

    Attributes:
        alias: its name in `config`.
        port: of 127.0.0.1.
        config: for the client, instead of ~/.ssh/config.
        home: where a login shell finds its files.
        temporary: its /tmp.
    """

    alias = "pi"

    def __init__(self, folder: Path) -> None:
        program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        if program is None:
            pytest.fail("needs an ssh server: apt-get install openssh-server")
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._folder, self._program = folder, program
        self.home, self.temporary = folder / "home", folder / "tmp"
        self.home.mkdir()
        self.temporary.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.host_key, self.user_key = (make_key(folder / name) for name in ("host", "user"))
        self.known_hosts, self.config = folder / "known_hosts", folder / "config"
        self.trust(self.host_key)
        self.configure()
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def configure(self, *lines: str, key: Path | None = None) -> None:
        """Write the client's configuration, with further lines for every host."""
        self.config.write_text(
            f"Host {self.alias}\n  HostName 127.0.0.1\n  Port {self.port}\n"
            f"Host *\n  User {getpass.getuser()}\n  IdentityFile {key or self.user_key}\n"
            f"  IdentitiesOnly yes\n  IdentityAgent none\n"
            f"  UserKnownHostsFile {self.known_hosts}\n  GlobalKnownHostsFile none\n"
            + "".join(f"  {line}\n" for line in lines)
        )

    def trust(self, key: Path | None) -> None:
        """Make a host key the known one; None forgets it."""
        kind_and_key = " ".join(Path(f"{key}.pub").read_text().split()[:2]) if key else None
        line = f"[127.0.0.1]:{self.port} {kind_and_key}\n" if kind_and_key else ""
        self.known_hosts.write_text(line)

    def start(self) -> None:
        config = self._folder / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.host_key}\nPidFile none\nUsePAM no\n"
            f"StrictModes no\nAuthorizedKeysFile {self.user_key}.pub\nPasswordAuthentication no\n"
            f"PermitRootLogin prohibit-password\nSetEnv HOME={self.home} TMPDIR={self.temporary}\n"
        )
        with (self._folder / "sshd.log").open("wb") as log:
            self._process = subprocess.Popen([self._program, "-D", "-e", "-f", str(config)], stderr=log)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError("the ssh server did not start: " + (self._folder / "sshd.log").read_text())

    def stop(self) -> None:
        self.cut()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def cut(self) -> None:
        """End the server's side of every connection, as a power cut would, but let commands run on."""
        for pid, name in processes_under(self.pid).items():
            if name.startswith("sshd"):
                os.kill(pid, signal.SIGKILL)

    def workers(self) -> list[int]:
        """Processes of Python that run for somebody who is connected."""
        return [pid for pid, name in processes_under(self.pid).items() if name.startswith("python")]


def make_key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def processes_under(parent: int) -> dict[int, str]:
    """Pid and name of all that a process started, directly or not, parents first; without zombies."""
    children: dict[int, list[tuple[int, str]]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue  # it ended meanwhile
        name, (state, ppid) = (
            stat[stat.index("(") + 1 : stat.rindex(")")],
            stat[stat.rindex(")") + 2 :].split()[:2],
        )
        if state != "Z":
            children.setdefault(int(ppid), []).append((int(entry.name), name))
    found: dict[int, str] = {}
    waiting = list(children.get(parent, []))
    while waiting:
        pid, name = waiting.pop(0)
        found[pid] = name
        waiting += children.get(pid, [])
    return found


@contextmanager
def running_device(folder: Path) -> Iterator[Device]:
    device = Device(folder)
    try:
        yield device
    finally:
        device.stop()
