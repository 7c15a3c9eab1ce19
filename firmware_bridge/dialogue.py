"""Questions and answers over a port: tags, timeouts, retransmission, and what comes unasked between them."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from edge_sdk.errors import DeviceError, Retry
from firmware_bridge.assembler import Assembler
from firmware_bridge.crash import board_fault
from firmware_bridge.messages import read_fault, read_number
from firmware_bridge.patience import Patience
from firmware_bridge.ports import Port
from firmware_bridge.protocol import ANSWER, REASONS, Code, Deframer, Message, ProtocolError, Type

#: Until a request is sent again before anything was measured: any, a RUN, and for each byte at 9600 baud, s.
_ANSWER_S, _RUN_S, _BYTE_S = 0.25, 1.0, 0.001
#: No request is repeated sooner than this, s.
_LEAST_S = 0.02
#: Nor a RUN sooner than this, on a line that never lost anything, s.
_PEACE_S = 5.0
#: A request that is refused so often was not damaged on its way.
_REFUSALS = 3


class SessionLostError(Exception):
    """The board knows this session no more."""


class WrongSealError(Exception):
    """The inputs of a run are not those that were sent."""


@dataclass(slots=True)
class Counters:
    """What this side of a link counted.

    Attributes:
        frames_sent: requests, repeated ones included.
        frames_received: good ones.
        bytes_sent: likewise.
        bytes_received: good or not.
        retransmissions: requests that were sent again, because no answer came in time.
        damaged: frames that arrived and were none.
        garbage: bytes of those.
        stale: good frames that answer no open question.
        resends: tensors that had arrived wrong in spite of every CRC-16, and were carried again.
        resets: sessions that the board had lost.
        messages_lost: of streams.
    """

    frames_sent: int = 0
    frames_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    retransmissions: int = 0
    damaged: int = 0
    garbage: int = 0
    stale: int = 0
    resends: int = 0
    resets: int = 0
    messages_lost: int = 0


class Dialogue:
    """One question at a time, asked until it is answered.

    Args:
        port: to the board.
        counters: to count in.

    Attributes:
        session: that requests speak of.
        stream: takes stream messages; None where there is no stream.
    """

    def __init__(self, port: Port, counters: Counters) -> None:
        self.session = 0
        self.stream: Assembler | None = None
        self._port, self._counters = port, counters
        self._deframer = Deframer()
        self._tag = secrets.randbelow(1 << 16)
        self._fault: DeviceError | None = None
        self._patiences: dict[tuple[int, int], Patience] = {}

    def request(self, kind: Type, argument: int = 0, body: bytes = b"") -> Message:
        """A new request, with a tag of its own."""
        self._tag = (self._tag + 1) & 0xFFFF
        return Message(kind, argument, self._tag, self.session, body)

    def ask(
        self, request: Message, limit_s: float, *, tensors: Sequence[bytes] = (), carried: int = 0
    ) -> Message:
        """The answer to a request, which is sent again and again, the same bytes each time.

        Args:
            request: of `request`; one that was answered may be asked again.
            limit_s: until it must have come, s.
            tensors: that the seal of a RUN is over.
            carried: bytes of tensors in request and answer.

        Raises:
            SessionLostError: the board was reset.
            WrongSealError: the inputs of a RUN arrived wrong.
            Retry: no answer in time, or the connection broke.
            DeviceError: the board refuses, or met a fault.
        """
        frame, patience = request.encode(tensors), self._patience(request, carried, limit_s)
        heard, refusals = self._counters.bytes_received, 0
        until_s = time.monotonic() + limit_s
        patience.asked()
        for attempt in itertools.count():
            sent_s = time.monotonic()
            if attempt and sent_s >= until_s:
                break
            self._counters.retransmissions += attempt > 0
            self._counters.frames_sent += 1
            self._counters.bytes_sent += len(frame)
            self._port.write(frame)
            answer = self._await(request, min(sent_s + patience.wait_s, until_s))
            if answer is None and request.type == Type.RUN and not self._loses:
                # It arrived, then: asking again would only disturb what is being measured.
                patience.extend(min(_PEACE_S, limit_s / 4))
                answer = self._await(request, min(sent_s + patience.wait_s, until_s))
            if answer is None:
                patience.silent()
            elif answer.type == Type.ERROR:
                refusals += 1
                _refuse(request, answer, refusals)
            else:
                patience.answered(time.monotonic() - sent_s, attempt)
                if request.type == Type.HELLO:
                    self._fault = None  # of before: the board runs again
                return answer
        self._raise_fault()
        found = self._counters.bytes_received - heard
        raise Retry(
            f"the board does not answer {Type(request.type).name}",
            expected=f"an answer within {limit_s:g} s",
            found=f"{found} bytes that are none" if found else "nothing",
            remedy="is it connected, powered, flashed with the bridge's firmware, and the baud rate right?",
        )

    @property
    def _loses(self) -> bool:
        """Whether anything was ever lost; a request that was repeated for nothing is answered twice."""
        counters = self._counters
        return counters.damaged > 0 or counters.retransmissions > counters.stale

    def _patience(self, request: Message, carried: int, limit_s: float) -> Patience:
        """Of requests of this type and size: a slow line takes long for large ones."""
        key = request.type, carried
        if key not in self._patiences:
            first_s = _RUN_S if request.type == Type.RUN else _ANSWER_S + carried * _BYTE_S
            self._patiences[key] = Patience(first_s, _LEAST_S, limit_s / 4)
        return self._patiences[key]

    def listen(self, timeout_s: float) -> bool:
        """Take stream messages for so long, or until anything came; whether a good frame did.

        Raises:
            DeviceError: the connection broke, or the board met a fault.
        """
        before = self._counters.frames_received
        self._read(timeout_s, None)
        self._raise_fault()
        return self._counters.frames_received > before

    def _await(self, request: Message, until_s: float) -> Message | None:
        """What answers the request; None where nothing does in time."""
        while True:
            left_s = until_s - time.monotonic()
            answer = self._read(max(left_s, 0.0), request)
            if answer is not None:
                return answer
            if request.type != Type.HELLO:  # a fault from before a session began may be over
                self._raise_fault()
            if left_s <= 0:
                return None

    def _raise_fault(self) -> None:
        """Raise what a FAULT said, once."""
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    def _read(self, timeout_s: float, request: Message | None) -> Message | None:
        """Take what comes; the answer to the request among it."""
        data = self._port.read(timeout_s)
        counters, deframer, found = self._counters, self._deframer, None
        counters.bytes_received += len(data)
        for message in deframer.feed(data):
            counters.frames_received += 1
            if message.type == Type.FAULT:
                self._fault = board_fault(*read_fault(message.body))
            elif request is not None and _answers(message, request):
                found = message
            elif self.stream is not None and message.session == self.session and _streams(message):
                self.stream.take(message)
            else:
                counters.stale += 1
        counters.damaged, counters.garbage = deframer.damaged, deframer.garbage
        return found


def _answers(message: Message, request: Message) -> bool:
    return (
        message.tag == request.tag
        and message.session == request.session
        and message.type in (request.type | ANSWER, Type.ERROR)
    )


def _streams(message: Message) -> bool:
    return message.type in (Type.BLOCK, Type.PREDICTION)


def _refuse(request: Message, answer: Message, times: int) -> None:
    """Raise what an ERROR means; return where the request may have been damaged on its way."""
    code, name = answer.argument, Type(request.type).name
    if code == Code.SESSION:
        raise SessionLostError
    if code == Code.SEAL and request.type == Type.RUN:
        raise WrongSealError
    if code not in REASONS:
        raise ProtocolError(f"error {code} in answer to {name}")
    if times == _REFUSALS:
        detail = read_number(answer.body)
        raise DeviceError(f"the board refuses {name}", found=f"{REASONS[Code(code)]} ({detail})")
