"""What is kept for each device, for as many devices as may be, for as long as they are heard of."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RosterSettings:
    """``[devices]`` of an edgeml.toml.

    Attributes:
        limit: device ids that are served at a time; the blocks of further ones are faults.
        idle_s: a device that was not heard of for so long is forgotten: its unfinished window is dropped.
    """

    limit: int = 10_000
    idle_s: float = 600.0


class Roster(Generic[T]):
    """The state of each device, made when it is first heard of, given up when it is idle.

    Args:
        settings: how many, and for how long.
        make: the state of a new device, by its id.
        forget: told about each device that is given up.
    """

    def __init__(
        self,
        settings: RosterSettings,
        make: Callable[[str], T],
        forget: Callable[[str, T], None] | None = None,
    ) -> None:
        self.settings = settings
        self._make, self._forget = make, forget
        self._devices: OrderedDict[str, tuple[float, T]] = OrderedDict()
        self._last = ""
        self._swept_s = time.monotonic()

    def get(self, device: str, now_s: float) -> T | None:
        """The device's state, or None where there are too many devices already.

        Args:
            device: its id.
            now_s: monotonic time, which is when it was heard of.
        """
        found = self._devices.get(device)
        if found is not None:
            self._devices[device] = (now_s, found[1])
            if device != self._last:  # one device alone is always the newest
                self._devices.move_to_end(device)
                self._last = device
            return found[1]
        self.sweep(now_s)
        if len(self._devices) >= self.settings.limit:
            return None
        state = self._make(device)
        self._devices[device] = (now_s, state)
        self._last = device
        return state

    def peek(self, device: str) -> T | None:
        """The state of a known device; it does not count as heard of."""
        found = self._devices.get(device)
        return None if found is None else found[1]

    def sweep(self, now_s: float) -> None:
        """Give up the devices that are idle; looks only at those."""
        while self._devices:
            device, (heard_s, state) = next(iter(self._devices.items()))
            if now_s - heard_s <= self.settings.idle_s:
                return
            del self._devices[device]
            if device == self._last:
                self._last = ""
            if self._forget is not None:
                self._forget(device, state)

    def heard_before(self, then_s: float) -> Iterator[tuple[str, float, T]]:
        """Devices that were last heard of before a time, each with when; looks only at those."""
        for device, (heard_s, state) in self._devices.items():
            if heard_s > then_s:
                return
            yield device, heard_s, state

    def __len__(self) -> int:
        return len(self._devices)

    def __iter__(self) -> Iterator[tuple[str, T]]:
        for device, (_, state) in self._devices.items():
            yield device, state
