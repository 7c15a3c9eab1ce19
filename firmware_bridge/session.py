"""Sessions with a board: each begins with HELLO, numbers its commands, and ends with whatever fails."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from edge_sdk.errors import DeviceError, SpecError
from firmware_bridge import messages
from firmware_bridge.assembler import Assembler
from firmware_bridge.dialogue import Counters, Dialogue, SessionLostError
from firmware_bridge.messages import Hello
from firmware_bridge.ports import Port
from firmware_bridge.protocol import VERSION, Message, ProtocolError, Type

T = TypeVar("T")
#: How often one call starts over because the board was reset.
_RESTARTS = 8


class Session:
    """What both sides know of each other; begins by itself, and again after it ended.

    Args:
        port: to the board.
        timeout_s: until an answer must have come, s.

    Attributes:
        counters: what happened on the line so far.
        runs: of the model, since it forgot what it had remembered.
        forgot: a session ended, and with it what the model remembered.
    """

    def __init__(self, port: Port, timeout_s: float) -> None:
        self.counters = Counters()
        self.runs, self.forgot = 0, False
        self._timeout_s = timeout_s
        self._dialogue = Dialogue(port, self.counters)
        self._number = 0
        self._hello: Hello | None = None

    def persistently(self, act: Callable[[], T]) -> T:
        """Do something, from the start where the board turns out to have been reset.

        Raises:
            DeviceError: as `act`, or because the board speaks another protocol.
        """
        try:
            for _ in range(_RESTARTS):
                try:
                    return act()
                except SessionLostError:
                    self.end()
                    self.counters.resets += 1
        except SpecError:  # the caller's, before anything was sent
            raise
        except ProtocolError as error:
            self.end()
            raise misunderstood(error) from error
        except BaseException:
            self.end()
            raise
        raise DeviceError(
            "the board is reset again and again",
            found=f"{_RESTARTS} resets in one call",
            remedy="does a watchdog fire, the stack run over, the supply fail? does another program use it?",
        )

    def end(self) -> None:
        """Forget the session: nothing is left that the two sides could disagree about."""
        self._dialogue.session = 0
        self._dialogue.stream = None
        self.forgot = self.forgot or self.runs > 0
        self.runs = 0

    def opened(self) -> Hello:
        """What the board said when the session began, which begins now where there is none."""
        if self._dialogue.session and self._hello is not None:
            return self._hello
        self._dialogue.session = secrets.randbelow((1 << 32) - 1) + 1
        self._number = 0
        hello, inputs, outputs = messages.read_facts(self.ask(Type.HELLO, messages.PART_FACTS).body)
        known = self._hello
        if known is None:
            known = self._hello = self._completed(hello, inputs, outputs)
        elif replace(known, core="", inputs=(), outputs=()) != hello:
            raise DeviceError(
                "there is another model on the board now",
                expected=f"{known.name}, {known.digest}",
                found=f"{hello.name}, {hello.digest}",
                remedy="open the link again",
            )
        return known

    def _completed(self, hello: Hello, inputs: int, outputs: int) -> Hello:
        core = messages.read_text(self.ask(Type.HELLO, messages.PART_CORE).body)
        specs = [
            messages.read_tensor(self.ask(Type.HELLO, messages.PART_TENSORS + index).body)
            for index in range(inputs + outputs)
        ]
        return replace(hello, core=core, inputs=tuple(specs[:inputs]), outputs=tuple(specs[inputs:]))

    @property
    def next_number(self) -> int:
        """Of the next command."""
        return (self._number + 1) & 0xFFFFFFFF

    def numbered(self, kind: Type, argument: int = 0) -> Message:
        """The request of the next command: INIT, RUN or STREAM."""
        return self._dialogue.request(kind, argument, messages.numbered(self.next_number))

    def done(self) -> None:
        """The next command was carried out."""
        self._number = self.next_number

    def forget(self) -> None:
        """Let the model forget what it remembers."""
        self.opened()
        if self.runs:
            self.repeat(self.numbered(Type.INIT))
            self.done()
        self.runs, self.forgot = 0, False

    def ask(self, kind: Type, argument: int = 0, body: bytes = b"", carried: int = 0) -> Message:
        """The answer to a new request, as `Dialogue.ask`."""
        return self._dialogue.ask(
            self._dialogue.request(kind, argument, body), self._timeout_s, carried=carried
        )

    def repeat(self, request: Message) -> Message:
        """The answer to a command, which is carried out once however often it is asked."""
        return self._dialogue.ask(request, self._timeout_s)

    def run(self, request: Message, inputs: tuple[bytes, ...], timeout_s: float) -> Message:
        """The answer to a RUN, likewise; raises WrongSealError too."""
        return self._dialogue.ask(request, timeout_s, tensors=inputs)

    def stream_to(self, assembler: Assembler | None) -> None:
        """Who takes stream messages from now on."""
        self._dialogue.stream = assembler

    def listen(self, timeout_s: float) -> bool:
        """As `Dialogue.listen`."""
        return self._dialogue.listen(timeout_s)


def misunderstood(error: ProtocolError) -> DeviceError:
    """The error for a board of another version."""
    return DeviceError(
        "the board speaks otherwise than this version of edgeml",
        expected=f"version {VERSION} of the protocol",
        found=error,
        remedy="build and flash its firmware again",
    )
