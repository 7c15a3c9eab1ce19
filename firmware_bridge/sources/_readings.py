"""What a board streams, as blocks and predictions of a pipeline."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_sdk.blocks import Block, Fault, boottime_s
from edge_sdk.contract import Input
from edge_sdk.errors import SpecError
from edge_sdk.prediction import Prediction
from edge_sdk.runtimes import Port
from firmware_bridge.link import BoardPrediction, Hello, SensorBlock
from firmware_bridge.sources._clock import BoardClock

#: What is taken of what a board sends.
Take = Literal["any", "predictions", "samples"]


class Readings:
    """Turns the messages of one stream into what a source yields.

    Args:
        hello: what the board said about itself.
        wanted: what the model was trained with, where that is known.
        channels: names of the columns; none takes the model's.
        device: what the board is called.
        take: which messages; the others are left out.
    """

    def __init__(
        self, hello: Hello, wanted: Input | None, channels: tuple[str, ...], device: str, take: Take
    ) -> None:
        self._outputs = [
            Port(spec.name, spec.shape, spec.dtype, (spec.scale, spec.zero_point)) for spec in hello.outputs
        ]
        self._wanted, self._channels, self._device, self._take = wanted, channels, device, take
        self._clock, self._was_set = BoardClock(), False

    def read(self, message: SensorBlock | BoardPrediction) -> Iterator[Block | Prediction | Fault]:
        """A message, and what is to be said about it."""
        if message.lost:
            yield self._fault("lost", f"{message.lost} messages of the stream are missing", gap=True)
        if isinstance(message, BoardPrediction):
            yield from self._prediction(message)
        else:
            yield from self._block(message)

    def _prediction(self, message: BoardPrediction) -> Iterator[Prediction | Fault]:
        if self._take == "samples":
            return
        try:
            parts = [
                self._values(port, data) for port, data in zip(self._outputs, message.outputs, strict=True)
            ]
        except ValueError:  # the board's HELLO said otherwise
            found = ", ".join(str(len(data)) for data in message.outputs)
            yield self._fault("garbage", f"a prediction of {found} bytes", gap=True)
            return
        time_s = self._when(message.time_us, 0.0)
        yield from self._jumps()
        yield Prediction.of(np.concatenate(parts), device=self._device, time_s=time_s)

    def _block(self, message: SensorBlock) -> Iterator[Block | Fault]:
        if self._take == "predictions":
            return
        count, rate_hz = len(message.samples), message.rate_hz
        if not rate_hz and self._wanted is not None:
            rate_hz = self._wanted.rate_hz or 0.0
        if not (math.isfinite(rate_hz) and rate_hz > 0):
            yield Fault("garbage", count, f"a block at {rate_hz:g} Hz", self._device)
            return
        time_s = self._when(message.time_us, count / rate_hz)
        yield from self._jumps()
        wall_s = time.time() - (boottime_s() - time_s)
        names = self._names(message.samples.shape[1])
        yield Block(message.samples, rate_hz, names, self._device, time_s, wall_s)

    def _names(self, columns: int) -> tuple[str, ...]:
        """What the columns are called; nothing where the model's names are not as many.

        Raises:
            SpecError: the option names more columns, or fewer, than the board sends.
        """
        if self._channels and len(self._channels) != columns:
            raise SpecError(
                f"channels of {self._device or 'the board'}",
                expected=f"{columns}, as it sends",
                found=", ".join(self._channels),
            )
        names = self._channels or (self._wanted.names if self._wanted else ())
        return names if len(names) == columns else ()

    def _when(self, time_us: int, lasts_s: float) -> float:
        """When something began that was over `lasts_s` later, by this machine's clock, s."""
        now_s = boottime_s()
        if not time_us:  # the board has no clock
            return now_s - lasts_s
        over_s = time_us / 1e6 + lasts_s
        self._was_set = not self._clock.note(over_s, now_s)
        return min(self._clock.at(over_s), now_s) - lasts_s

    def _jumps(self) -> Iterator[Fault]:
        """A fault where the board's clock was set just now."""
        if self._was_set:
            self._was_set = False
            yield self._fault("clock", "the board's clock was set")

    def _values(self, port: Port, data: bytes) -> NDArray[np.float32]:
        values = np.frombuffer(data, np.dtype(port.dtype).newbyteorder("<")).reshape(port.window_shape)
        return port.dequantize(values).ravel()

    def _fault(self, reason: str, detail: str, *, gap: bool = False) -> Fault:
        return Fault(reason, detail=detail, device=self._device, gap=gap)
