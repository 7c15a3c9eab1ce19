"""One message from a network, holding one or many samples of one device, as blocks.

    payloads = Payloads("mqtt: broker:1883/plant/+/imu", expected=wanted)       # the model's contract.Input
    for item in payloads.blocks("press-7", b'{"ax": 0.1, "ay": -0.9}'):          # Block or Fault
        …

`blocks` takes any bytes and never raises: what it cannot read is one `Fault`. It keeps nothing between two
messages, so that any number of devices costs nothing. An empty device takes the message's own key ``device``,
where there is one. `count` says how many samples a message holds, for one that has to be thrown away.
What a message may look like:

    {"ax": 0.1, "ay": -0.9}                          one sample; keys that are no channels are not read
    {"ax": [0.1, 0.2], "ay": [-0.9, -0.8]}           many
    [0.1, -0.9]                                      one sample, or many of a single channel
    [[0.1, -0.9], [0.2, -0.8]]                       many; so is a list of objects
    {"samples": any of these, "channels": ["ax", "ay"], "rate_hz": 50, "time_s": 1767225600, "device": "w7"}
    0.1,-0.9                                         CSV, a line each; a line of names before them is a header
    packed numbers, ``format="raw"``                 all channels of a sample, then the next sample

``rate_hz``, ``device`` and ``time_s`` (wall clock of the first sample, s since 1970: information only) may
stand beside the channels of an object, too. A null or NaN is a sample that is no number. The last sample of a
message is stamped with the time at which the message came, the others by the rate.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_sdk.blocks import Block, Fault, boottime_s
from edge_sdk.contract import Input
from edge_sdk.errors import ConfigError
from edge_sdk.sources._lines import LineParser

Format = Literal["auto", "json", "csv", "raw"]
#: Of a channel's or a device's name, characters.
MAX_NAME = 128
_MAX_CHANNELS = 1024
_DTYPE = re.compile(r"[<>]?(i[1248]|u[1248]|f[248])")
#: Keys of an object that are no channels.
_FACTS = frozenset({"samples", "channels", "rate_hz", "time_s"})
_RATES_HZ = (1e-6, 1e9)
#: Up to the year 9999, which is where calendars end.
_TIMES_S = (0.0, 253_402_300_799.0)
_WRONG = (ValueError, TypeError, KeyError, OverflowError, RecursionError)


class _UnreadableError(ValueError):
    """Why a message cannot be read, for people."""


@dataclass(slots=True)
class _Message:
    """What a message says."""

    pieces: list[NDArray[np.float32] | Fault]
    channels: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)


class Payloads:
    """Turns messages into blocks and faults.

    Args:
        where: the source, for messages.
        format: ``auto`` tells JSON from CSV by the first character; ``raw`` has to be said.
        channels: names of the columns, for messages that name none; default: the model's.
        expected: what the model was trained with, where that is known.
        rate_hz: of messages that tell none; default: the model's.
        dtype: of raw numbers, as numpy writes it: ``<i2`` is little-endian int16, ``>f4`` big-endian float32.
        scale: what one unit of a raw number is.
        max_bytes: a longer message is the fault ``oversized``.
        device_key: the key of an object that names its device, and must be there; None: ``device`` may.

    Raises:
        ConfigError: an option is wrong, or nothing says the rate, or the channels of raw numbers.
    """

    def __init__(  # noqa: PLR0913 - the options of every source that takes messages
        self,
        where: str,
        *,
        format: Format = "auto",  # noqa: A002 - the option's name
        channels: Sequence[str] = (),
        expected: Input | None = None,
        rate_hz: float | None = None,
        dtype: str = "<f4",
        scale: float = 1.0,
        max_bytes: int = 1 << 18,
        device_key: str | None = None,
    ) -> None:
        rate_hz = rate_hz or (expected.rate_hz if expected else None)
        if not rate_hz:
            raise ConfigError(
                f"{where}: rate_hz is missing",
                remedy="add ?rate_hz=… (a model with a contract tells it by itself)",
            )
        if not _DTYPE.fullmatch(dtype):
            raise ConfigError(
                f"{where}: option 'dtype'", expected="such as <i2, >i2, u1 or <f4", found=repr(dtype)
            )
        self.rate_hz, self.max_bytes = rate_hz, max_bytes
        self._named, self._device_key = device_key is not None, device_key or "device"
        self._facts = _FACTS | {self._device_key}
        self._where, self._format, self._dtype, self._scale = where, format, np.dtype(dtype), scale
        self._channels, self._expected = tuple(channels), expected.names if expected else ()
        #: Of columns that no message names.
        self._known = self._channels or self._expected
        if format == "raw" and not self._known:
            raise ConfigError(
                f"{where}: channels is missing", remedy="add ?channels=ax,ay,az: raw numbers tell no names"
            )

    def blocks(self, device: str, data: bytes) -> Iterator[Block | Fault]:
        """The samples of one message.

        Args:
            device: who sent it; empty takes the message's own word, and without one the pipeline's device.
            data: any bytes.
        """
        if len(data) > self.max_bytes:
            found = f"{len(data)} bytes, more than the {self.max_bytes} of max_bytes"
            yield Fault("oversized", 1, f"{self._where}: {found}", device)
            return
        try:
            message = self._message(data)
            rate_hz = _fact(message.facts, "rate_hz", _RATES_HZ) or self.rate_hz
            wall_s = _fact(message.facts, "time_s", _TIMES_S)
        except _WRONG as error:
            shown = repr(data[:60].decode(errors="replace"))
            why = str(error) if isinstance(error, _UnreadableError) else "no samples of numbers"
            yield Fault("garbage", _samples_in(data), f"{self._where}: {why}: {shown}", device)
            return
        total = sum(_length(piece) for piece in message.pieces)
        device = device or _device(message.facts.get(self._device_key, ""))
        if (device or self._named) and total and not is_device(device):
            yield Fault("device", total, f"{self._where}: {repr(device)[:60]} is no name of a device")
            return
        yield from self._stamped(message, device, rate_hz, wall_s)

    def count(self, data: bytes) -> int:
        """How many samples a message holds."""
        return sum(
            item.samples if isinstance(item, Fault) else len(item.samples) for item in self.blocks("", data)
        )

    def _stamped(
        self, message: _Message, device: str, rate_hz: float, wall_s: float | None
    ) -> Iterator[Block | Fault]:
        lengths = [_length(piece) for piece in message.pieces]
        age_s = (sum(lengths) - 1) / rate_hz
        time_s = boottime_s() - age_s
        wall_s = time.time() - age_s if wall_s is None else wall_s
        gap = False
        for piece, length in zip(message.pieces, lengths, strict=True):
            if isinstance(piece, Fault):
                piece.device, piece.detail = device, f"{self._where}: {piece.detail}"
                yield piece
            elif length:
                yield Block(piece, rate_hz, message.channels, device, time_s, wall_s, gap)
            gap = isinstance(piece, Fault)
            time_s += length / rate_hz
            wall_s += length / rate_hz

    def _message(self, data: bytes) -> _Message:
        if self._format == "raw":
            return self._raw(data)
        text = data.strip()
        if not text:
            return _Message([], ())
        if self._format == "csv" or (self._format == "auto" and text[0] not in b"{["):
            return self._lines(text)
        try:
            value = _decoded(text)
        except ValueError:
            first, more, _ = text.partition(b"\n")
            if not more:
                raise
            _decoded(first)  # JSON lines, one sample each
            return self._lines(text)
        return self._json(value)

    def _raw(self, data: bytes) -> _Message:
        with np.errstate(over="ignore", invalid="ignore"):
            numbers = np.frombuffer(data, self._dtype).astype(np.float32) * np.float32(self._scale)
        return _Message([numbers.reshape(-1, len(self._known))], self._known)

    def _lines(self, text: bytes) -> _Message:
        lines = LineParser(self._channels, self._expected)
        pieces: list[NDArray[np.float32] | Fault] = []
        for item in lines.feed(text + b"\n"):
            last = pieces[-1] if pieces else None
            if isinstance(item, Fault) and isinstance(last, Fault):
                last.samples += item.samples
            else:
                pieces.append(item)
        width = next((piece.shape[1] for piece in pieces if not isinstance(piece, Fault)), 0)
        names = lines.channels or (self._expected if width == len(self._expected) else ())
        return _Message(pieces, names)

    def _json(self, value: Any) -> _Message:
        facts = {}
        names: tuple[str, ...] = ()
        if isinstance(value, dict):
            facts = {name: value[name] for name in self._facts & value.keys()}
            names = _names(facts["channels"]) if "channels" in facts else ()
            value = facts.pop("samples", value)
        samples, names = self._columns(value, names)
        return _Message([samples], names, facts)

    def _columns(self, value: Any, names: tuple[str, ...]) -> tuple[NDArray[np.float32], tuple[str, ...]]:
        """float32 [n, channels] and the channels' names."""
        known = names or self._known
        if isinstance(value, dict):
            names = known or self._channels_of(value)
            columns = _numbers(_picked(value, names))
            return (columns[None] if columns.ndim == 1 else columns.T), names
        if isinstance(value, list) and value and isinstance(value[0], dict):
            names = known or self._channels_of(value[0])
            return _numbers([_picked(row, names) for row in value]).reshape(-1, len(names)), names
        samples = _numbers(value)
        if not samples.size:
            return np.empty((0, len(known)), np.float32), known
        if samples.ndim < 2:
            samples = samples.reshape(-1, 1) if len(known) == 1 else samples.reshape(1, -1)
        if known and samples.shape[1] != len(known):
            raise _UnreadableError(f"{samples.shape[1]} columns for the channels {', '.join(known)[:80]}")
        return samples, known

    def _channels_of(self, sample: dict[str, Any]) -> tuple[str, ...]:
        """Every key with a number, where nothing says what the channels are."""
        wanted = sample.keys() - self._facts
        return _names([key for key in sample if key in wanted and not isinstance(sample[key], str)])


