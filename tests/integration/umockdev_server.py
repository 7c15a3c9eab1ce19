"""The side of a virtual board that owns umockdev's testbed: run by Debian's own Python, which has gi.

Reads commands, one JSON object a line, from standard input and answers each with one on standard output. It
must not import anything of this project.
"""

from __future__ import annotations

import errno
import json
import math
import struct
import sys
import threading
import time
from typing import Any

import gi

gi.require_version("UMockdev", "1.0")
from gi.repository import UMockdev  # noqa: E402

# linux/i2c-dev.h and linux/i2c.h
I2C_SLAVE, I2C_FUNCS, I2C_SMBUS = 0x0703, 0x0705, 0x0720
READ, BYTE_DATA, I2C_BLOCK = 1, 2, 8
FUNCTIONS = 0x0001 | 0x0018_0000 | 0x0C00_0000  # I2C, byte data, I2C blocks


class Mpu6050:
    """An MPU-6050 as its register map says it: asleep after power-on, scaled by its range registers.

    Its die is at 25 °C; it measures a sine of 0.5 g and 90 dps around 1 g downwards.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.nacks = 0
        self.errno = errno.EREMOTEIO
        self.present = True
        self.delay_s = 0.0
        self.frozen: bytes | None = None
        self.identity = 0x68
        self.write_protected = False
        self.reads = self.refused = 0
        self.power_on()

    def power_on(self) -> None:
        self.registers = bytearray(128)
        self.registers[0x6B] = 0x40  # asleep

    def measure(self) -> bytes:
        """The 14 bytes from 0x3B on."""
        if self.registers[0x6B] & 0x40:
            return bytes(14)
        if self.frozen is not None:
            return self.frozen
        phase = 2 * math.pi * self.reads / 40
        self.reads += 1
        per_g = 16384 >> ((self.registers[0x1C] >> 3) & 3)
        per_dps = (131.0, 65.5, 32.8, 16.4)[(self.registers[0x1B] >> 3) & 3]
        accel = (0.5 * math.sin(phase), -0.25, 1.0)
        gyro = (90 * math.sin(phase), -45.0, 200.0)
        temp = round((25.0 - 36.53) * 340)
        numbers = [*(round(a * per_g) for a in accel), temp, *(round(g * per_dps) for g in gyro)]
        return struct.pack(">7h", *(max(-32768, min(32767, n)) for n in numbers))

    def read(self, register: int, count: int) -> bytes:
        if 0x3B <= register <= 0x48:
            return self.measure()[register - 0x3B :][:count]
        memory = bytearray(self.registers)
        memory[0x75] = self.identity
        return bytes(memory[register : register + count])

    def write(self, register: int, value: int) -> None:
        if self.write_protected:
            return
        if register == 0x6B and value & 0x80:
            self.power_on()
        else:
            self.registers[register] = value


class Bus(UMockdev.IoctlBase):
    """An I2C bus with chips on it."""

    def __init__(self) -> None:
        super().__init__()
        self.chips: dict[int, Mpu6050] = {}
        self.address = 0

    def do_handle_ioctl(self, client: Any) -> bool:
        try:
            error = self.handle(client.get_request(), client.get_arg())
        except Exception as failure:  # noqa: BLE001 - C calls this: say it, and let the client fail
            print(repr(failure), file=sys.stderr)
            error = errno.EIO
        client.complete(-1 if error else 0, error)
        return True

    def handle(self, request: int, argument: Any) -> int:
        if request == I2C_FUNCS:
            argument.resolve(0, 8).update(0, struct.pack("Q", FUNCTIONS))
            return 0
        if request == I2C_SLAVE:
            self.address = struct.unpack("Q", bytes(argument.retrieve()))[0]
            return 0
        if request == I2C_SMBUS:
            return self.transfer(argument.resolve(0, 16))
        return errno.ENOTTY

    def transfer(self, transfer: Any) -> int:
        chip = self.chips.get(self.address)
        if chip is None:
            return errno.ENXIO
        if not chip.present:
            chip.refused += 1
            return errno.ENXIO
        with chip.lock:
            if chip.delay_s:
                time.sleep(chip.delay_s)
            if chip.nacks:
                chip.nacks -= 1
                return chip.errno
            direction, register, size = struct.unpack_from("=BBxxI", bytes(transfer.retrieve()))
            data = transfer.resolve(8, 34)
            if direction == READ and size == BYTE_DATA:
                data.update(0, chip.read(register, 1))
            elif direction == READ and size == I2C_BLOCK:
                count = bytes(data.retrieve())[0]
                data.update(1, chip.read(register, count))
            elif size == BYTE_DATA:
                chip.write(register, bytes(data.retrieve())[0])
            else:
                return errno.EOPNOTSUPP
            return 0


class Server:
    """What a test may ask for."""

    def __init__(self) -> None:
        self.testbed = UMockdev.Testbed.new()
        self.buses: dict[str, Bus] = {}

    def root(self) -> str:
        """The folder that stands for / in what runs under umockdev's preload."""
        return self.testbed.get_root_dir()

    def add(self, description: str) -> None:
        """A device, as ``umockdev-record`` writes one."""
        self.testbed.add_from_string(description)

    def remove(self, path: str) -> None:
        """Unplug one."""
        self.testbed.remove_device(path)

    def i2c(self, bus: str) -> None:
        """A bus such as ``i2c-1``; one that is there loses its chips."""
        if bus in self.buses:
            self.buses[bus].chips.clear()
            return
        self.testbed.add_from_string(
            f"P: /devices/{bus}\nN: {bus}\nE: DEVNAME=/dev/{bus}\nE: SUBSYSTEM=i2c-dev\n"
        )
        self.buses[bus] = Bus()
        self.testbed.attach_ioctl(f"/dev/{bus}", self.buses[bus])

    def chip(self, bus: str, address: int, **facts: Any) -> dict[str, Any]:
        """Put an MPU-6050 on a bus, or change what is true of it; returns its registers."""
        chip = self.buses[bus].chips.setdefault(address, Mpu6050())
        with chip.lock:
            if facts.pop("power_cut", False):
                chip.power_on()
            if "frozen" in facts:
                facts["frozen"] = chip.measure() if facts["frozen"] else None
            if "registers" in facts:
                facts["registers"] = bytearray(facts["registers"])
            for name, value in facts.items():
                assert hasattr(chip, name), name
                setattr(chip, name, value)
            return {"registers": list(chip.registers), "reads": chip.reads, "refused": chip.refused}


def main() -> None:
    server = Server()
    for line in sys.stdin:
        command = json.loads(line)
        answer = getattr(server, command.pop("do"))(**command)
        print(json.dumps(answer), flush=True)


main()
