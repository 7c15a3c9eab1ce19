"""A board in qemu-system-arm: the real firmware on a core that QEMU emulates, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO, Any

from edge_sdk.child import cause
from edge_sdk.closing import Closing
from edge_sdk.errors import ConfigError, DeviceError, MissingExtraError
from firmware_bridge.machines import Machine

PROGRAM = "qemu-system-arm"
#: For QEMU to start, and to answer its monitor, s: a busy machine may take long.
_START_S = 30.0
_CHUNK_BYTES = 65_536
#: Runs QEMU and kills it when standard input ends, as it does when this process ends, in whatever way.
#: PR_SET_PDEATHSIG would kill it when the thread ends that started it, which is too early.
_KEEPER = """
exec 3<&0
"$@" </dev/null 3<&- &
qemu=$!
{ read -r _ <&3; kill -9 $qemu; } 2>/dev/null &
keeper=$!
wait $qemu
status=$?
kill -9 $keeper 2>/dev/null
exit $status
"""


class Qemu(Closing):
    """A board, as a port: a process that ends when this is closed, or this process ends.

    Args:
        elf: the firmware.
        machine: that it was built for.

    Raises:
        ConfigError: QEMU has no such machine.
        DeviceError: it does not start.
        MissingExtraError: it is not installed.
    """

    def __init__(self, elf: Path, machine: Machine) -> None:
        program = check(machine)
        self.name = machine.board or machine.name
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process: subprocess.Popen[bytes] | None = None
        self._uart: socket.socket | None = None
        self._monitor: socket.socket | None = None
        self._told = b""
        try:
            with tempfile.TemporaryDirectory(prefix="edgeml-qemu-") as folder:
                self._start([program, *machine.qemu, "-kernel", str(elf)], Path(folder))
            self._ask("qmp_capabilities")
        except BaseException:
            self.close()
            raise

    def read(self, timeout_s: float) -> bytes:
        """What the board sent; nothing where nothing comes in that time.

        Raises:
            DeviceError: QEMU ended.
        """
        uart = self._open()
        if not select.select([uart], [], [], max(timeout_s, 0))[0]:
            return b""
        with contextlib.suppress(ConnectionResetError):
            data = uart.recv(_CHUNK_BYTES)
            if data:
                return data
        raise self._death()

    def write(self, data: bytes) -> None:
        """Bytes for the board.

        Raises:
            DeviceError: QEMU ended, or does not take them.
        """
        uart = self._open()
        try:
            uart.sendall(data)
        except TimeoutError as error:
            raise DeviceError(
                f"qemu {self.name}: the board does not take what it is sent",
                expected=f"within {_START_S:g} s",
                remedy="does its firmware read the UART?",
            ) from error
        except OSError as error:
            raise self._death() from error

    def reset(self) -> None:
        """Press the button: the board begins anew; raises as `write`."""
        self._ask("system_reset", "RESET")

    def close(self) -> None:
        """End the process; may be called twice."""
        for connection in (self._uart, self._monitor):
            if connection is not None:
                connection.close()
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
        self._log.close()

    def _start(self, command: list[str], folder: Path) -> None:
        """Start QEMU and wait until it has connected its UART and its monitor to two sockets of ours."""
        ends = {name: _listen(folder / name) for name in ("uart", "monitor")}
        try:
            for name in ends:
                command += ["-chardev", f"socket,id={name},path={folder / name}"]
            command += ["-serial", "chardev:uart", "-mon", "chardev=monitor,mode=control"]
            command += ["-display", "none", "-nic", "none"]
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _KEEPER, "keeper", *command],
                stdin=subprocess.PIPE,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._uart, self._monitor = (self._accept(end) for end in ends.values())
        finally:
            for end in ends.values():
                end.close()

    def _accept(self, end: socket.socket) -> socket.socket:
        until_s = time.monotonic() + _START_S
        while time.monotonic() < until_s:
            if select.select([end], [], [], 0.05)[0]:
                connection, _ = end.accept()
                connection.settimeout(_START_S)
                return connection
            if self._process is not None and self._process.poll() is not None:
                raise self._death()
        raise DeviceError(f"qemu {self.name}: it does not start", expected=f"within {_START_S:g} s")

    def _ask(self, command: str, *expected: str) -> None:
        """Have the monitor do something, until it has answered and told of the events, in whatever order."""
        self._open()
        assert self._monitor is not None
        try:
            self._monitor.sendall(json.dumps({"execute": command}).encode() + b"\n")
        except OSError as error:
            raise self._death() from error
        waiting = {"return", *expected}
        while waiting:
            message = self._hear()
            waiting -= {*message, message.get("event")}

    def _hear(self) -> dict[str, Any]:
        assert self._monitor is not None
        while b"\n" not in self._told:
            try:
                data = self._monitor.recv(_CHUNK_BYTES)
            except TimeoutError as error:
                raise DeviceError(f"qemu {self.name}: its monitor does not answer") from error
            except OSError as error:
                raise self._death() from error
            if not data:
                raise self._death()
            self._told += data
        line, _, self._told = self._told.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def _open(self) -> socket.socket:
        if self._process is None or self._uart is None:
            raise DeviceError(f"qemu {self.name}: closed")
        return self._uart

    def _death(self) -> DeviceError:
        """Why QEMU ended."""
        assert self._process is not None
        try:
            status = self._process.wait(_START_S)
        except subprocess.TimeoutExpired:
            return DeviceError(f"qemu {self.name}: QEMU hung up", remedy="load the model again")
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        locked = [line for line in lines if "Lockup" in line]
        said = (locked or lines or [""])[-1].strip()
        end = cause(128 - status if status > 128 else status)
        return DeviceError(
            f"qemu {self.name}: QEMU ended",
            found=f"{end}, {said}" if said else end,
            remedy="a fault without a handler: is it firmware for this board?" if locked else None,
        )


def check(machine: Machine) -> str:
    """Path of the program.

    Raises:
        ConfigError: QEMU has no such machine.
        MissingExtraError: QEMU is not installed.
    """
    if not machine.qemu:
        name = machine.board or machine.name
        has_it = f"unicorn has it: virtual:{name}"
        raise ConfigError(
            f"QEMU has no machine for {name}",
            found=machine.title,
            remedy=has_it if machine.virtual else f"its core is there: qemu:{machine.core}",
        )
    program = shutil.which(PROGRAM)
    if program is None:
        remedy = "install it with: apt install qemu-system-arm"
        if machine.virtual:
            remedy += f", or use virtual:{machine.board or machine.name}, which needs none"
        raise MissingExtraError("QEMU", "firmware", PROGRAM, remedy=remedy)
    return program


def _listen(path: Path) -> socket.socket:
    end = socket.socket(socket.AF_UNIX)
    try:
        end.bind(os.fspath(path))
        end.listen(1)
    except BaseException:
        end.close()
        raise
    return end
