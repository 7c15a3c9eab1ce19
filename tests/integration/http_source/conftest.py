"""Devices that hang up at the end."""

import pytest

from tests.integration.http_source.devices import Device


@pytest.fixture
def device():
    devices = []

    def connect(*args):
        devices.append(Device(*args))
        return devices[-1]

    yield connect
    for one in devices:
        one.http.close()
