"""``modbus://HOST[:PORT]/UNIT`` asks a Modbus TCP device for its registers at a steady rate."""

import threading
import time
from collections.abc import Iterator
from typing import Literal
from urllib.parse import urlsplit

import numpy as np
from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException

from edge_sdk import Block, ConfigError, Fatal, Retry
from edge_sdk.blocks import boottime_s

#: What a device answers when it will never have these registers.
_NEVER = {1: "no such function", 2: "no such register", 3: "not so many registers"}


class Source:
    """One sample is what some neighbouring registers hold.

    Args:
        location: ``HOST[:PORT]/UNIT``.
        channels: their names, ``pressure,flow``; so many numbers are read.
        address: of the first register, counted from 0.
        table: ``holding`` or ``input`` registers.
        kind: of a number: ``int16``, ``uint16``, ``int32``, ``uint32`` or ``float32``, big-endian.
        scale: what one unit of a number is.
        rate_hz: samples a second.
        timeout_s: for an answer.
        device: name of what is connected; default: the pipeline's device.
    """

    live = True

    def __init__(  # noqa: PLR0913 - the parameters are the options that a URL may have
        self,
        location: str,
        *,
        channels: tuple[str, ...],
        address: int = 0,
        table: Literal["holding", "input"] = "holding",
        kind: Literal["int16", "uint16", "int32", "uint32", "float32"] = "int16",
        scale: float = 1.0,
        rate_hz: float = 10.0,
        timeout_s: float = 0.5,
        device: str = "",
    ) -> None:
        url = urlsplit(f"//{location}")
        if not url.hostname or not url.path[1:].isdigit():
            raise ConfigError(f"modbus:{location}", expected="modbus://HOST[:PORT]/UNIT")
        self.name, self.channels, self.rate_hz, self.device = f"modbus:{location}", channels, rate_hz, device
        self.missed = 0
        self._number, self._scale = getattr(ModbusTcpClient.DATATYPE, kind.upper()), scale
        self._client = ModbusTcpClient(url.hostname, port=url.port or 502, timeout=timeout_s, retries=0)
        self._ask = getattr(self._client, f"read_{table}_registers")
        count = len(channels) * self._number.value[1]
        self._request = {"address": address, "count": count, "device_id": int(url.path[1:])}
        self._closing, self._reading = threading.Event(), False
        if not self._client.connect():
            raise Retry(f"{self.name}: no connection", remedy="check host and port")

    def __iter__(self) -> Iterator[Block]:
        self._reading = True
        try:
            yield from self._blocks()
        finally:
            self._client.close()

    def close(self) -> None:
        """End the iteration; may be called twice, and from any thread."""
        self._closing.set()
        if not self._reading:
            self._client.close()

    def _blocks(self) -> Iterator[Block]:
        due, gap = time.monotonic(), False
        while not self._closing.wait(max(0.0, due - time.monotonic())):
            time_s, wall_s, samples = boottime_s(), time.time(), self._read()
            yield Block(samples, self.rate_hz, self.channels, self.device, time_s, wall_s, gap)
            skipped = max(0, int((time.monotonic() - due) * self.rate_hz))
            self.missed, gap = self.missed + skipped, skipped > 0
            due += (1 + skipped) / self.rate_hz

    def _read(self) -> np.ndarray:
        """float32 [1, channels]."""
        try:
            answer = self._ask(**self._request)
        except (ModbusException, OSError) as error:
            raise Retry(f"{self.name}: no answer", found=error) from error
        if answer.isError():
            reason = _NEVER.get(answer.exception_code)
            verdict = Fatal if reason else Retry
            raise verdict(f"{self.name}: refused", found=reason or f"exception {answer.exception_code}")
        numbers = self._client.convert_from_registers(answer.registers, self._number)
        return np.array(numbers, np.float32).reshape(1, -1) * np.float32(self._scale)
