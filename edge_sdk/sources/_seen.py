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
        self._devices: OrderedDict[str, OrderedDict[int, bool]] = OrderedDict()

    def was_taken(self, device: str, key: str, body: bytes) -> bool | None:
        """True for what was taken, False for what is on its way, None for what is new."""
        keys = self._devices.get(device)
        return None if keys is None else keys.get(hash((key, body)))

    def expect(self, device: str, key: str, body: bytes) -> None:
        """It is on its way."""
        self._note(device, hash((key, body)), taken=False)

    def confirm(self, device: str, key: str, body: bytes) -> None:
        """It was taken."""
        self._note(device, hash((key, body)), taken=True)

    def _note(self, device: str, key: int, *, taken: bool) -> None:
        keys = self._devices.setdefault(device, OrderedDict())
        self._devices.move_to_end(device)
        keys[key] = taken
        if len(keys) > KEYS_PER_DEVICE:
            keys.popitem(last=False)
        if len(self._devices) > _DEVICES:
            self._devices.popitem(last=False)
