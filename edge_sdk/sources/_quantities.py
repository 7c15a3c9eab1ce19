"""What sensors on a board measure: names and units of their channels, and how one unit becomes another."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from edge_sdk.contract import Input
from edge_sdk.errors import ConfigError, suggestion

_G = 9.80665  # m/s², by definition
_TURN = math.pi / 180
#: Unit: its dimension, how many of the dimension's own unit one of it is, and where its zero lies.
_UNITS: dict[str, tuple[str, float, float]] = {
    "m/s²": ("acceleration", 1.0, 0.0),
    "g": ("acceleration", _G, 0.0),
    "mg": ("acceleration", _G / 1000, 0.0),
    "rad/s": ("angular velocity", 1.0, 0.0),
    "dps": ("angular velocity", _TURN, 0.0),
    "mdps": ("angular velocity", _TURN / 1000, 0.0),
    "rad": ("angle", 1.0, 0.0),
    "deg": ("angle", _TURN, 0.0),
    "G": ("magnetic field", 1.0, 0.0),
    "mG": ("magnetic field", 1e-3, 0.0),
    "T": ("magnetic field", 1e4, 0.0),
    "mT": ("magnetic field", 10.0, 0.0),
    "µT": ("magnetic field", 0.01, 0.0),
    "°C": ("temperature", 1.0, 0.0),
    "m°C": ("temperature", 1e-3, 0.0),
    "K": ("temperature", 1.0, -273.15),
    "°F": ("temperature", 5 / 9, -160 / 9),
    "Pa": ("pressure", 1.0, 0.0),
    "hPa": ("pressure", 100.0, 0.0),
    "kPa": ("pressure", 1000.0, 0.0),
    "bar": ("pressure", 1e5, 0.0),
    "%": ("share", 1.0, 0.0),
    "m%": ("share", 1e-3, 0.0),
    "V": ("voltage", 1.0, 0.0),
    "mV": ("voltage", 1e-3, 0.0),
    "µV": ("voltage", 1e-6, 0.0),
    "A": ("current", 1.0, 0.0),
    "mA": ("current", 1e-3, 0.0),
    "W": ("power", 1.0, 0.0),
    "mW": ("power", 1e-3, 0.0),
    "m": ("length", 1.0, 0.0),
    "cm": ("length", 1e-2, 0.0),
    "mm": ("length", 1e-3, 0.0),
    "lx": ("illuminance", 1.0, 0.0),
    "Ω": ("resistance", 1.0, 0.0),
    "kΩ": ("resistance", 1e3, 0.0),
}
#: Other ways to write them.
_SPELLINGS = {
    "m/s^2": "m/s²", "m/s2": "m/s²", "m/s/s": "m/s²", "m s-2": "m/s²",
    "deg/s": "dps", "°/s": "dps", "º/s": "dps", "degree/s": "dps", "degrees/s": "dps", "mdeg/s": "mdps",
    "°": "deg", "degree": "deg", "degrees": "deg", "radian": "rad", "radians": "rad",
    "gauss": "G", "Gauss": "G", "Gs": "G", "uT": "µT", "μT": "µT",
    "C": "°C", "degC": "°C", "deg C": "°C", "celsius": "°C", "Celsius": "°C", "mdegC": "m°C", "m°C": "m°C",
    "degF": "°F", "F": "°F", "kelvin": "K",
    "mbar": "hPa", "%RH": "%", "percent": "%", "volt": "V", "uV": "µV", "μV": "µV",
    "lux": "lx", "ohm": "Ω", "Ohm": "Ω", "kohm": "kΩ", "kOhm": "kΩ",
}  # fmt: skip
#: What people call a channel, and what Linux calls it.
_KINDS = {
    "a": "accel", "acc": "accel", "accel": "accel", "accelerometer": "accel", "acceleration": "accel",
    "g": "anglvel", "gyr": "anglvel", "gyro": "anglvel", "gyroscope": "anglvel", "anglvel": "anglvel",
    "w": "anglvel",
    "m": "magn", "mag": "magn", "magn": "magn", "magnetometer": "magn",
    "temperature": "temp", "t": "temp", "humidity": "humidityrelative", "press": "pressure",
}  # fmt: skip
_AXIS = re.compile(r"([a-z]+?)_?([xyz])")


@dataclass(frozen=True)
class Columns:
    """Which channels of a device are read, in what order, under what name and in what unit.

    Attributes:
        picked: index of each column's channel.
        names: what each column is called.
        scale: float, what a value in the device's unit is multiplied with.
        offset: float, what is added then.
    """

    picked: tuple[int, ...]
    names: tuple[str, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...]


def columns(
    url: str,
    available: Sequence[tuple[str, str]],
    wanted: Input | None,
    *,
    inputs: Sequence[str] = (),
    channels: Sequence[str] = (),
    units: Sequence[str] = (),
) -> Columns:
    """Match what a device measures with what is wanted.

    Args:
        url: the source, for messages.
        available: name and unit of each channel of the device; the unit is empty where nobody knows it.
        wanted: what the model was trained with, where that is known.
        inputs: option: channels of the device, in order.
        channels: option: names of the columns, in the same order.
        units: option: units of the columns, in the same order.

    Raises:
        ConfigError: a channel is not there, or its unit cannot be converted into the wanted one.
    """
    there = [name for name, _ in available]
    names = tuple(channels) or (wanted.names if wanted else ())
    if inputs:
        picked = tuple(_position(url, name, there) for name in inputs)
        if channels and len(channels) != len(inputs):
            raise ConfigError(
                f"{url}: option 'channels'",
                expected=f"{len(inputs)} names, one an input",
                found=len(channels),
            )
        if not channels:
            names = names if len(names) == len(inputs) else tuple(inputs)
    elif names:
        picked = tuple(_by_name(url, name, there) for name in names)
    else:
        picked, names = tuple(range(len(there))), tuple(there)
    if units and len(units) != len(picked):
        raise ConfigError(f"{url}: option 'units'", expected=f"{len(picked)} of them", found=len(units))
    trained = {channel.name: channel.unit for channel in wanted.channels} if wanted else {}
    factors = []
    for at, (index, name) in enumerate(zip(picked, names, strict=True)):
        unit, known = trained.get(name, ""), available[index][1]
        if units and unit and conversion(units[at], unit, f"{url}: unit of {name!r}") != (1.0, 0.0):
            raise ConfigError(f"{url}: unit of {name!r}", expected=f"{unit}, the model's", found=units[at])
        factors.append(conversion(known, units[at] if units else unit, f"{url}: unit of {name!r}"))
    return Columns(picked, names, tuple(f[0] for f in factors), tuple(f[1] for f in factors))


def conversion(found: str, wanted: str, where: str) -> tuple[float, float]:
    """The factor and the summand that take a value in one unit to another; nothing is guessed.

    Args:
        found: what the device measures in; empty where nobody knows.
        wanted: what it shall be; empty takes it as it comes.
        where: of what, for messages.

    Raises:
        ConfigError: a unit is unknown, or of another dimension.

    >>> conversion("kPa", "hPa", "")
    (10.0, 0.0)
    """
    found, wanted = _SPELLINGS.get(found, found), _SPELLINGS.get(wanted, wanted)
    if wanted in ("", found):
        return 1.0, 0.0
    if found not in _UNITS or wanted not in _UNITS:
        raise ConfigError(
            where,
            expected=f"{wanted!r}",
            found=f"{found!r}" if found else "a channel whose unit nobody knows",
            remedy=f"edgeml converts between {', '.join(_UNITS)}",
        )
    kind, factor, zero = _UNITS[found]
    wanted_kind, wanted_factor, wanted_zero = _UNITS[wanted]
    if kind != wanted_kind:
        raise ConfigError(where, expected=f"{wanted} ({wanted_kind})", found=f"{found} ({kind})")
    return factor / wanted_factor, (zero - wanted_zero) / wanted_factor


def canonical(name: str) -> str:
    """What Linux calls a channel: ``ax``, ``acc_x`` and ``Accel X`` are all ``accel_x``."""
    plain = name.strip().lower().replace(" ", "_").replace("-", "_").removeprefix("in_")
    axis = _AXIS.fullmatch(plain)
    if axis and axis[1] in _KINDS:
        return f"{_KINDS[axis[1]]}_{axis[2]}"
    return _KINDS.get(plain, plain)


def _position(url: str, name: str, there: Sequence[str]) -> int:
    bare = name.removeprefix("in_").removesuffix("_raw").removesuffix("_input")
    if bare not in there:
        raise ConfigError(
            f"{url}: no channel {name!r}",
            expected="one of " + ", ".join(there),
            remedy=suggestion(bare, there),
        )
    return there.index(bare)


def _by_name(url: str, name: str, there: Sequence[str]) -> int:
    if name in there:
        return there.index(name)
    same = [index for index, other in enumerate(there) if canonical(other) == canonical(name)]
    if len(same) != 1:
        raise ConfigError(
            f"{url}: no channel is plainly {name!r}",
            expected="one of " + ", ".join(there),
            remedy="say which channels are meant, in the model's order: inputs=…",
        )
    return same[0]
