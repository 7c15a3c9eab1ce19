"""One sensor chip on an I2C bus: found, set up, read and watched, as its register map says."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edge_sdk.blocks import Fault
from edge_sdk.closing import Closing
from edge_sdk.errors import Fatal, MissingExtraError, Retry, one_line
from edge_sdk.sources._chips import Chip, Settings
from edge_sdk.sources._quantities import Columns

#: How often the settings are read back, s, and how often at most where values repeat to the bit.
_CHECK_S, _SUSPECT_S = 1.0, 0.1
#: What a bus without an answer reads as.
_NOTHING = {0x00, 0xFF}


class ChipOnBus(Closing):
    """A chip that has said who it is.

    Args:
        url: the source, for messages.
        bus: device file of the bus.
        address: the chip's.
        chip: its register map.

    Raises:
        MissingExtraError: smbus2 is not installed.
        Fatal: another chip answers, or this user may not use the bus.
        Retry: nothing answers.
    """

    def __init__(self, url: str, bus: str, address: int, chip: Chip) -> None:
        try:
            import smbus2
        except ModuleNotFoundError as error:
            raise MissingExtraError("source 'i2c'", "i2c", error.name) from error
        self._url, self._address, self._chip = url, address, chip
        self._length = struct.calcsize(chip.data.format)
        self._last = b""
        self._checked_s = -_CHECK_S
        self._bus = smbus2.SMBus()
        try:
            self._open(bus)
            self._identify(bus)
        except BaseException:
            self._bus.close()
            raise

    def set_up(self, settings: Settings, wait: Callable[[float], object]) -> None:
        """Write every setting and see that it holds.

        Raises:
            Retry: it does not.
        """
        try:
            self._write(settings)
            wait(self._chip.settle_s)
            changed = self._changed(settings)
        except OSError as error:
            raise Retry(f"{self._url}: cannot be set up", found=_reason(error)) from error
        if changed:
            raise Retry(f"{self._url}: settings do not hold", found=changed)

    def sample(
        self, settings: Settings, chosen: Columns, wait: Callable[[float], object]
    ) -> NDArray[np.float32] | Fault:
        """Float32 [channels], or the fault ``reset`` where the chip lost its settings and was set up again.

        Raises:
            OSError: the bus or the chip failed.
        """
        data = self._chip.data
        raw = bytes(self._bus.read_i2c_block_data(self._address, data.register, self._length))
        # A chip that lost its power for a moment sleeps, and reads as zeros or as its last sample.
        patience_s = 0.0 if not any(raw) else _SUSPECT_S if raw == self._last else _CHECK_S
        self._last = raw
        if time.monotonic() - self._checked_s >= patience_s:
            changed = self._changed(settings)
            if changed:
                self._write(settings)
                wait(self._chip.settle_s)
                return Fault("reset", samples=1, detail=f"{self._url}: {changed}")
            self._checked_s = time.monotonic()
        numbers = np.array(struct.unpack(data.format, raw), np.float64)[list(settings.at)]
        values = numbers / np.array(settings.per_unit) + np.array(settings.zero)
        sample: NDArray[np.float32] = (
            values[list(chosen.picked)] * np.array(chosen.scale) + np.array(chosen.offset)
        ).astype(np.float32)
        return sample

    def close(self) -> None:
        """Leave the bus; may be called twice."""
        self._bus.close()

    def _open(self, bus: str) -> None:
        try:
            self._bus.open(bus)
        except PermissionError as error:
            remedy = "add yourself to the group that owns it: sudo usermod -aG i2c $USER"
            raise Fatal(f"{self._url}: {bus}", found=_reason(error), remedy=remedy) from error
        except OSError as error:
            raise Retry(
                f"{self._url}: {bus}",
                found=_reason(error),
                remedy="switch the bus on: sudo raspi-config nonint do_i2c 0" if error.errno == 2 else None,
            ) from error

    def _identify(self, bus: str) -> None:
        identity = self._chip.identity
        try:
            found = {self._get(identity.register) for _ in range(3)}  # a disturbed bus changes its mind
        except OSError as error:
            raise Retry(
                f"{self._url}: no chip answers",
                expected=self._chip.name,
                found=_reason(error),
                remedy=f"check its wiring and its address: i2cdetect -y {bus.rpartition('-')[2]}",
            ) from error
        if found != {identity.value}:
            verdict = Retry if len(found) > 1 or found <= _NOTHING else Fatal
            raise verdict(
                f"{self._url}: not a {self._chip.name}",
                expected=f"0x{identity.value:02X} in register 0x{identity.register:02X}",
                found=", ".join(f"0x{value:02X}" for value in sorted(found)),
                remedy="say with chip= what is connected",
            )

    def _write(self, settings: Settings) -> None:
        for register in settings.registers:
            self._bus.write_byte_data(self._address, register.register, register.value)

    def _changed(self, settings: Settings) -> str:
        """Which setting is not what was written; empty where all are."""
        for register in settings.registers:
            value = self._get(register.register)
            if (value ^ register.value) & register.mask:
                return f"register 0x{register.register:02X} is 0x{value:02X}, not 0x{register.value:02X}"
        return ""

    def _get(self, register: int) -> int:
        value: int = self._bus.read_byte_data(self._address, register)
        return value


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else one_line(error)
