"""Signals that repeat without a seam, computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import ConfigError

Kind = Literal["sine", "square", "saw", "noise", "walk", "constant", "impulse"]
KINDS: tuple[str, ...] = get_args(Kind)
#: Samples after which everything repeats, or the next number that blocks divide. It has many divisors, so
#: that most frequencies fit into it exactly.
_SAMPLES = 30_000
#: Samples a period where nothing else is said.
_PERIOD = 50


@dataclass(frozen=True, slots=True)
class Wave:
    """One channel: ``offset + amplitude * shape``, with the shape between -1 and 1, and noise on top.

    Attributes:
        kind: ``sine``, ``square``, ``saw``, ``impulse`` (1 once a period, else 0), ``constant`` (0), or, by
            the seed, ``noise`` (uniform) and ``walk`` (a random walk that comes back to where it began).
        amplitude: in the channel's unit.
        freq_hz: periods a second, rounded so that whole ones fit into the table.
        phase: where in a period it begins, 0 to 1.
        noise: standard deviation of normal noise, in the channel's unit.
        offset: in the channel's unit.
    """

    kind: str
    amplitude: float
    freq_hz: float
    phase: float
    noise: float
    offset: float


def waves(
    kinds: Sequence[str],
    numbers: Mapping[str, float | tuple[float, ...] | None],
    ranges: Sequence[tuple[float, float] | None],
    rate_hz: float,
) -> tuple[Wave, ...]:
    """What each channel does.

    Args:
        kinds: one, or one for each channel.
        numbers: the other attributes of `Wave`, likewise; None takes the usual.
        ranges: of each channel, where it is known.
        rate_hz: sampling rate.

    Raises:
        ConfigError: neither one nor as many as there are channels.
    """
    count = len(ranges)
    kinds = _each("waveforms", kinds, count)
    found = []
    for column, (low, high) in enumerate(known or (-2.0, 2.0) for known in ranges):
        usual = {
            "amplitude": (high - low) / 4,
            "freq_hz": rate_hz / _PERIOD,
            "phase": column / count,
            "offset": (high + low) / 2,
        }
        for name, given in numbers.items():
            if given is not None:
                values = given if isinstance(given, tuple) else (given,)
                usual[name] = float(_each(f"option {name!r}", values, count)[column])
        usual.setdefault("noise", abs(usual["amplitude"]) / 100)
        found.append(Wave(kinds[column], **usual))
    return tuple(found)


def table(waves: tuple[Wave, ...], rate_hz: float, block: int, seed: int) -> NDArray[np.float32]:
    """The signal of all channels up to where it repeats.

    Args:
        waves: one for each channel.
        rate_hz: sampling rate.
        block: samples a block; the table holds whole ones.
        seed: the same one gives the same table.

    Returns:
        float32 [n, channels], read-only, in the channels' units.

    Raises:
        ConfigError: a frequency that so few samples cannot show.
    """
    count = block * -(-_SAMPLES // block)
    signal = np.empty((count, len(waves)), np.float32)
    for column, wave in enumerate(waves):
        if wave.kind not in KINDS:
            raise ConfigError("synthetic: waveform", expected="one of " + ", ".join(KINDS), found=wave.kind)
        if not 0 <= wave.freq_hz <= rate_hz / 2:
            raise ConfigError(
                "synthetic: option 'freq_hz'", expected=f"0 to half of {rate_hz:g} Hz", found=wave.freq_hz
            )
        random = np.random.default_rng([seed, column])
        shape = _shape(wave, count, rate_hz, random)
        signal[:, column] = wave.offset + wave.amplitude * shape + wave.noise * random.standard_normal(count)
    signal.setflags(write=False)
    return signal


def _shape(wave: Wave, count: int, rate_hz: float, random: np.random.Generator) -> NDArray[np.float64]:
    """float64 [count], -1 to 1."""
    if wave.kind == "noise":
        return random.uniform(-1, 1, count)
    if wave.kind == "walk":
        walk = np.cumsum(random.standard_normal(count))
        walk -= walk[-1] * np.arange(1, count + 1) / count
        return np.asarray(walk / np.abs(walk).max())
    periods = round(wave.freq_hz * count / rate_hz)
    step = (round(wave.phase * count) + periods * np.arange(count)) % count
    place = step / count
    if wave.kind == "sine":
        return np.asarray(np.sin(2 * np.pi * place))
    if wave.kind == "square":
        return np.where(place < 0.5, 1.0, -1.0)
    if wave.kind == "saw":
        return np.asarray(2 * place - 1)
    if wave.kind == "impulse":
        return np.asarray(step < periods, np.float64)
    return np.zeros(count)


def _each(what: str, values: Sequence[Any], count: int) -> Sequence[Any]:
    """One value for each channel."""
    if len(values) not in (1, count):
        raise ConfigError(
            f"synthetic: {what}", expected=f"1 or {count}, as many as channels", found=len(values)
        )
    return values if len(values) == count else [values[0]] * count
