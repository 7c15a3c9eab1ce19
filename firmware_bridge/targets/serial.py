"""``serial:PORT`` runs a model on a board that has it in its firmware already.

PORT is whatever pyserial opens: ``serial:///dev/ttyACM0``, ``serial:socket://127.0.0.1:7000``. Options:
``baud=115200``, ``timeout=60`` (for an inference, s), and faults of the line: ``drop=0.001``, … as in
docs/targets.md.
"""

from __future__ import annotations

import statistics
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
from firmware_bridge import measurement
from firmware_bridge.board_runtime import BoardRuntime
from firmware_bridge.link import Link
from firmware_bridge.ports import open_serial
from firmware_bridge.targets import _options
from firmware_bridge.targets._subject import Subject

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EXAMPLE = "serial:///dev/ttyACM0?baud=115200"
_MOST_BAUD = 100_000_000
#: A board's time is its own and hardly varies.
_RUNS = 15


class Target:
    """A board at a serial port.

    Args:
        url: ``serial:PORT?baud=N&timeout=S``.

    Raises:
        ConfigError: no port, or an unknown or wrong option.
    """

    options = _options.names("baud", resets=False)

    def __init__(self, url: Url) -> None:
        self.line = _options.take(url, self.options, _EXAMPLE)
        if not url.location:
            raise ConfigError(f"target {url}: no port", expected=_EXAMPLE)
        self._url, self._location = str(url), url.location
        self._baud = int(_options.number(url, "baud", 1, _MOST_BAUD, 115200))

    def check(self) -> None:
        """Find out whether a board with the bridge in it answers there.

        Raises:
            DeviceError: the port cannot be opened, or nothing answers.
        """
        with self._open() as link:
            link.hello()

    def load(self, file: str | PathLike[str], contract: Contract | None = None) -> Model:
        """Find a model on the board.

        Args:
            file: the .tflite that its firmware was built from.
            contract: used instead of the one in the file.

        Raises:
            ModelError: the file cannot be used, or another model is on the board.
            DeviceError: the port cannot be opened, or nothing answers.
        """
        subject = Subject.read(file, contract)
        return subject.model(self._find(subject))

    def latency(
        self, files: Mapping[Key, str | PathLike[str]], inputs: Sequence[NDArray[Any]]
    ) -> dict[Key, float | ModelError]:
        """The board's own time for one inference, of the one model that it has; the others are refused.

        Raises:
            ConfigError: the board is an emulated one, and counts instructions instead.
        """
        found: dict[Key, float | ModelError] = {}
        for key, file in files.items():
            try:
                runtime = self._find(Subject.read(file, None))
            except ModelError as error:
                found[key] = error
                continue
            try:
                found[key] = self._time(runtime, inputs)
            finally:
                runtime.close()
        return found

    def bench(
        self, subjects: Mapping[Key, bench.Subject], plan: Plan, tell: Tell
    ) -> dict[Key, Record | ModelError]:
        """Measure the one model that the board has, by its own count; the others are refused."""
        return measurement.on_boards(self.load, subjects, plan, tell)

    def _time(self, runtime: BoardRuntime, inputs: Sequence[NDArray[Any]]) -> float:
        if runtime.hello.tick_unit != "ns":
            raise ConfigError(
                f"target {self._url}: the board has no clock",
                expected="a board that measures time",
                found=f"one that counts {runtime.hello.tick_unit}",
                remedy=f"see them with: edgeml bench MODEL --target {self._url}",
            )
        fed = [port.quantize(array) for port, array in zip(runtime.inputs, inputs, strict=True)]
        times_ns = []
        for _ in range(_RUNS):
            runtime.invoke(fed)
            assert runtime.last_cost is not None
            times_ns.append(runtime.last_cost.value)
        return statistics.median(times_ns) / 1000

    def _find(self, subject: Subject) -> BoardRuntime:
        link = self._open()
        try:
            return BoardRuntime(link, subject.flatbuffer, self._url)
        except BaseException:
            link.close()
            raise

    def _open(self) -> Link:
        return self.line.open(open_serial(self._location, self._baud))
