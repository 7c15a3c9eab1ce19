"""A Cortex-M board in this process: the real firmware on the core that unicorn emulates."""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from typing import Any

from edge_sdk.closing import Closing
from edge_sdk.errors import ConfigError, DeviceError, MissingExtraError, one_line
from firmware_bridge import image
from firmware_bridge.instructions import InstructionCounter
from firmware_bridge.machines import Machine
from firmware_bridge.peripherals import Timer, Uart
from firmware_bridge.watch import Watch

#: For which unicorn has a model.
_CORES = ("cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")
_TIMER, _SYSTEM = 0x40000000, 0xE000E000
_PAGE = 0x1000
#: While nothing is counted, an instruction is taken to last so long: as in QEMU with ``-icount shift=6``.
_INSTRUCTION_NS = 64
#: While firmware waits for its timer, it is asked this often, s.
_NAP_S = 0.001


class Emulator(Closing):
    """A board, as a port: what is written goes to its UART, and what it sends is read.

    The core runs while `read` waits, and only then, so nothing happens at the same time as anything else.
    It is for one thread.

    Args:
        elf: the firmware.
        machine: that it was built for.
        limit_s: until a core that neither sends nor waits for anything is taken to have lost its way, s.

    Raises:
        ConfigError: unicorn does not have the core.
        ModelError: not an ELF file, or damaged.
        DeviceError: the firmware cannot be read, or does not fit the machine.
        MissingExtraError: unicorn is not installed.
    """

    def __init__(self, elf: Path, machine: Machine, *, limit_s: float = 60.0) -> None:
        check(machine)
        self.name = machine.board or machine.name
        self._elf, self._limit_s = elf, limit_s
        self._image = image.read(elf)
        self._machine, self._core = machine, _core(machine)
        self._uart, self._timer = Uart(self._core.emu_stop), Timer(self._ticks)
        self._counter = InstructionCounter(self._core)
        self._map()
        self._at_reset = self._core.context_save()
        self._watch = Watch(self._core, self._uart)
        self._failure: DeviceError | None = None
        self._passed_ns, self._resumed_ns = 0, time.monotonic_ns()
        self._ticked = self._ticked_at = 0
        self.reset()

    @property
    def counting(self) -> bool:
        """Whether instructions are counted, which makes the core some fifty times slower.

        Without, the timer follows this machine's clock: firmware that waits for it waits as long as on a
        board, and what it measures means nothing.
        """
        return self._counter.enabled

    @counting.setter
    def counting(self, wanted: bool) -> None:
        if wanted != self._counter.enabled:
            now_ns = time.monotonic_ns()
            if wanted:
                self._passed_ns += now_ns - self._resumed_ns
            self._resumed_ns = now_ns
            self._counter.enabled = wanted

    @property
    def instructions(self) -> int:
        """Executed so far while they were counted."""
        return self._counter.total

    @property
    def where(self) -> str:
        """Where the core stands: ``0x000001a4 in edgeml_conv_2d``."""
        function = self._image.function_at(self._counter_at)
        return f"{self._counter_at:#010x}" + (f" in {function}" if function else "")

    def reset(self) -> None:
        """Press the button: the core begins anew, its RAM stays as it is."""
        self._core.context_restore(self._at_reset)
        stack, start = (
            int.from_bytes(self._core.mem_read(self._machine.flash.origin + at, 4), "little") for at in (0, 4)
        )
        self._core.reg_write(self._registers.UC_ARM_REG_SP, stack)
        self._counter_at = start & ~1
        self._uart.reset()
        self._timer.reset()
        self._failure = None
        self._since_s: float | None = None
        self._looked = self._timer.looks

    def write(self, data: bytes) -> None:
        """Bytes for the board; it takes them when it runs.

        Raises:
            DeviceError: the core met a fault and was not reset, or the emulator was closed.
        """
        self._check_alive()
        self._uart.feed(data)

    def read(self, timeout_s: float) -> bytes:
        """Run the core until it has said what it has to say and waits; nothing where it says nothing.

        A core that computes is not interrupted: it may take longer than the time that is given. What was said
        before a fault is read before the fault.

        Raises:
            DeviceError: the core met a fault, or lost its way.
        """
        until_s = time.monotonic() + timeout_s
        while True:
            sleeps = self._run(until_s)
            if self._uart.sent:
                break
            self._check_alive()
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                break
            self._rest(left_s, sleeps)
        data = bytes(self._uart.sent)
        self._uart.sent.clear()
        return data

    def close(self) -> None:
        """End the emulation; may be called twice."""
        self._watch.close()

    def _run(self, until_s: float) -> bool:
        """Run the core until it waits, or looks at its UART after that time; whether it sleeps."""
        self._check_alive()
        from unicorn import UcError

        now_s = time.monotonic()
        uart, since_s = self._uart, self._since_s if self._since_s is not None else now_s
        uart.polled = False
        self._watch.arm(until_s, since_s + self._limit_s)
        reason = None
        try:
            self._core.emu_start(self._counter_at | 1, _NOWHERE)
        except UcError as error:
            reason = one_line(error)
        finally:
            self._watch.disarm()
            self._counter_at = self._core.reg_read(self._registers.UC_ARM_REG_PC)
        if reason is not None:
            self._failure = self._fault(reason)
        if self._watch.gave_up:
            self._failure = self._lost()
        self._since_s = since_s if uart.hurry and not uart.sent else None
        return not uart.hurry and not uart.polled

    def _rest(self, left_s: float, sleeps: bool) -> None:
        """While the core waits: for a byte, or for its timer if it looked at that since it last waited."""
        looked, self._looked = self._timer.looks != self._looked, self._timer.looks
        if sleeps and not looked:
            time.sleep(left_s)  # nothing but a byte can wake it
        elif not self.counting:
            time.sleep(min(left_s, _NAP_S))

    def _check_alive(self) -> None:
        if self._watch.ended:
            raise DeviceError(f"virtual board {self.name}: closed")
        if self._failure is not None:
            raise self._failure

    def _fault(self, reason: str) -> DeviceError:
        return DeviceError(
            f"virtual board {self.name}: the core met a fault and stopped",
            found=f"{reason}, at {self.where}",
            remedy=f"find the line with: arm-none-eabi-addr2line -e {self._elf} {self._counter_at:#x}",
        )

    def _lost(self) -> DeviceError:
        return DeviceError(
            f"virtual board {self.name}: the core does not come back",
            expected=f"an answer within {self._limit_s:g} s",
            found=f"busy at {self.where}",
            remedy="where it only counts long: ?count=none, or ?timeout=SECONDS",
        )

    def _ticks(self) -> int:
        """Of the timer: counted instructions, and between them the time of this machine.

        Rounded from one look to the next, so that the same code takes the same ticks whenever it is run.
        """
        passed_ns = self._passed_ns
        if not self.counting:
            passed_ns += time.monotonic_ns() - self._resumed_ns
        instructions = self._counter.total + passed_ns // _INSTRUCTION_NS
        more, self._ticked_at = instructions - self._ticked_at, instructions
        numerator, denominator = self._machine.tick_numerator, self._machine.tick_denominator
        self._ticked += (2 * more * denominator + numerator) // (2 * numerator)
        return self._ticked

    def _map(self) -> None:
        """Memory with the firmware in it, and what else the core sees."""
        from unicorn import UC_PROT_EXEC, UC_PROT_READ, UcError

        machine, core = self._machine, self._core
        for region in (machine.flash, machine.ram, machine.tables):
            if region is not None:
                core.mem_map(region.origin, -(-region.bytes // _PAGE) * _PAGE)
        core.mem_map(_SYSTEM, _PAGE)
        for base, device in ((machine.defines["EDGEML_UART"], self._uart), (_TIMER, self._timer)):
            core.mmio_map(
                base & -_PAGE,
                _PAGE,
                lambda _core, offset, _size, device: device.read(offset),
                device,
                lambda _core, offset, _size, value, device: device.write(offset, value),
                device,
            )
        for address, data in self._image.segments:
            try:
                core.mem_write(address, data)
            except UcError as error:
                raise DeviceError(
                    f"{self._elf} is not for {machine.title}",
                    expected=f"{machine.flash.bytes} bytes from {machine.flash.origin:#x}",
                    found=f"{len(data)} bytes at {address:#x}",
                    remedy=f"build it with: edgeml firmware build MODEL --board {self.name}",
                ) from error
        core.mem_protect(machine.flash.origin, machine.flash.bytes, UC_PROT_READ | UC_PROT_EXEC)

    @property
    def _registers(self) -> Any:
        from unicorn import arm_const

        return arm_const


def check(machine: Machine) -> None:
    """Find out whether a machine can be emulated here.

    Raises:
        ConfigError: unicorn does not have its core.
        MissingExtraError: unicorn is not installed.
    """
    if machine.core not in _CORES:
        raise ConfigError(
            f"no virtual board has a {machine.core}",
            expected=", ".join(_CORES),
            found=machine.name,
            remedy=f"QEMU has it: qemu:{machine.name}" if machine.qemu else None,
        )
    if not machine.virtual:
        raise ConfigError(
            f"there is no virtual {machine.board or machine.name}",
            expected=", ".join(_CORES),
            found=machine.title,
            remedy=f"its core is there: virtual:{machine.core}",
        )
    for package in ("unicorn", "elftools"):
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise MissingExtraError("virtual boards", "firmware", package) from error


#: An address that no program comes to.
_NOWHERE = 0xFFFFFFFE


def _core(machine: Machine) -> Any:
    import unicorn
    from unicorn import arm_const

    core = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    core.ctl_set_cpu_model(getattr(arm_const, f"UC_CPU_ARM_{machine.core.upper().replace('-', '_')}"))
    return core
