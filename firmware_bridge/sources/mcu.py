"""``mcu:PORT`` reads what a microcontroller with the bridge's firmware streams: samples, or predictions."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import serial

from edge_sdk.blocks import Block, Fault
from edge_sdk.closing import Closing
from edge_sdk.contract import Input
from edge_sdk.errors import ConfigError, DeviceError, EdgeError, Retry, one_line
from edge_sdk.prediction import Prediction
from firmware_bridge import ports
from firmware_bridge.link import BoardReset, Hello, Link, Stream
from firmware_bridge.protocol import ProtocolError
from firmware_bridge.sources._readings import Readings, Take

#: How often it is looked whether to go on, s, and how long a board is given to end its stream.
_POLL_S, _FAREWELL_S = 0.1, 0.5


class Source(Closing):
    """A board that calls ``edgeml_bridge_send_block`` or ``edgeml_bridge_send_prediction``.

    Whatever pyserial opens works: ``/dev/ttyACM0``, ``socket://127.0.0.1:7000``, a pty. Predictions go to the
    model whose digest the board names, without a runtime here. Times are the board's, put on this machine's
    clock. Lost messages, resets and faults of the firmware are counted, and no window spans them.

    Args:
        location: the port.
        baud: bits a second.
        take: of what the board sends: ``any``, ``predictions`` (then no runtime is loaded), or ``samples``.
        channels: names of the columns of its samples, ``ax,ay,az``; default: the model's.
        timeout_s: seconds without a message until the fault ``silence`` is counted, each time anew.
        answer_s: seconds that a board, perhaps just reset by the port's opening, has for its first answer.
        device: name of the board; default: the pipeline's device.
    """

    live = True

    def __init__(  # noqa: PLR0913 - the parameters are the options that a URL may have
        self,
        location: str,
        *,
        baud: Annotated[int, msgspec.Meta(gt=0)] = 115200,
        take: Take = "any",
        channels: tuple[str, ...] = (),
        timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0,
        answer_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0,
        device: str = "",
    ) -> None:
        self.location, self.take, self.channels = location, take, channels
        self.timeout_s, self.device = timeout_s, device
        self._expected: Input | None = None
        self._hello: Hello | None = None
        self._closing = threading.Event()
        self._reading = False
        try:
            self._port = _Interruptible(ports.open_serial(location, baud))
        except EdgeError as error:
            raise self._named(error, type(error)) from error
        self._link = Link(self._port, timeout_s=answer_s)

    def expect(self, wanted: Input) -> None:
        """What the model was trained with: the default for `channels`."""
        self._expected = wanted

    @classmethod
    def predicts_with(cls, take: str = "any", **options: Any) -> bool:
        """Whether predictions come and no samples."""
        return take == "predictions"

    @classmethod
    def preflight(cls, location: str, wanted: Input | None, **options: Any) -> None:
        """Read the options as `edgeml check` does, without opening the port.

        Raises:
            ConfigError: they cannot work.
        """
        try:
            if not location:
                raise ValueError("no port")
            serial.serial_for_url(location, do_not_open=True)
        except ValueError as error:
            raise ConfigError(
                f"mcu:{location}", expected="mcu:PORT, such as mcu:///dev/ttyACM0", found=error
            ) from error
        channels = options.get("channels", ())
        if wanted is not None and channels and not set(wanted.names) <= set(channels):
            raise ConfigError("mcu: channels", expected=", ".join(wanted.names), found=", ".join(channels))

    @property
    def digest(self) -> str | None:
        """Of the model on the board; None before it has answered."""
        return None if self._hello is None else self._hello.digest

    @property
    def missed(self) -> int:
        """Messages that were lost on their way here."""
        return self._link.counters.messages_lost

    def __iter__(self) -> Iterator[Block | Prediction | Fault]:
        self._reading = True
        try:
            while not self._closing.is_set():
                yield from self._listen()
        except DeviceError as error:
            if not self._closing.is_set():
                raise self._named(error) from error
        finally:
            self._reading = False
            self._link.close()

    def close(self) -> None:
        """End the iteration; may be called twice, and from any thread."""
        self._closing.set()
        self._port.until_s = min(self._port.until_s, time.monotonic() + _FAREWELL_S)
        if not self._reading:
            self._link.close()

    def _listen(self) -> Iterator[Block | Prediction | Fault]:
        """What comes until the board is reset.

        Raises:
            DeviceError: the board or the way to it failed.
        """
        self._hello = self._link.hello()
        readings = Readings(self._hello, self._expected, self.channels, self.device, self.take)
        with self._link.stream() as stream:
            try:
                yield from self._stream(stream, readings)
            except BoardReset as error:
                yield self._fault("reset", one_line(error))
            except Retry:
                raise
            except DeviceError as error:
                is_nonsense = isinstance(error.__cause__, ProtocolError)
                yield self._fault("garbage" if is_nonsense else "crash", one_line(error))
                raise
            except GeneratorExit:  # a board that is gone does not hold the reader who has seen enough
                self.close()
                raise

    def _stream(self, stream: Stream, readings: Readings) -> Iterator[Block | Prediction | Fault]:
        """Messages, and what is missing between them."""
        damaged, heard_s = self._link.counters.damaged, time.monotonic()
        while not self._closing.is_set():
            message = stream.receive(_POLL_S)
            if (found := self._link.counters.damaged) != damaged:
                yield Fault("garbage", 0, f"{found - damaged} frames were damaged", self.device)
                damaged = found
            if message is not None:
                heard_s = time.monotonic()
                yield from readings.read(message)
            elif time.monotonic() - heard_s > self.timeout_s:
                heard_s = time.monotonic()
                yield self._fault("silence", f"no message for {self.timeout_s:g} s")

    def _fault(self, reason: str, detail: str) -> Fault:
        return Fault(reason, 0, detail, self.device, gap=True)

    def _named(self, error: EdgeError, kind: type[EdgeError] = Retry) -> EdgeError:
        """An error with the port's name; of a board, everything may be well another time."""
        what = f"mcu:{self.location}: {error.what.removeprefix(f'{self.location}: ')}"
        return kind(what, expected=error.expected, found=error.found, remedy=error.remedy)


class _Interruptible:
    """A port whose reads end soon after it was told that they shall.

    Attributes:
        until_s: monotonic time from which nothing is read any more.
    """

    def __init__(self, port: ports.Port) -> None:
        self.until_s = math.inf
        self._port = port

    def read(self, timeout_s: float) -> bytes:
        """What has come."""
        end_s = time.monotonic() + timeout_s
        while True:
            now_s = time.monotonic()
            if now_s > self.until_s:
                raise Retry("closed")
            data = self._port.read(min(_POLL_S, max(0.0, end_s - now_s)))
            if data or now_s >= end_s:
                return data

    def write(self, data: bytes) -> None:
        """Send all of it."""
        self._port.write(data)

    def close(self) -> None:
        """Release it."""
        self._port.close()
