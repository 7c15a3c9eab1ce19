"""Linux Industrial I/O as its files say it: devices, channels, and how a scan lies in memory.

Source: Documentation/ABI/testing/sysfs-bus-iio and Documentation/iio/iio_devbuf.rst of the Linux kernel.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import ConfigError, Retry

DEVICES = Path("/sys/bus/iio/devices")
#: The units of the kernel's ABI, after scale and offset.
_UNITS = {
    "accel": "m/s²",
    "gravity": "m/s²",
    "anglvel": "rad/s",
    "angl": "rad",
    "incli": "deg",
    "magn": "G",
    "temp": "m°C",
    "pressure": "kPa",
    "humidityrelative": "m%",
    "voltage": "mV",
    "altvoltage": "mV",
    "current": "mA",
    "power": "mW",
    "illuminance": "lx",
    "distance": "m",
    "resistance": "Ω",
}
_READING = re.compile(r"in_(?P<name>.+)_(?:raw|input)")
_NOT_A_SIGNAL = re.compile(r".*_(peak|trough|mean)|timestamp")
_TYPE = re.compile(
    r"(?P<endian>[bl])e:(?P<sign>[su])(?P<bits>\d+)/(?P<storage>\d+)(?:X(?P<repeat>\d+))?(?:>>(?P<shift>\d+))?"
)


@dataclass(frozen=True)
class SampleType:
    """How one channel's value lies in a scan, such as ``le:s12/16>>4``.

    >>> SampleType.parse("be:u12/16X2>>4")
    SampleType(big_endian=True, signed=False, bits=12, storage_bits=16, repeat=2, shift=4)
    """

    big_endian: bool
    signed: bool
    bits: int
    storage_bits: int
    repeat: int = 1
    shift: int = 0

    @classmethod
    def parse(cls, text: str) -> SampleType:
        """Read what the kernel says in ``scan_elements/in_…_type``.

        Raises:
            ConfigError: it says something else.
        """
        match = _TYPE.fullmatch(text.strip())
        if match:
            kind = cls(
                match["endian"] == "b",
                match["sign"] == "s",
                int(match["bits"]),
                int(match["storage"]),
                int(match["repeat"] or 1),
                int(match["shift"] or 0),
            )
            if kind._readable:
                return kind
        raise ConfigError(
            "iio: type of a channel",
            expected="[be|le]:[s|u]BITS/STORAGE[X repeat][>>shift] in 8, 16, 32 or 64 bits",
            found=text,
        )

    @property
    def _readable(self) -> bool:
        return (
            self.storage_bits in (8, 16, 32, 64)
            and 0 < self.bits <= self.storage_bits - self.shift
            and self.repeat in (1, 2, 4, 8, 16)  # the kernel aligns an element to its own length
        )

    @property
    def length(self) -> int:
        """Bytes in a scan."""
        return self.storage_bits // 8 * self.repeat

    def values(self, raw: NDArray[np.uint8]) -> NDArray[np.int64] | NDArray[np.uint64]:
        """The numbers in bytes; whatever stands in the bits around them is left out.

        Args:
            raw: uint8 [n, length].

        Returns:
            int64 or uint64 [n, repeat].
        """
        stored = f"{'>' if self.big_endian else '<'}u{self.storage_bits // 8}"
        words = np.ascontiguousarray(raw).view(stored).astype(np.uint64)
        spare = np.uint64(64 - self.bits)
        top = words << (spare - np.uint64(self.shift))  # the sign bit is the topmost now, garbage is gone
        if self.signed:
            return top.view(np.int64) >> np.int64(64 - self.bits)
        return top >> spare


@dataclass(frozen=True)
class Scan:
    """Where each element lies in what ``/dev/iio:deviceN`` gives.

    An element begins at a multiple of its own length, and a scan ends at a multiple of the longest.
    """

    types: tuple[SampleType, ...]
    offsets: tuple[int, ...]
    length: int

    @classmethod
    def of(cls, types: Sequence[SampleType]) -> Scan:
        """The scan of elements in the order of their index."""
        at, offsets = 0, []
        for kind in types:
            at = _aligned(at, kind.length)
            offsets.append(at)
            at += kind.length
        return cls(tuple(types), tuple(offsets), _aligned(at, max(kind.length for kind in types)))

    def element(self, scans: NDArray[np.uint8], number: int) -> NDArray[np.int64] | NDArray[np.uint64]:
        """One element of uint8 [n, length]: int64 or uint64 [n, repeat]."""
        at, kind = self.offsets[number], self.types[number]
        return kind.values(scans[:, at : at + kind.length])


@dataclass(frozen=True)
class Channel:
    """One number of a device.

    Attributes:
        name: ``accel_x``; of an element with several numbers also which, ``rot_quaternion.0``.
        element: what `name` begins with, as in its files.
        part: which of the element's numbers.
        reading: the file with its current value; None where there is none.
        scale: what the raw number, with `offset` added, is multiplied with.
        offset: in raw numbers.
        unit: after that; empty where the kernel does not say.
    """

    name: str
    element: str
    part: int
    reading: Path | None
    scale: float
    offset: float
    unit: str


def find(location: str) -> Path:
    """A device's folder by number, ``device0``, or by name, ``mpu6050``.

    Raises:
        ConfigError: two devices have that name.
        Retry: there is none now.
    """
    number = location.removeprefix("iio:")
    if re.fullmatch(r"device\d+", number) and (DEVICES / f"iio:{number}").exists():
        return DEVICES / f"iio:{number}"
    folders = sorted(DEVICES.glob("iio:device*")) if DEVICES.is_dir() else []
    names = {folder: {text(folder / "name"), text(folder / "label")} - {""} for folder in folders}
    found = [folder for folder, called in names.items() if location in called]
    if len(found) > 1:
        raise ConfigError(
            f"iio:{location}: several devices are called so",
            expected="one of " + ", ".join(folder.name for folder in found),
        )
    if not found:
        there = ", ".join(f"{folder.name} ({', '.join(sorted(names[folder]))})" for folder in folders)
        raise Retry(
            f"iio:{location}: no such device",
            found=there or "no IIO device at all",
            remedy="see that its driver is loaded: ls /sys/bus/iio/devices",
        )
    return found[0]


def channels(folder: Path) -> list[Channel]:
    """Every channel of a device, those of a scan in its order."""
    readings = {}
    for path in sorted(folder.glob("in_*")):
        match = _READING.fullmatch(path.name)
        if not match or _NOT_A_SIGNAL.fullmatch(match["name"]):
            continue
        if path.name.endswith("_raw") or match["name"] not in readings:
            readings[match["name"]] = path
    elements = {name: index for index, name in enumerate(scan_order(folder))}
    found = []
    for name in sorted({*readings, *elements}, key=lambda n: (elements.get(n, math.inf), n)):
        reading = readings.get(name)
        processed = reading is not None and reading.name.endswith("_input")
        scale = 1.0 if processed else _number(folder, name, "scale")
        offset = 0.0 if processed else _number(folder, name, "offset") or 0.0
        unit = _UNITS.get(_kind(name), "") if scale is not None else ""
        count = _count(folder, name, reading)
        for part in range(count):
            label = name if count == 1 else f"{name}.{part}"
            found.append(Channel(label, name, part, reading, 1.0 if scale is None else scale, offset, unit))
    return found


def scan_order(folder: Path) -> list[str]:
    """Names of the elements that a scan may have, without the timestamp."""
    scan = folder / "scan_elements"
    names = [path.name[3:-3] for path in scan.glob("in_*_en")] if scan.is_dir() else []
    indices = {name: text(scan / f"in_{name}_index") for name in names if name != "timestamp"}
    return sorted(
        (name for name, index in indices.items() if index.isdecimal()), key=lambda n: int(indices[n])
    )


def sample_type(folder: Path, name: str) -> SampleType:
    """How an element lies in a scan."""
    scan = folder / "scan_elements"
    own = text(scan / f"in_{name}_type")
    return SampleType.parse(own or text(scan / f"in_{_kind(name)}_type"))


@contextlib.contextmanager
def while_there(url: str, folder: Path) -> Iterator[None]:
    """What goes wrong because a device is unplugged meanwhile is no mistake of anybody's.

    Raises:
        Retry: it is gone.
    """
    try:
        yield
    except Retry:
        raise
    except (OSError, ValueError) as error:
        if (folder / "name").exists():
            raise
        raise Retry(f"{url}: the device is gone", found=f"no {folder}") from error


def text(path: Path) -> str:
    """What a file of sysfs says; empty where there is no such file, or it cannot be read now."""
    with contextlib.suppress(OSError):
        # Linux 6.1 puts a NUL behind the name of a timestamp's clock.
        return path.read_text(encoding="utf-8", errors="replace").replace("\0", "").strip()
    return ""


def _kind(name: str) -> str:
    """What is measured: ``accel`` of ``accel_x``, ``voltage`` of ``voltage0``."""
    match = re.match(r"[a-z]+", name)
    return match[0] if match else name


def _number(folder: Path, name: str, what: str) -> float | None:
    """A channel's scale or offset: its own, its kind's, or that of all."""
    kind = _kind(name)
    pair = f"in_{kind}-{kind}_{what}" if "-" in name else ""
    for file in (f"in_{name}_{what}", pair, f"in_{kind}_{what}", f"in_{what}"):
        if file and (said := text(folder / file)):
            with contextlib.suppress(ValueError):
                return float(said)
    return None


def _count(folder: Path, name: str, reading: Path | None) -> int:
    """How many numbers an element has: four for a quaternion."""
    if (folder / "scan_elements" / f"in_{name}_type").exists():
        return sample_type(folder, name).repeat
    return max(1, len(text(reading).split())) if reading is not None else 1


def _aligned(at: int, length: int) -> int:
    return -(-at // length) * length
