"""The source against pymodbus's own server: what it reads, and what becomes of a server that goes away."""

# ruff: noqa: D102, D103 - what a test is for is its name
import asyncio
import struct
import threading

import numpy as np
import pytest
from edgeml_modbus import Source
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edge_sdk.errors import ConfigError, Fatal, Retry


class Server:
    """A Modbus TCP server in a thread, with what a sensor would have in its holding registers as unit 7."""

    def __init__(self, registers: list[int], port: int = 0) -> None:
        self._device = SimDevice(7, [SimData(0, values=registers, datatype=DataType.REGISTERS)])
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(port),))
        self._thread.start()
        assert self._ready.wait(10)

    async def _serve(self, port: int) -> None:
        self._stopping = asyncio.Event()
        server = ModbusTcpServer(self._device, address=("127.0.0.1", port))
        await server.serve_forever(background=True)
        self.port = server.transport.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        await server.shutdown()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(10)
        self._loop.close()


@pytest.fixture
def server():
    words = [1000, 65535, 250, *struct.unpack(">4H", struct.pack(">2f", 0.5, -8.25))]
    running = Server(words)
    yield running
    running.stop()


def test_registers_become_samples_at_the_rate(server):
    source = Source(f"127.0.0.1:{server.port}/7", channels=("ax", "ay", "az"), scale=0.001, rate_hz=100)
    blocks = [block for block, _ in zip(source, range(20), strict=False)]
    source.close()
    np.testing.assert_allclose(np.concatenate([b.samples for b in blocks]), [[1.0, -0.001, 0.25]] * 20)
    assert {(block.channels, block.rate_hz) for block in blocks} == {(("ax", "ay", "az"), 100)}
    assert blocks[-1].time_s - blocks[0].time_s >= 19 / 100 - 0.005
    assert any(block.gap for block in blocks) == (source.missed > 0)


def test_numbers_of_two_registers(server):
    source = Source(f"127.0.0.1:{server.port}/7", channels=("a", "b"), address=3, kind="float32")
    assert next(iter(source)).samples.tolist() == [[0.5, -8.25]]
    source.close()


def test_a_server_that_goes_away_is_worth_another_try(server):
    source = Source(f"127.0.0.1:{server.port}/7", channels=("ax",), rate_hz=100)
    blocks = iter(source)
    next(blocks)
    server.stop()
    with pytest.raises(Retry, match="no answer"):
        list(blocks)
    source.close()
    with pytest.raises(Retry, match="no connection; check host and port"):
        Source(f"127.0.0.1:{server.port}/7", channels=("ax",))


def test_what_can_never_work_is_said(server):
    source = Source(f"127.0.0.1:{server.port}/7", channels=("ax",), address=4000)
    with pytest.raises(Fatal, match="refused: found no such register"):
        next(iter(source))
    source.close()
    for location in ("", "127.0.0.1", "127.0.0.1/x"):
        with pytest.raises(ConfigError, match="expected modbus://HOST"):
            Source(location, channels=("ax",))


def test_closing_ends_it_while_it_waits(server):
    source = Source(f"127.0.0.1:{server.port}/7", channels=("ax",), rate_hz=0.01)
    reader = threading.Thread(target=lambda: list(source))
    reader.start()
    source.close()
    reader.join(1)
    assert not reader.is_alive()
