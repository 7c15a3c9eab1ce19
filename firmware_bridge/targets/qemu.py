"""``qemu:MACHINE`` runs a model's firmware in qemu-system-arm, which counts every instruction.

Options: ``timeout=60`` (for an inference, s), ``compiler=gcc`` (``zig``), and faults of the line:
``drop=0.001``, … as in docs/targets.md.
"""

from __future__ import annotations

from firmware_bridge import qemu
from firmware_bridge.build import Firmware
from firmware_bridge.machines import Machine
from firmware_bridge.qemu import Qemu
from firmware_bridge.targets import _options
from firmware_bridge.targets._emulated import EmulatedTarget


class Target(EmulatedTarget):
    """A board in QEMU: mps2-an385, mps2-an386, mps2-an500, mps3-an547, or a board that one stands for.

    Args:
        url: ``qemu:mps2-an386``.
    """

    example = "qemu:mps2-an386"
    options = _options.names("compiler")

    def check(self) -> None:
        """Find out whether QEMU and a compiler are installed."""
        self._check_machine(self.machine)
        super().check()

    def _check_machine(self, machine: Machine) -> None:
        qemu.check(machine)

    def _start(self, firmware: Firmware) -> Qemu:
        return Qemu(firmware.elf, firmware.machine)
