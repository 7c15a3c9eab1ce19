"""Where the pipelines of a device tell their health: two of them cannot share one port."""

from __future__ import annotations

import fcntl
import socket

from edge_sdk.deploy.manifest import ANY_HEALTH
from edge_sdk.deploy.records import Slot
from edge_sdk.deploy.slots import Slots, pipelines
from edge_sdk.deploy.store import lock, write_durably
from edge_sdk.errors import DeviceError

#: In a manifest: the device may pick the port.
ANY = ANY_HEALTH
#: The first is where a pipeline that runs by itself tells its health, too.
_PORTS = range(9464, 9564)
_FILE = "health"


def address(slot: Slot) -> str:
    """URL of a release's health; empty where it tells none."""
    if slot.manifest.health != ANY:
        return slot.manifest.health
    try:
        return (slot.folder / _FILE).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def settle(slots: Slots, slot: Slot) -> str:
    """Pick a port for a release that leaves it to the device: its pipeline's, else a free one.

    Args:
        slots: of the pipeline.
        slot: of the release, which keeps what was picked.

    Returns:
        ``HOST:PORT`` to be told to the release; empty where it knows by itself.

    Raises:
        DeviceError: none is free.
    """
    if slot.manifest.health != ANY:
        return ""
    with lock(slots.root / "apps", fcntl.LOCK_EX):  # another pipeline may be about to pick one
        url = address(slot) or next((url for url in map(address, slots.all()) if url), "") or _free(slots)
        write_durably(slot.folder / _FILE, f"{url}\n".encode())
    return url.removeprefix("http://").removesuffix("/health")


def _free(slots: Slots) -> str:
    names = [name for name in pipelines(slots.root) if name != slots.name]
    taken = {address(slot) for name in names for slot in Slots(slots.root, name, slots.boot).all()}
    for port in _PORTS:
        url = f"http://127.0.0.1:{port}/health"
        if url not in taken and _is_free(port):
            return url
    raise DeviceError("no port is free for its health", expected=f"one from {_PORTS[0]} to {_PORTS[-1]}")


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
