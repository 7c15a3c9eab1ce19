"""What a model costs where it will run, by the code behind ``edgeml bench``: on any target.

It is measured by the process that searches, one model at a time: so all trials are measured in the same
place, whichever machine has trained them, and a board or a port has one user.
"""

from __future__ import annotations

import base64
import shlex
import subprocess
import tempfile
from pathlib import Path

import msgspec

from edge_sdk.bench import benchmark
from edge_sdk.bench.plan import Plan
from edge_sdk.errors import ConfigError, DeviceError, GateError, ModelError, one_line
from edge_sdk.registry import Url
from train_host.tuning.goals import FIGURES
from train_host.tuning.trial import CONVERTED, Result

#: What each of our targets tells, of what only a target can; of one's own it is not known before.
_TOLD = {
    "host": ("latency_us",),
    "ssh": ("latency_us",),
    "serial": ("latency_us", "instructions", "stack_bytes"),
    "virtual": ("instructions", "flash_bytes", "stack_bytes"),
    "qemu": ("instructions", "flash_bytes", "stack_bytes"),
}
#: A trial is measured so often where the target fails.
_ATTEMPTS = 3
_FLASH_S = 600.0


class Meter:
    """Measures models on a target.

    Args:
        target: its URL.
        flash: a command that puts a model onto a board, with ``{model}`` for its file; None where the target
            does that itself.
        plan: how long.

    Raises:
        ConfigError: no such target, it cannot be measured on, or `flash` is missing.
        UnknownNameError: no such target.
    """

    def __init__(self, target: str, flash: str | None = None, plan: Plan | None = None) -> None:
        self.target, self._flash, self._plan = target, flash, plan or Plan()
        self._scheme = Url.parse(target).scheme
        self._opened = benchmark.open_measurable(target)
        if flash is not None and "{model}" not in flash:
            raise ConfigError("--flash", expected="a command with {model} in it", found=repr(flash))
        if self._scheme == "serial" and flash is None:
            raise ConfigError(
                f"--target {target}",
                expected="--flash 'COMMAND {model}', which puts each model onto the board",
                found="none",
                remedy="such as --flash 'edgeml firmware flash {model} --board stm32f405', or measure on "
                "virtual:BOARD",
            )

    def check(self, names: list[str]) -> None:
        """Find out before long work whether these figures can be measured there.

        Raises:
            ConfigError: the target does not tell one of them.
            DeviceError: it cannot be reached, or lacks something.
            MissingExtraError: something is not installed here.
        """
        told = _TOLD.get(self._scheme)
        for name in names:
            if FIGURES[name].measured and told is not None and name not in told:
                raise ConfigError(
                    f"{name} on --target {self.target}",
                    expected="one of " + ", ".join(told),
                    found="no such figure there",
                )
        if self._flash is None:  # a board that has no firmware yet cannot answer
            self._opened.check()

    def complete(self, result: Result) -> Result:
        """A trial with what was measured; one that the target refuses, or gives other answers, has failed.

        Raises:
            DeviceError: the target failed again and again.
        """
        if result.failure is not None:
            return result
        with tempfile.TemporaryDirectory(prefix="edgeml-measured-") as folder:
            file = Path(folder) / CONVERTED
            file.write_bytes(base64.b64decode(result.files[CONVERTED]))
            try:
                found = self._measured(file)
            except (ModelError, GateError, ConfigError) as error:
                failure = str(error).replace(f"{folder}/", "")
                return msgspec.structs.replace(result, figures={}, failure=failure, files={})
        return msgspec.structs.replace(result, figures={**result.figures, **found})

    def _measured(self, file: Path) -> dict[str, float | int | None]:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._once(file)
            except DeviceError:
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def _once(self, file: Path) -> dict[str, float | int | None]:
        if self._flash is not None:
            _call(self._flash, file)
        found = benchmark.run(benchmark.Request(file, self.target, self._plan, None, _nobody))
        found.check()
        record = found.report.record
        known = {
            "latency_us": None if record.latency_us is None else record.latency_us["p50"],
            "instructions": record.instructions,
            "flash_bytes": record.flash_bytes,
            "stack_bytes": record.stack_bytes,
            "arena_bytes": record.arena_bytes,
        }
        return {name: value for name, value in known.items() if value is not None}


def _call(command: str, file: Path) -> None:
    words = [word.replace("{model}", str(file)) for word in shlex.split(command)]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=_FLASH_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceError(f"--flash: {words[0]} failed", found=one_line(error)) from error
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise DeviceError(f"--flash: {words[0]} ended with status {done.returncode}", found=" ".join(last))


def _nobody(step: str) -> None:
    del step
