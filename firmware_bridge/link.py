"""A model on a board, called over a line that may lose, damage and repeat whatever it carries."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from edge_sdk.closing import Closing
from edge_sdk.errors import DeviceError, Retry, SpecError
from firmware_bridge import messages
from firmware_bridge.dialogue import Counters, Dialogue, SessionLostError, WrongSealError
from firmware_bridge.messages import Hello, Stats, TensorSpec
from firmware_bridge.patience import Patience
from firmware_bridge.ports import Port
from firmware_bridge.protocol import VERSION, Message, ProtocolError, Type
from firmware_bridge.streaming import Assembler, BoardPrediction, SensorBlock

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

T = TypeVar("T")
#: How often one call starts over because the board was reset, and carries tensors that arrive wrong.
_RESTARTS, _REPEATS = 8, 8
#: So long nothing comes from a stream until the board is asked whether it still streams, s.
_SILENCE_S = 1.0
#: The shortest wait for an answer, s.
_LEAST_S = 0.02


class BoardReset(Retry):
    """The session ended: what the model on the board remembered is gone."""


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
        self.counters = Counters()
        self._port, self._stateful = port, stateful
        self._timeout_s, self._run_timeout_s = timeout_s, run_timeout_s
        self._answering = Patience(0.25, _LEAST_S, timeout_s / 4)
        self._running = Patience(1.0, _LEAST_S, run_timeout_s / 4)
        self._dialogue = Dialogue(port, self.counters)
        #: Of the last command; runs since the model forgot; and whether some were lost with a session.
        self._number, self._runs, self._lost = 0, 0, False
        self._hello: Hello | None = None

    def hello(self) -> Hello:
        """What the board says about itself and its model; asked once a session.

        Raises:
            DeviceError: no answer, another version of the protocol, or another model than before.
        """
        return self._persistently(self._opened)

    def reset_state(self) -> None:
        """Let the model forget.

        Raises:
            DeviceError: no answer.
        """
        self._persistently(self._forget)

    def invoke(self, inputs: Sequence[bytes]) -> Outcome:
        """Run the model once.

        Args:
            inputs: bytes of each, as the tensors hold them, in the model's order.

        Raises:
            SpecError: not as many inputs as the model has, or not as many bytes.
            BoardReset: what the model remembered is gone; the next call runs one that remembers nothing.
            DeviceError: no answer, or the board met a fault.
        """
        return self._persistently(lambda: self._infer(inputs))

    def stats(self) -> Stats:
        """What the board counted since it started.

        Raises:
            DeviceError: no answer.
        """

        def ask() -> Stats:
            self._opened()
            return messages.read_stats(self._ask(Type.STATS).body)

        return self._persistently(ask)

    def stream(self) -> Stream:
        """Let the board send sensor blocks or predictions by itself, until the stream is closed.

        The model's state is forgotten before and after. Of the link only `stats` may be called meanwhile.

        Raises:
            DeviceError: no answer.
        """
        return Stream(self)

    def close(self) -> None:
        """Close the port; may be called twice."""
        self._end_session()
        self._port.close()

    def _persistently(self, act: Callable[[], T]) -> T:
        """Do something, from the start where the board was reset meanwhile.

        Whatever fails ends the session: nothing of it is left that the two sides could disagree about.
        """
        try:
            for _ in range(_RESTARTS):
                try:
                    return act()
                except SessionLostError:
                    self._end_session()
                    self.counters.resets += 1
        except SpecError:
            raise
        except ProtocolError as error:
            self._end_session()
            raise DeviceError(
                "the board speaks otherwise than this version of edgeml",
                expected=f"version {VERSION} of the protocol",
                found=error,
                remedy="build and flash its firmware again",
            ) from error
        except BaseException:
            self._end_session()
            raise
        raise DeviceError(
            "the board is reset again and again",
            found=f"{_RESTARTS} resets in one call",
            remedy="does a watchdog fire, the stack run over, or the supply fail?",
        )

    def _end_session(self) -> None:
        self._dialogue.session = 0
        self._dialogue.stream = None
        self._lost = self._lost or self._runs > 0
        self._runs = 0

    def _opened(self) -> Hello:
        """What the board said when the session began, which begins now where there is none."""
        if self._dialogue.session and self._hello is not None:
            return self._hello
        self._dialogue.session = secrets.randbelow((1 << 32) - 1) + 1
        self._number = self._runs = 0
        hello, inputs, outputs = messages.read_facts(self._ask(Type.HELLO, messages.PART_FACTS).body)
        known = self._hello
        if known is not None and replace(known, core="", inputs=(), outputs=()) == hello:
            return known
        if known is not None:
            raise DeviceError(
                "there is another model on the board now",
                expected=f"{known.name}, {known.digest}",
                found=f"{hello.name}, {hello.digest}",
                remedy="open the link again",
            )
        core = messages.read_text(self._ask(Type.HELLO, messages.PART_CORE).body)
        specs = [
            messages.read_tensor(self._ask(Type.HELLO, messages.PART_TENSORS + index).body)
            for index in range(inputs + outputs)
        ]
        self._hello = replace(hello, core=core, inputs=tuple(specs[:inputs]), outputs=tuple(specs[inputs:]))
        return self._hello

    def _forget(self) -> None:
        self._opened()
        if self._runs:
            self._command(Type.INIT)
        self._runs, self._lost = 0, False

    def _infer(self, inputs: Sequence[bytes]) -> Outcome:
        hello = self._opened()
        _check(hello, inputs)
        if self._lost and self._stateful:
            self._lost = False
            raise BoardReset(
                f"{hello.name}: what the model remembered is gone",
                found="a board that was reset, or a call that failed",
                remedy="begin the sequence again, or reset_state() before each window that stands for itself",
            )
        number = self._next_number()
        request = self._dialogue.request(Type.RUN, body=messages.numbered(number))
        self._runs += 1  # from here on it may have run
        answer = self._run(hello, request, number, inputs)
        self._number = number
        for _ in range(_REPEATS):
            outputs = tuple(
                self._output(hello, number, index, spec.bytes) for index, spec in enumerate(hello.outputs)
            )
            if answer.sealed(outputs) == answer.seal:
                told, ticks = messages.read_ticks(answer.body)
                if told == number:
                    return Outcome(outputs, ticks * hello.tick_numerator / hello.tick_denominator)
            self.counters.resends += 1
            answer = self._dialogue.ask(request, self._running, self._run_timeout_s, inputs)
        raise DeviceError(
            "the outputs arrive damaged again and again",
            remedy="does the program on the board run the model by itself, or is the line very poor?",
        )

    def _run(self, hello: Hello, request: Message, number: int, inputs: Sequence[bytes]) -> Message:
        """Carry the inputs and run; its answer, whose seal is over the outputs."""
        for _ in range(_REPEATS):
            for index, data in enumerate(inputs):
                for offset in range(0, len(data), hello.max_payload):
                    part = bytes(data[offset : offset + hello.max_payload])
                    self._ask(Type.INPUT, index, messages.chunk(number, offset, len(data), part))
            try:
                return self._dialogue.ask(request, self._running, self._run_timeout_s, inputs)
            except WrongSealError:
                self.counters.resends += 1
        raise DeviceError(
            "the inputs arrive damaged again and again",
            remedy="does the program on the board run the model by itself, or is the line very poor?",
        )

    def _output(self, hello: Hello, number: int, index: int, size: int) -> bytes:
        """An output, not yet compared with the seal."""
        data = b""
        while len(data) < size:
            want = min(hello.max_payload, size - len(data))
            answer = self._ask(Type.OUTPUT, index, messages.chunk(number, len(data), want))
            *_, part = messages.read_chunk(answer.body)
            if len(part) != want:  # whatever else it is, it is not right
                part = bytes(want)
            data += part
        return data

    def _next_number(self) -> int:
        return (self._number + 1) & 0xFFFFFFFF

    def _command(self, kind: Type, argument: int = 0) -> Message:
        """Carry out INIT or STREAM; its request, to be repeated."""
        number = self._next_number()
        request = self._dialogue.request(kind, argument, messages.numbered(number))
        self._dialogue.ask(request, self._answering, self._timeout_s)
        self._number = number
        return request

    def _ask(self, kind: Type, argument: int = 0, body: bytes = b"") -> Message:
        request = self._dialogue.request(kind, argument, body)
        return self._dialogue.ask(request, self._answering, self._timeout_s)


class Stream(Closing):
    """Messages that a board sends by itself; get one with `Link.stream`.

    Iterating waits for each message, and ends when the stream is closed.

    Args:
        link: to the board.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._request: Message | None = None
        self._heard_s = 0.0
        link._persistently(self._begin)

    def receive(self, timeout_s: float) -> SensorBlock | BoardPrediction | None:
        """The next message; None where none comes in that time.

        Raises:
            BoardReset: the board was reset and streams no more.
            DeviceError: the board does not answer any more, or met a fault.
        """
        request = self._request
        if request is None:
            return None
        try:
            return self._next(request, time.monotonic() + timeout_s)
        except SessionLostError as error:
            self._request = None
            self._link._end_session()
            self._link.counters.resets += 1
            raise BoardReset(
                "the board was reset and streams no more", remedy="open the stream again"
            ) from error
        except BaseException:
            self._request = None
            self._link._end_session()
            raise

    def close(self) -> None:
        """End the stream, where the board still hears it; may be called twice."""
        if self._request is None:
            return
        self._request = None
        link = self._link
        try:
            with contextlib.suppress(DeviceError, SessionLostError):
                link._command(Type.STREAM, 0)
                link._dialogue.stream = None
                return
            link._end_session()
        except BaseException:
            link._end_session()
            raise

    def __iter__(self) -> Iterator[SensorBlock | BoardPrediction]:
        while self._request is not None:
            message = self.receive(_SILENCE_S)
            if message is not None:
                yield message

    def _begin(self) -> None:
        link = self._link
        hello = link._opened()
        link._dialogue.stream = Assembler(len(hello.outputs))
        self._request = link._command(Type.STREAM, 1)
        link._runs, link._lost = 0, False
        self._heard_s = time.monotonic()

    def _next(self, request: Message, until_s: float) -> SensorBlock | BoardPrediction | None:
        link, dialogue = self._link, self._link._dialogue
        while dialogue.stream is not None:
            message = dialogue.stream.next()
            if message is not None:
                link.counters.messages_lost += message.lost
                return message
            now_s = time.monotonic()
            if now_s >= until_s:
                return None
            if now_s - self._heard_s > _SILENCE_S:
                dialogue.ask(request, link._answering, link._timeout_s)
                self._heard_s = time.monotonic()
            elif dialogue.listen(min(until_s, self._heard_s + _SILENCE_S) - now_s):
                self._heard_s = time.monotonic()
        return None


def _check(hello: Hello, inputs: Sequence[bytes]) -> None:
    found = [len(data) for data in inputs]
    expected = [spec.bytes for spec in hello.inputs]
    if found != expected:
        raise SpecError(f"{hello.name}: the inputs", expected=f"{expected} bytes", found=f"{found} bytes")
