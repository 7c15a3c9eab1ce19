"""Channels as a command line names them."""

from __future__ import annotations

from collections.abc import Sequence

from edge_sdk.contract import Channel
from edge_sdk.errors import ConfigError


def parse_channels(text: str) -> tuple[Channel, ...]:
    """``ax:g:-2:2,ay:g`` into channels; unit and range may be left out.

    Raises:
        ConfigError: anything else.

    >>> parse_channels("ax:g,t:°C:-40:85")[1]
    Channel(name='t', unit='°C', range=(-40.0, 85.0))
    """
    channels = []
    for part in text.split(","):
        name, *rest = (piece.strip() for piece in part.split(":"))
        try:
            extent = (float(rest[1]), float(rest[2])) if len(rest) == 3 else None
        except ValueError:
            extent = (0.0, 0.0)
        if not name or len(rest) not in (0, 1, 3) or (extent and not extent[0] < extent[1]):
            raise ConfigError("--channels", expected="NAME[:UNIT[:LOWEST:HIGHEST]],…", found=repr(part))
        channels.append(Channel(name, rest[0] if rest else "", extent))
    if len({channel.name for channel in channels}) != len(channels):
        raise ConfigError("--channels", expected="unlike names", found=text)
    return tuple(channels)


def named(names: Sequence[str], count: int) -> tuple[Channel, ...]:
    """Channels of which nothing but the name is known, and of those without one their number."""
    return tuple(Channel(name) for name in (names or [f"c{number}" for number in range(1, count + 1)]))
