"""Sensor chips as data: what is written into which register, and what the numbers mean.

A chip is a TOML file in ``registers/``; `Chip` is its schema.
"""

from __future__ import annotations

import re
import struct
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from edge_sdk.errors import ConfigError, UnknownNameError

_HERE = Path(__file__).with_name("registers")
#: Bytes that one transfer of the bus can bring.
_LONGEST = 32
Byte = Annotated[int, msgspec.Meta(ge=0, le=255)]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Register(_Strict, frozen=True):
    """A register and what it holds, or shall hold, in those bits that `mask` has."""

    register: Byte
    value: Byte
    mask: Byte = 0xFF


class Data(_Strict, frozen=True):
    """Where the numbers are: the first register, and a format of the module `struct`."""

    register: Byte
    format: str


class Step(_Strict, frozen=True):
    """One setting of the chip's low-pass filter."""

    value: Byte
    bandwidth_hz: float


class Filter(_Strict, frozen=True):
    """The chip's low-pass filter."""

    register: Byte
    steps: tuple[Step, ...]


class Range(_Strict, frozen=True):
    """One setting of a sensor's range: ± `full_scale`, and numbers per unit."""

    full_scale: float
    value: Byte
    per_unit: float


class Sensor(_Strict, frozen=True):
    """Channels that share a unit and a range: value = number / per_unit + zero."""

    channels: tuple[str, ...]
    at: tuple[int, ...]
    unit: str
    register: Byte | None = None
    ranges: tuple[Range, ...] = ()
    per_unit: float = 1.0
    zero: float = 0.0


class Chip(_Strict, frozen=True):
    """What a file in ``registers/`` says."""

    name: str
    identity: Register
    data: Data
    setup: tuple[Register, ...]
    sensor: tuple[Sensor, ...]
    filter: Filter | None = None
    settle_s: float = 0.0

    @property
    def channels(self) -> list[tuple[str, str]]:
        """Name and unit of each."""
        return [(name, sensor.unit) for sensor in self.sensor for name in sensor.channels]


class Settings(msgspec.Struct, frozen=True):
    """A chip as it is used in one run.

    Attributes:
        registers: everything to write, in order.
        at: each channel's place among the numbers read.
        per_unit: numbers a unit, of each channel.
        zero: each channel's value at number 0.
    """

    registers: tuple[Register, ...]
    at: tuple[int, ...]
    per_unit: tuple[float, ...]
    zero: tuple[float, ...]


def load(name: str) -> Chip:
    """A chip by its name, or by the path of one's own file.

    Raises:
        UnknownNameError: there is none of that name.
        ConfigError: the file is wrong.
    """
    path = Path(name) if name.endswith(".toml") else _HERE / f"{name}.toml"
    if path.parent == _HERE and name not in (known := names()):
        raise UnknownNameError("chip", name, known)
    try:
        chip = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Chip)
        count = len(struct.unpack(chip.data.format, bytes(struct.calcsize(chip.data.format))))
    except OSError as error:
        raise ConfigError(f"chip {name}", found=error.strerror) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError, struct.error) as error:
        raise ConfigError(
            f"chip {name}", expected="a register map as in docs/board.md", found=error
        ) from error
    if struct.calcsize(chip.data.format) > _LONGEST:
        raise ConfigError(f"chip {name}: data", expected=f"at most {_LONGEST} bytes", found=chip.data.format)
    for sensor in chip.sensor:
        if len(sensor.at) != len(sensor.channels) or not all(0 <= at < count for at in sensor.at):
            raise ConfigError(
                f"chip {name}: at",
                expected=f"{len(sensor.channels)} places below {count}",
                found=list(sensor.at),
            )
        if bool(sensor.ranges) != (sensor.register is not None):
            raise ConfigError(f"chip {name}: {sensor.channels[0]}", expected="a register and its ranges")
    return chip


def names() -> list[str]:
    """The chips that there are."""
    return sorted(path.stem for path in _HERE.glob("*.toml"))


def settle(chip: Chip, rate_hz: float, ranges: Sequence[str], needed: Mapping[str, float]) -> Settings:
    """Choose filter and ranges.

    The filter is the widest that passes no more than half the rate, as sampling needs. A range is what the
    option says, else the smallest that holds what is needed, else the chip's smallest.

    Args:
        chip: the register map.
        rate_hz: samples a second.
        ranges: options such as ``4g``, ``500dps``.
        needed: the largest value of each channel that a model was trained with, in the chip's unit.

    Raises:
        ConfigError: the chip has no such range.
    """
    asked = dict(_asked(chip, text) for text in ranges)
    registers = list(chip.setup)
    if chip.filter:
        steps = sorted(chip.filter.steps, key=lambda step: step.bandwidth_hz)
        fitting = [step for step in steps if step.bandwidth_hz <= rate_hz / 2]
        registers.append(Register(register=chip.filter.register, value=(fitting or steps[:1])[-1].value))
    at: list[int] = []
    per_unit: list[float] = []
    zero: list[float] = []
    for sensor in chip.sensor:
        numbers = sensor.per_unit
        if sensor.register is not None:
            choice = asked.get(sensor.unit) or _holding(sensor, needed)
            registers.append(Register(register=sensor.register, value=choice.value))
            numbers = choice.per_unit
        at += sensor.at
        per_unit += [numbers] * len(sensor.channels)
        zero += [sensor.zero] * len(sensor.channels)
    return Settings(tuple(registers), tuple(at), tuple(per_unit), tuple(zero))


def _asked(chip: Chip, text: str) -> tuple[str, Range]:
    """The range that ``4g`` means."""
    match = re.fullmatch(r"\s*±?\s*([\d.]+)\s*(\D+?)\s*", text)
    known = [f"{choice.full_scale:g}{sensor.unit}" for sensor in chip.sensor for choice in sensor.ranges]
    for sensor in chip.sensor:
        for choice in sensor.ranges:
            if match and match[2] == sensor.unit and float(match[1]) == choice.full_scale:
                return sensor.unit, choice
    raise ConfigError("i2c: option 'range'", expected="of " + ", ".join(known), found=text)


def _holding(sensor: Sensor, needed: Mapping[str, float]) -> Range:
    """The smallest range that holds what is needed."""
    most = max((needed.get(name, 0.0) for name in sensor.channels), default=0.0)
    ordered = sorted(sensor.ranges, key=lambda choice: choice.full_scale)
    return next((choice for choice in ordered if choice.full_scale >= most), ordered[-1])