def is_device(name: object) -> bool:
    """Whether that may be the name of a device: printable text of at most 128 characters."""
    return isinstance(name, str) and 0 < len(name) <= MAX_NAME and name.isprintable()


def _device(name: Any) -> Any:
    """A device's number is a name as well."""
    return str(name) if isinstance(name, int) and not isinstance(name, bool) else name


def _decoded(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return json.loads(text)  # eight times slower, and reads NaN


def _numbers(values: Any) -> NDArray[np.float32]:
    """float32 of at most two axes; null becomes NaN, and what float32 cannot hold infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = np.array(values, np.float32)
    if numbers.ndim > 2 or isinstance(values, str):
        raise _UnreadableError("text, or lists in lists in lists")
    return numbers


def _picked(sample: Any, names: tuple[str, ...]) -> list[Any]:
    try:
        return [sample[name] for name in names]
    except KeyError as error:
        raise _UnreadableError(f"no channel {error}") from error


def _names(names: Any) -> tuple[str, ...]:
    if (
        not isinstance(names, list)
        or not 0 < len(names) <= _MAX_CHANNELS
        or not all(is_device(name) for name in names)
        or len(set(names)) != len(names)
    ):
        raise _UnreadableError("no names of channels")
    return tuple(names)


def _fact(facts: dict[str, Any], name: str, limits: tuple[float, float]) -> float | None:
    """A number that a message tells about itself."""
    value = facts.get(name)
    if value is None:
        return None
    if isinstance(value, (bool, str)) or not limits[0] <= float(value) <= limits[1]:
        raise _UnreadableError(f"{name} is not from {limits[0]:g} to {limits[1]:g}")
    return float(value)


def _length(piece: NDArray[np.float32] | Fault) -> int:
    return piece.samples if isinstance(piece, Fault) else len(piece)


def _samples_in(data: bytes) -> int:
    """A guess at how many samples were in what cannot be read; at least one."""
    try:
        value = _decoded(data)
    except _WRONG:
        return 1
    if isinstance(value, dict):
        value = value.get("samples", value)
    if isinstance(value, dict):
        return max([len(column) for column in value.values() if isinstance(column, list)], default=1) or 1
    many = isinstance(value, list) and value and isinstance(value[0], (list, dict))
    return len(value) if many else 1
