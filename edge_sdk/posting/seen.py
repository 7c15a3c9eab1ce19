"""Which requests were taken already, so that one that is sent again is not taken again."""

from __future__ import annotations

from collections import OrderedDict

#: Of each device, and devices; about 5 MB when all are there.
KEYS_PER_DEVICE = 32
_DEVICES = 4096


class Seen:
    """The last keys of each device; devices that were not heard of for the longest are forgotten first.

    A key counts together with its message: a device that counts its keys from 0 after each start sends other
    readings with them.
    """

    def __init__(self) -> None:
        self._devices: OrderedDict[str, OrderedDict[int, None]] = OrderedDict()

    def __contains__(self, request: tuple[str, str, bytes]) -> bool:
        device, *named = request
        return hash(tuple(named)) in self._devices.get(device, ())

    def add(self, request: tuple[str, str, bytes]) -> None:
        """Device, key and message of what was taken."""
        device, *named = request
        keys = self._devices.setdefault(device, OrderedDict())
        self._devices.move_to_end(device)
        keys[hash(tuple(named))] = None
        if len(keys) > KEYS_PER_DEVICE:
            keys.popitem(last=False)
        if len(self._devices) > _DEVICES:
            self._devices.popitem(last=False)
