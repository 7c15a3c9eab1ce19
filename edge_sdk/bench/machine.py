"""What state a machine is in: how warm, how fast, how busy, and whether it slows itself down.

Everything is read where Linux shows it, or asked of a Raspberry Pi's firmware. What a machine does not tell
is None.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

#: Bits of a Raspberry Pi's ``get_throttled``; 16 places higher: that it was so since the machine was started.
THROTTLED: Mapping[int, str] = {
    0: "under-voltage",
    1: "frequency capped",
    2: "throttled",
    3: "soft temperature limit",
}
_SINCE_BOOT = 16
#: The folder is named after the board's chip.
_FIRMWARE = "sys/devices/platform/soc*/*firmware/get_throttled"
_ROOT = Path("/")
#: The zones that are the processor's, by their type.
_PROCESSOR = re.compile(r"cpu|soc|x86_pkg|core|package", re.IGNORECASE)
_VCGENCMD_S = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """At one moment.

    Attributes:
        temperature_c: of the processor; of the warmest zone where none is named after it.
        frequencies_mhz: of each core.
        throttled: a Raspberry Pi's flags.
        throttle_events: how often a PC's cores have slowed themselves down since it was started.
        load: processes that were ready to run, over the last minute.
    """

    temperature_c: float | None = None
    frequencies_mhz: tuple[float, ...] = ()
    throttled: int | None = None
    throttle_events: int | None = None
    load: float | None = None

    @property
    def now(self) -> list[str]:
        """What slows the machine down at this moment, in words."""
        return [] if self.throttled is None else _words(self.throttled)

    @property
    def since_boot(self) -> list[str]:
        """What has slowed it down since it was started."""
        return [] if self.throttled is None else _words(self.throttled >> _SINCE_BOOT)

    def as_dict(self) -> dict[str, Any]:
        """Plain Python values for JSON: the arguments of `Conditions`."""
        return asdict(self)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """From `as_dict`."""
        return cls(**{**facts, "frequencies_mhz": tuple(facts["frequencies_mhz"])})


def conditions(root: Path = _ROOT) -> Conditions:
    """Of this machine, now.

    Args:
        root: where /sys and /proc are found.
    """
    load = _text(root / "proc/loadavg").split()
    return Conditions(
        temperature_c=_temperature(root),
        frequencies_mhz=tuple(_frequencies(root)),
        throttled=_throttled(root),
        throttle_events=_events(root),
        load=float(load[0]) if load else None,
    )


def facts(root: Path = _ROOT) -> dict[str, Any]:
    """What this machine is.

    Returns:
        ``model``, ``machine``, ``cores``, ``governor`` (of the first core's clock), ``kernel``, ``python``.
    """
    board = _text(root / "proc/device-tree/model").rstrip("\0\n")
    named = re.search(r"^model name\s*:\s*(.+)$", _text(root / "proc/cpuinfo"), re.MULTILINE)
    governor = _text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip()
    return {
        "model": board or (named[1].strip() if named else None),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "governor": governor or None,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def _words(flags: int) -> list[str]:
    return [text for bit, text in THROTTLED.items() if flags >> bit & 1]


def _temperature(root: Path) -> float | None:
    zones = []
    for zone in sorted(root.glob("sys/class/thermal/thermal_zone*")):
        value = _number(zone / "temp")
        if value is not None:
            zones.append((bool(_PROCESSOR.search(_text(zone / "type"))), value / 1000))
    if not zones:
        said = re.search(r"temp=([\d.]+)", _asked("measure_temp"))
        return float(said[1]) if said else None
    return max(zones)[1]


def _frequencies(root: Path) -> Iterator[float]:
    folders = sorted(root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq"))
    values = [_number(folder / "scaling_cur_freq") for folder in folders]
    if any(value is not None for value in values):
        yield from (value / 1000 for value in values if value is not None)
        return
    for said in re.findall(r"^cpu MHz\s*:\s*([\d.]+)$", _text(root / "proc/cpuinfo"), re.MULTILINE):
        yield float(said)


def _throttled(root: Path) -> int | None:
    told = "".join(_text(file).strip() for file in sorted(root.glob(_FIRMWARE))[:1])
    said = told or _asked("get_throttled").strip().removeprefix("throttled=")
    try:
        return int(said, 16)
    except ValueError:
        return None


def _events(root: Path) -> int | None:
    files = root.glob("sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count")
    counts = [count for count in map(_number, files) if count is not None]
    return int(sum(counts)) if counts else None


def _asked(question: str) -> str:
    """What a Raspberry Pi's firmware answers; nothing on another machine."""
    program = shutil.which("vcgencmd")
    if program is None:
        return ""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            [program, question],
            capture_output=True,
            text=True,
            timeout=_VCGENCMD_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return done.stdout if done.returncode == 0 else ""
    return ""


def _number(file: Path) -> float | None:
    try:
        return float(_text(file))
    except ValueError:
        return None


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
