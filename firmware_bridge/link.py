"""A model on a board, called over a line that may lose, damage and repeat whatever it carries."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from edge_sdk.closing import Closing
from edge_sdk.errors import DeviceError, SpecError
from firmware_bridge import messages
from firmware_bridge.assembler import BoardPrediction, SensorBlock
from firmware_bridge.dialogue import Counters, WrongSealError
from firmware_bridge.messages import Hello, Stats, TensorSpec
from firmware_bridge.ports import Port
from firmware_bridge.protocol import Message, Type
from firmware_bridge.session import Session
from firmware_bridge.stream import BoardReset, Stream

__all__ = [
    "BoardPrediction",
    "BoardReset",
    "Counters",
    "Hello",
    "Link",
    "Outcome",
    "SensorBlock",
    "Stats",
    "Stream",
    "TensorSpec",
]

#: How often one call carries tensors that arrive wrong.
_REPEATS = 8
_POOR_LINE = "does the program on the board run the model by itself, or is the line very poor?"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one inference gave.

    Attributes:
        outputs: bytes of each, as the tensors hold them.
        cost: in the board's unit, instructions or nanoseconds.
    """

    outputs: tuple[bytes, ...]
    cost: float


class Link(Closing):
    """A conversation with a board; opens by itself, and again after the board was reset.

    It is for one thread. An error ends the session, and the next call begins another one, with the model's
    state forgotten: where the model may have remembered something, `invoke` says so before it goes on.

    Args:
        port: to the board; closed with the link.
        timeout_s: until an answer must have come, repeated requests included, s.
        run_timeout_s: the same for an inference, s.
        stateful: the model may remember something from one inference to the next: then a board that was reset
            is an error, `BoardReset`. Of a model that does not, the inference is begun again.

    Attributes:
        counters: what happened on the line so far.
    """

    def __init__(
        self, port: Port, *, timeout_s: float = 5.0, run_timeout_s: float = 60.0, stateful: bool = True
    ) -> None:
        self._port, self._stateful, self._run_timeout_s = port, stateful, run_timeout_s
        self._session = Session(port, timeout_s)
        self.counters = self._session.counters

    def hello(self) -> Hello:
        """What the board says about itself and its model; asked once.

        Raises:
            DeviceError: no answer, another version of the protocol, or another model than before.
        """
        return self._session.persistently(self._session.opened)

    def reset_state(self) -> None:
        """Let the model forget.

        Raises:
            DeviceError: no answer.
        """
        self._session.persistently(self._session.forget)

    def invoke(self, inputs: Sequence[bytes]) -> Outcome:
        """Run the model once.

        Args:
            inputs: bytes of each, as the tensors hold them, in the model's order.

        Raises:
            SpecError: not as many inputs as the model has, or not as many bytes.
            BoardReset: what the model remembered is gone; the next call runs one that remembers nothing.
            DeviceError: no answer, or the board met a fault.
        """
        return self._session.persistently(lambda: self._infer(tuple(inputs)))

    def stats(self) -> Stats:
        """What the board counted since it started.

        Raises:
            DeviceError: no answer.
        """

        def ask() -> Stats:
            self._session.opened()
            return messages.read_stats(self._session.ask(Type.STATS).body)

        return self._session.persistently(ask)

    def stream(self) -> Stream:
        """Let the board send sensor blocks or predictions by itself, until the stream is closed.

        The model's state is forgotten before and after. Of the link only `stats` may be called meanwhile.

        Raises:
            DeviceError: no answer.
        """
        return Stream(self._session)

    def close(self) -> None:
        """Close the port; may be called twice."""
        self._session.end()
        self._port.close()

    def _infer(self, inputs: tuple[bytes, ...]) -> Outcome:
        session = self._session
        hello = session.opened()
        _check(hello, inputs)
        if session.forgot and self._stateful:
            session.forgot = False
            raise BoardReset(
                f"{hello.name}: what the model remembered is gone",
                found="a board that was reset, or a call that failed",
                remedy="begin the sequence again, or reset_state() before each window that stands for itself",
            )
        number, request = session.next_number, session.numbered(Type.RUN)
        answer = self._run(hello, request, inputs)
        session.done()
        for _ in range(_REPEATS):
            outputs = tuple(
                self._output(hello, number, index, spec.bytes) for index, spec in enumerate(hello.outputs)
            )
            if answer.sealed(outputs) == answer.seal:
                session.runs += 1
                _, ticks = messages.read_ticks(answer.body)
                return Outcome(outputs, ticks * hello.tick_numerator / hello.tick_denominator)
            self.counters.resends += 1
            with contextlib.suppress(WrongSealError):  # it has run: only this repetition arrived damaged
                answer = session.run(request, inputs, self._run_timeout_s)
        raise DeviceError("the outputs arrive damaged again and again", remedy=_POOR_LINE)

    def _run(self, hello: Hello, request: Message, inputs: tuple[bytes, ...]) -> Message:
        """Carry the inputs and run; its answer, whose seal is over the outputs."""
        session, payload = self._session, hello.max_payload
        for _ in range(_REPEATS):
            for index, data in enumerate(inputs):
                for offset in range(0, len(data), payload):
                    part = data[offset : offset + payload]
                    body = messages.chunk(session.next_number, offset, len(data), part)
                    session.ask(Type.INPUT, index, body, carried=len(part))
            try:
                return session.run(request, inputs, self._run_timeout_s)
            except WrongSealError:
                self.counters.resends += 1
        raise DeviceError("the inputs arrive damaged again and again", remedy=_POOR_LINE)

    def _output(self, hello: Hello, number: int, index: int, size: int) -> bytes:
        """An output, not yet compared with the seal."""
        data = bytearray(size)
        for offset in range(0, size, hello.max_payload):
            want = min(hello.max_payload, size - offset)
            body = messages.chunk(number, offset, want)
            part = messages.read_chunk(self._session.ask(Type.OUTPUT, index, body, carried=want).body)
            if len(part) == want:  # otherwise it is wrong, and so will be the seal
                data[offset : offset + want] = part
        return bytes(data)


def _check(hello: Hello, inputs: tuple[bytes, ...]) -> None:
    found, expected = [len(data) for data in inputs], [spec.bytes for spec in hello.inputs]
    if found != expected:
        raise SpecError(f"{hello.name}: the inputs", expected=f"{expected} bytes", found=f"{found} bytes")
