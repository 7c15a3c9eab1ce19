"""The settings of an IIO device: written for a run, put back after it."""

from __future__ import annotations

import errno
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_sdk.errors import ConfigError, DeviceError, Fatal, Retry, one_line
from edge_sdk.iio.device import DEVICES, text

_LOG = logging.getLogger("edgeml")
#: How far a device's own rate may be from what was asked where no contract says it.
_TOLERANCE = 0.05


@dataclass(frozen=True)
class BufferSettings:
    """What is asked of a buffer.

    Attributes:
        rate_hz: scans a second.
        length: scans that the kernel keeps; None: those of two seconds.
        trigger: name of the trigger that starts each scan; empty: the one that is set.
        tolerance: how far the device's rate may be off, as a fraction.
    """

    rate_hz: float
    length: int | None = None
    trigger: str = ""
    tolerance: float = _TOLERANCE


class Attributes:
    """Files of sysfs that are written now and put back later."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._before: list[tuple[Path, str]] = []

    def set(self, path: Path, value: str, *, remedy: str | None = None) -> None:
        """Write a value that is not there yet.

        Raises:
            Fatal: it may not be written, or the driver refuses it for good.
            Retry: another program is in the way.
        """
        before = text(path)
        if before != value:
            self.write(path, value, remedy)
            self._before.append((path, before))

    def write(self, path: Path, value: str, remedy: str | None = None) -> None:
        """Write a value for good; raises as `set`."""
        try:
            path.write_text(value, encoding="utf-8")
        except OSError as error:
            raise self._verdict(path, value, error, remedy) from error

    def restore(self) -> None:
        """Put everything back, the last first; what cannot be is logged."""
        while self._before:
            path, value = self._before.pop()
            try:
                path.write_text(value or "\n", encoding="utf-8")
            except FileNotFoundError:
                continue  # the device is gone, and its settings with it
            except OSError as error:
                _LOG.warning("%s: %s stays changed: %s", self._url, path.name, one_line(error))

    def _verdict(self, path: Path, value: str, error: OSError, remedy: str | None) -> DeviceError:
        kind: type[DeviceError] = Fatal
        if isinstance(error, PermissionError):
            remedy = "let a udev rule give the group of this user the device's files: see docs/board.md"
        elif error.errno != errno.EINVAL:
            kind = Retry
            if error.errno == errno.EBUSY:
                remedy = "end the program that uses the device, such as iio-sensor-proxy"
        where = path.relative_to(path.parents[1])
        return kind(
            f"{self._url}: {where} = {value!r}", found=error.strerror or one_line(error), remedy=remedy
        )


def triggers() -> dict[str, Path]:
    """The triggers that there are, by name."""
    folders = DEVICES.glob("trigger*") if DEVICES.is_dir() else ()
    return {name: folder for folder in folders if (name := text(folder / "name"))}


def settle_rate(
    attributes: Attributes, folder: Path, elements: Sequence[str], settings: BufferSettings, trigger: str = ""
) -> float:
    """Set the sampling rate wherever the device or its trigger has one; returns what they say it is.

    Raises:
        ConfigError: the device cannot measure at that rate.
    """
    wanted = settings.rate_hz
    places = _places(folder, elements)
    if trigger in (known := triggers()):
        places.append(known[trigger] / "sampling_frequency")
    actual = wanted
    for place in filter(Path.exists, places):
        available = _rates(place)
        nearest = min(available, key=lambda rate: abs(rate - wanted)) if available else wanted
        if abs(nearest / wanted - 1) <= settings.tolerance:
            if _rate(place) != nearest:
                attributes.set(place, f"{nearest:g}")
            actual = _rate(place)
        else:
            actual = nearest
        if abs(actual / wanted - 1) > settings.tolerance:
            raise ConfigError(
                f"iio: {place.name} of {place.parent.name}",
                expected=f"{wanted:g} Hz ± {settings.tolerance:.0%}",
                found=f"{actual:g} Hz",
                remedy="it can do " + ", ".join(f"{rate:g}" for rate in available) if available else None,
            )
    return actual


def ensure_rate(
    attributes: Attributes, folder: Path, elements: Sequence[str], settings: BufferSettings
) -> None:
    """See that a device measures at least as often as it will be asked: else values would repeat.

    Raises:
        ConfigError: it cannot.
    """
    for place in filter(Path.exists, _places(folder, elements)):
        if _rate(place) >= settings.rate_hz:
            continue
        enough = [rate for rate in _rates(place) if rate >= settings.rate_hz]
        attributes.set(place, f"{min(enough, default=settings.rate_hz):g}")
        if (actual := _rate(place)) < settings.rate_hz * (1 - settings.tolerance):
            raise ConfigError(
                f"iio: {place.name} of {folder.name}",
                expected=f"at least {settings.rate_hz:g} Hz",
                found=f"{actual:g} Hz",
            )


def _places(folder: Path, elements: Sequence[str]) -> list[Path]:
    """Where a device may have its sampling rate."""
    kinds = sorted({name.split("_")[0].rstrip("0123456789") for name in elements})
    places = [folder / "sampling_frequency", folder / "buffer/sampling_frequency"]
    return places + [folder / f"in_{kind}_sampling_frequency" for kind in kinds]


def _rate(place: Path) -> float:
    """What a driver says it does, Hz; 0 where it says nothing."""
    try:
        return float(text(place))
    except ValueError:
        return 0.0


def _rates(place: Path) -> list[float]:
    """The rates that a driver lists; empty where it lists none or gives a range."""
    said = text(place.with_name(place.name + "_available"))
    if not said or said.startswith("["):
        return []
    return [float(rate) for rate in said.split() if float(rate) > 0]
