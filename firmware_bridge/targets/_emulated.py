"""What the targets that emulate a board share: the firmware is built, and there is no time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from edge_sdk.bench import subject as bench
from edge_sdk.bench.plan import Plan
from edge_sdk.bench.record import Record
from edge_sdk.bench.session import Tell
from edge_sdk.contract import Contract
from edge_sdk.errors import ConfigError, ModelError
from edge_sdk.model import Model
from edge_sdk.registry import Url
from edge_sdk.targets import Key
from firmware_bridge import build, compilers, machines, measurement
from firmware_bridge.board_runtime import BoardRuntime, Count
from firmware_bridge.build import Firmware
from firmware_bridge.emulator import Emulator
from firmware_bridge.machines import Machine
from firmware_bridge.qemu import Qemu
from firmware_bridge.targets import _options
from firmware_bridge.targets._subject import Subject

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COMPILERS = ("gcc", "zig")


class EmulatedTarget(ABC):
    """A board that is emulated.

    Args:
        url: ``SCHEME:BOARD?timeout=S&compiler=NAME`` and what the target's own options and faults are.

    Attributes:
        machine: that is emulated.

    Raises:
        ConfigError: an unknown or wrong option, or nothing emulates the board.
        UnknownNameError: there is no such board.
    """

    example = ""
    options: tuple[str, ...] = ()
    _count: Count = "first"

    def __init__(self, url: Url) -> None:
        self.line = _options.take(url, self.options, self.example)
        if not url.location:
            raise ConfigError(f"target {url}: no board", expected=self.example)
        self._url, self._board = str(url), url.location.removesuffix("/")
        self._compiler = _options.choice(url, "compiler", _COMPILERS)
        self.machine = machines.find(self._board)

    @abstractmethod
    def check(self) -> None:
        """Find out whether the emulator, and a compiler for firmware, are installed.

        Raises:
            ConfigError: the emulator has no such machine.
            MissingExtraError: one of them is not installed.
        """
        compilers.find(self._compiler)

    def load(self, file: str | PathLike[str], contract: Contract | None = None) -> Model:
        """Build a model's firmware, or find it, start a board with it, and load the model there.

        Args:
            file: the .tflite.
            contract: used instead of the one in the file.

        Raises:
            ModelError: the file cannot be used, or something in the model has no kernel in C.
            ConfigError: it does not fit the board.
            MissingExtraError: the emulator or a compiler is not installed.
            DeviceError: the compiler or the emulator fails.
        """
        self._check_machine(self.machine)
        subject = Subject.read(file, contract)
        firmware = build.build(subject.file, self._board, compiler=self._compiler)
        port = self._start(firmware)
        link = self.line.open(port, port.reset)
        try:
            runtime = BoardRuntime(
                link,
                subject.flatbuffer,
                self._url,
                flash_bytes=firmware.sizes.flash_bytes,
                meter=port if isinstance(port, Emulator) else None,
                count=self._count,
            )
        except BaseException:
            link.close()
            raise
        return subject.model(runtime)

    def latency(
        self, files: Mapping[Key, str | PathLike[str]], inputs: Sequence[NDArray[Any]]
    ) -> dict[Key, float | ModelError]:
        """Refuse: what time an emulator takes says nothing about any board.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"target {self._url}: an emulator has no time of its own",
            expected="a target with a clock: host:, ssh://…, serial:…",
            remedy=f"it counts instructions: edgeml bench MODEL --target {self._url}",
        )

    def bench(
        self, subjects: Mapping[Key, bench.Subject], plan: Plan, tell: Tell
    ) -> dict[Key, Record | ModelError]:
        """Count instructions and memory of models, one after the other."""
        return measurement.on_boards(self.load, subjects, plan, tell)

    @abstractmethod
    def _check_machine(self, machine: Machine) -> None: ...

    @abstractmethod
    def _start(self, firmware: Firmware) -> Emulator | Qemu: ...
