"""Two pipelines of a device never tell their health at the same port."""

import socket
import threading

import pytest

from edge_sdk.deploy import health
from edge_sdk.deploy.slots import Slots
from edge_sdk.errors import DeviceError
from tests.unit.edge_sdk.deploy.releases import manifest, send


@pytest.fixture
def device(tmp_path, monkeypatch):
    """Makes slots of a pipeline; ports are above those that something else may have here."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        first = found.getsockname()[1]
    monkeypatch.setattr(health, "_PORTS", range(first, first + 3))
    monkeypatch.setattr(health, "_is_free", lambda _: True)

    def installed(name, serial=1, url=health.ANY):
        slots = Slots(tmp_path, name, boot="first")
        send(slots, serial)
        release = manifest(serial, name=name, health=url)
        slot = slots.install(release.to_bytes(), b"", release)
        return slots, slot, health.settle(slots, slot)

    return installed


def test_each_gets_one_of_its_own_and_keeps_it(device):
    _, first, listen = device("a")
    assert health.address(first) == f"http://{listen}/health"
    _, _, other = device("b")
    assert other != listen
    assert device("a", 2)[2] == listen
    device("c")
    with pytest.raises(DeviceError, match="no port is free"):
        device("d")


def test_what_the_edgeml_toml_says_counts(device):
    _, slot, listen = device("a", url="http://10.0.0.1:80/health")
    assert (health.address(slot), listen) == ("http://10.0.0.1:80/health", "")
    _, slot, listen = device("b", url="")
    assert (health.address(slot), listen) == ("", "")


def test_a_port_that_something_else_has_is_left_alone(device, monkeypatch):
    monkeypatch.undo()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert not health._is_free(taken.getsockname()[1])


def test_two_that_pick_one_at_the_same_time_pick_two(device, monkeypatch):
    picked, free = [], health._free

    def slowly(slots):
        found = free(slots)
        if not second.ident:
            second.start()
            second.join(0.2)
        return found

    second = threading.Thread(target=lambda: picked.append(device("b")[2]))
    monkeypatch.setattr(health, "_free", slowly)
    picked.append(device("a")[2])
    second.join()
    assert len(set(picked)) == 2
