"""``virtual:BOARD`` runs a model's firmware on a Cortex-M board that is emulated in this process.

Options: ``count=first`` (``all``, ``none``): of which inferences instructions are counted; ``timeout=60``
(for an inference, s), ``compiler=gcc`` (``zig``), and faults of the line: ``drop=0.001``, … as in
docs/targets.md.
"""

from __future__ import annotations

from typing import cast

from edge_sdk.registry import Url
from firmware_bridge import emulator
from firmware_bridge.board_runtime import Count
from firmware_bridge.build import Firmware
from firmware_bridge.emulator import Emulator
from firmware_bridge.machines import Machine
from firmware_bridge.targets import _options
from firmware_bridge.targets._emulated import EmulatedTarget


class Target(EmulatedTarget):
    """A board in unicorn: cortex-m3, -m4, -m7 or -m33.

    Args:
        url: ``virtual:cortex-m4?count=first``.
    """

    example = "virtual:cortex-m4?count=first"
    options = _options.names("count", "compiler")

    def __init__(self, url: Url) -> None:
        super().__init__(url)
        self._count = cast("Count", _options.choice(url, "count", ("first", "all", "none")) or "first")

    def check(self) -> None:
        """Find out whether unicorn and a compiler are installed."""
        self._check_machine(self.machine)
        super().check()

    def _check_machine(self, machine: Machine) -> None:
        emulator.check(machine)

    def _start(self, firmware: Firmware) -> Emulator:
        return Emulator(firmware.elf, firmware.machine, limit_s=self.line.timeout_s)
