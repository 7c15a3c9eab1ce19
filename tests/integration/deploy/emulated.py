"""A whole computer for tests: one of QEMU's boards with Debian's kernel, its systemd and sshd, and a disk.

Nothing but its disk is behind it: no network, except for the port of ssh, which this machine forwards. Where
the container's power cut ends processes, this one takes the memory away, too, and what was not on the disk.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.deploy import debian, image
from tests.integration.deploy.boards import Board
from tests.integration.deploy.image import Image
from tests.integration.deploy.machine import Machine, cache_to_oneself, need

#: Nobody attacks this kernel. To hide it from programs costs an emulator a quarter of the time that it boots.
_KERNEL = "console=ttyAMA0 net.ifnames=0 quiet panic=-1 systemd.show_status=0 mitigations=off kpti=off"
#: The state of the image's disk in which it is up and idle, and nothing was ever deployed to it.
BOOTED = "booted"
_MONITOR_S = 120


class VirtualMachine(Machine):
    """A virtual Raspberry Pi.

    Args:
        folder: for its files.
        board: that is emulated.
        made: the image for it; a copy is used.

    Attributes:
        board: likewise.
    """

    boot_s = 600
    least_window_s = 15

    def __init__(self, folder: Path, board: Board, made: Image) -> None:
        subprocess.run(["cp", "-a", "--reflink=auto", str(made.folder), str(folder)], check=True)
        self.board, self.suite, self.image = board, board.suite, Image(folder)
        super().__init__(folder, self.image.key, self.image.host_key)
        # Sockets have short names, wherever the tests' folder lies.
        self._near = Path(tempfile.mkdtemp(prefix="edgeml-vm-"))
        self._port, self._state = _free_port(), ""

    def resume(self, state: str) -> None:
        """Switch it on as it was when a state was saved: memory, disk, running services and all."""
        self.cut_power()
        self._state = state
        try:
            self.boot()
        finally:
            self._state = ""

    def save(self, state: str) -> None:
        """Keep the state that it is in, to `resume` it any number of times."""
        self._log_out()
        said = self._monitor(f"savevm {state}")
        assert not said, said

    def run(self, command: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        words = ["ssh", "-F", str(self.config), "-S", str(self._near / "ssh"), "-l", "root"]
        words += ["-o", "BatchMode=yes", "-o", "ControlMaster=auto", "-o", "ControlPersist=60"]
        words += ["device", command]
        return subprocess.run(words, input=given, capture_output=True, check=False, timeout=600)

    def cut_power(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(60)
        self._log_out()

    def close(self) -> None:
        super().close()
        shutil.rmtree(self._near, ignore_errors=True)
        self.image.disk.unlink(missing_ok=True)

    def _start(self) -> subprocess.Popen[bytes]:
        command = [*self.board.command, "-nodefaults", "-display", "none"]
        command += ["-kernel", str(self.image.kernel), "-initrd", str(self.image.initrd)]
        command += ["-append", _KERNEL]
        command += ["-drive", f"file={self.image.disk},if=virtio,format=qcow2,cache=writeback"]
        command += ["-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self._port}-:22"]
        command += ["-device", "virtio-net-pci,netdev=net,romfile="]
        command += ["-serial", f"file:{self.console}"]
        command += ["-monitor", f"unix:{self._near / 'monitor'},server=on,wait=off"]
        command += ["-loadvm", self._state] if self._state else []
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def _reached(self) -> str:
        # Another handshake, which is safe from quantum computers, would be emulated for seconds.
        return f"HostName 127.0.0.1\n  Port {self._port}\n  KexAlgorithms curve25519-sha256"

    def _log_out(self) -> None:
        """End the connection of `run`."""
        path = self._near / "ssh"
        if path.exists():
            command = ["ssh", "-o", f"ControlPath={path}", "-O", "exit", "device"]
            subprocess.run(command, capture_output=True, check=False, timeout=60)
            path.unlink(missing_ok=True)

    def _monitor(self, command: str) -> str:
        """What QEMU answers to a command."""
        prompt = b"(qemu) "
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(_MONITOR_S)
            monitor.connect(os.fspath(self._near / "monitor"))
            said = b""
            for words in (b"", command.encode() + b"\n"):
                monitor.sendall(words)
                said = b""
                while not said.endswith(prompt):
                    more = monitor.recv(4096)
                    assert more, "QEMU has gone"
                    said += more
        # It echoes what is typed, as on a terminal.
        return said.decode(errors="replace").removesuffix("(qemu) ").rpartition("\x1b[K")[2].strip()


def image_of_today(board: Board, say: Callable[[str], None]) -> Image:
    """The image that machines of a board start from, booted; made when it is not in the cache.

    Args:
        board: which.
        say: is told how long that took.
    """
    need(board.qemu, "qemu-system-arm")
    version = subprocess.run([board.qemu, "--version"], capture_output=True, check=True).stdout
    sources = [Path(str(module.__file__)).read_bytes() for module in (image, debian)]
    recipe = b"".join([version, *sources, repr((board, _KERNEL)).encode()])
    with cache_to_oneself() as cache:
        folder = cache / f"virtual-{board.name}-{hashlib.sha256(recipe).hexdigest()[:16]}"
        if not folder.exists():
            began = time.monotonic()
            for old in cache.glob(f"virtual-{board.name}-*"):
                shutil.rmtree(old)
            part = folder.with_suffix(".part")
            part.mkdir()
            made = image.build(part, board)
            packed = time.monotonic()
            _boot_once(made, board, folder.with_suffix(".first"))
            part.rename(folder)
            seconds = packed - began, time.monotonic() - packed
            text = "virtual machine {}: {:.0f} s to make its disk, {:.0f} s to boot it"
            say(text.format(board.name, *seconds))
    return Image(folder)


def _boot_once(made: Image, board: Board, folder: Path) -> None:
    """Leave the image's disk with a state in which the machine is up and idle."""
    machine = VirtualMachine(folder, board, made)
    try:
        machine.boot()
        said = machine.ask("systemctl is-system-running --wait", check=False).strip()
        failed = machine.ask("systemctl --failed --no-legend --plain")
        assert said == "running", failed
        machine.ask("sync; echo 3 >/proc/sys/vm/drop_caches")
        machine.save(BOOTED)
        machine.cut_power()
        machine.image.disk.replace(made.disk)
    finally:
        machine.close()
        shutil.rmtree(machine.folder)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def made(folder: Path, board: Board, say: Callable[[str], None]) -> Iterator[VirtualMachine]:
    """A virtual machine, which is off; `say` is told how long it took to make."""
    machine = VirtualMachine(folder, board, image_of_today(board, say))
    try:
        yield machine
    finally:
        machine.close()
