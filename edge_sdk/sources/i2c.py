"""``i2c:BUS/ADDRESS`` reads a sensor chip by its register map."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec

from edge_sdk.blocks import Block, Fault
from edge_sdk.closing import Closing
from edge_sdk.contract import Input
from edge_sdk.errors import ConfigError
from edge_sdk.sources import _chips
from edge_sdk.sources._chips import Chip, Settings
from edge_sdk.sources._i2c import ChipOnBus
from edge_sdk.sources._polled import Polled, settled_rate_hz
from edge_sdk.sources._quantities import Columns, columns

#: Addresses that a chip may have; the others of the 7 bits are the bus's own.
_ADDRESSES = range(0x08, 0x78)


class Source(Closing):
    """Samples of one chip, asked for at a steady rate, in the chip's units or in the model's.

    Register maps are data: `chip` names one of edgeml's (``mpu6050``) or a TOML file of one's own. The chip
    must say who it is; its settings are written when it is opened and read back once a second. A chip that
    lost them, as by a short loss of power, is the fault ``reset``: it is set up again, and no window spans
    that. A read that fails is the fault ``read``.

    Args:
        location: the bus, as a number or a device file, and the chip's address: ``1/0x68``.
        chip: name of the register map, or a file that ends in ``.toml``.
        rate_hz: samples a second; default: the model's rate.
        range: full scales such as ``4g,500dps``; default: the smallest that hold the model's channels.
        channels: names of the columns; default: the model's.
        inputs: channels of the chip in the order of the columns; default: found by name.
        units: unit of each column; default: the model's, else the chip's.
        device: name of the sensor; default: the pipeline's device.
    """

    live = True

    def __init__(  # noqa: PLR0913 - the parameters are the options that a URL may have
        self,
        location: str,
        *,
        chip: str,
        rate_hz: Annotated[float, msgspec.Meta(gt=0)] | None = None,
        range: tuple[str, ...] = (),  # noqa: A002 - the option's name
        channels: tuple[str, ...] = (),
        inputs: tuple[str, ...] = (),
        units: tuple[str, ...] = (),
        device: str = "",
    ) -> None:
        self._url, self._device = f"i2c:{location}", device
        self._options = {
            "rate_hz": rate_hz,
            "range": range,
            "channels": channels,
            "inputs": inputs,
            "units": units,
        }
        self._expected: Input | None = None
        self._closing = threading.Event()
        self._reading = False
        self._polled: Polled | None = None
        self._chip = _chips.load(chip)
        self._there = ChipOnBus(self._url, *_place(location), self._chip)

    @classmethod
    def preflight(cls, location: str, wanted: Input | None, **options: Any) -> None:
        """See that chip, rate, ranges, channels and units go together, as `edgeml check` does."""
        _place(location)
        _plan(f"i2c:{location}", _chips.load(options["chip"]), wanted, options)

    @property
    def missed(self) -> int:
        """Deadlines that passed before the chip could be asked."""
        return self._polled.missed if self._polled else 0

    def expect(self, wanted: Input) -> None:
        """What the model was trained with: the default for rate, ranges, channels and units."""
        self._expected = wanted

    def __iter__(self) -> Iterator[Block | Fault]:
        rate_hz, chosen, settings = _plan(self._url, self._chip, self._expected, self._options)
        polled = Polled(self._url, rate_hz, chosen.names, self._device, self._closing)
        self._polled, self._reading = polled, True
        try:
            self._there.set_up(settings, self._closing.wait)
            yield from polled.blocks(lambda: self._there.sample(settings, chosen, self._closing.wait))
        finally:
            self._reading = False
            self._there.close()

    def close(self) -> None:
        """End the iteration; may be called twice, and from any thread."""
        self._closing.set()
        if not self._reading:
            self._there.close()


def _plan(
    url: str, chip: Chip, wanted: Input | None, options: Mapping[str, Any]
) -> tuple[float, Columns, Settings]:
    """Rate, columns and settings that options and model ask for."""
    rate_hz = settled_rate_hz(url, options.get("rate_hz"), wanted)
    names = {name: options.get(name, ()) for name in ("channels", "inputs", "units")}
    chosen = columns(url, chip.channels, wanted, **names)
    trained = {channel.name: channel.range for channel in wanted.channels} if wanted else {}
    needed = {}
    for index, name, scale, offset in zip(
        chosen.picked, chosen.names, chosen.scale, chosen.offset, strict=True
    ):
        if limits := trained.get(name):
            needed[chip.channels[index][0]] = max(abs((limit - offset) / scale) for limit in limits)
    return rate_hz, chosen, _chips.settle(chip, rate_hz, options.get("range", ()), needed)


def _place(location: str) -> tuple[str, int]:
    """The bus's device file and the address."""
    bus, _, said = location.rpartition("/")
    bus = f"/dev/i2c-{bus}" if bus.isdecimal() else bus
    try:
        address = int(said, 0)
    except ValueError:
        address = -1
    if not re.fullmatch(r"/dev/.+", bus) or address not in _ADDRESSES:
        raise ConfigError(
            f"i2c:{location}",
            expected="i2c:BUS/ADDRESS, such as i2c:1/0x68",
            remedy="i2cdetect -y 1 shows the addresses of bus 1",
        )
    return bus, address
