"""A stream from a board: what it sends by itself, until it is told to stop or is reset."""

from __future__ import annotations

import time
from collections.abc import Iterator

from edge_sdk.closing import Closing
from edge_sdk.errors import DeviceError, Retry
from firmware_bridge.assembler import Assembler, BoardPrediction, SensorBlock
from firmware_bridge.dialogue import SessionLostError
from firmware_bridge.protocol import Message, ProtocolError, Type
from firmware_bridge.session import Session, misunderstood

#: So long nothing comes until the board is asked whether it still streams, s.
_SILENCE_S = 1.0


class BoardReset(Retry):
    """The session ended: what the model on the board remembered is gone."""


class Stream(Closing):
    """Messages that a board sends by itself; get one with `Link.stream`.

    Iterating waits for each message, and ends when the stream is closed.

    Args:
        session: with the board.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._request, self._assembler = session.persistently(self._begin)
        self._heard_s = time.monotonic()
        self._is_open = True

    def _begin(self) -> tuple[Message, Assembler]:
        session = self._session
        assembler = Assembler(len(session.opened().outputs))
        session.stream_to(assembler)
        request = session.numbered(Type.STREAM, 1)
        session.repeat(request)
        session.done()
        session.runs, session.forgot = 0, False
        return request, assembler

    def receive(self, timeout_s: float) -> SensorBlock | BoardPrediction | None:
        """The next message; None where none comes in that time, or the stream is closed.

        Raises:
            BoardReset: the board was reset and streams no more.
            DeviceError: the board does not answer any more, or met a fault.
        """
        until_s = time.monotonic() + timeout_s
        while self._is_open:
            message = self._assembler.next()
            if message is not None:
                self._session.counters.messages_lost += message.lost
                return message
            now_s = time.monotonic()
            if now_s >= until_s:
                break
            self._wait(now_s, until_s)
        return None

    def close(self) -> None:
        """End the stream, where the board still hears it; may be called twice."""
        if not self._is_open:
            return
        self._is_open = False
        session = self._session
        try:
            session.repeat(session.numbered(Type.STREAM, 0))
            session.done()
            session.stream_to(None)
        except (DeviceError, SessionLostError):  # another session ends it too
            session.end()
        except BaseException:
            session.end()
            raise

    def __iter__(self) -> Iterator[SensorBlock | BoardPrediction]:
        while self._is_open:
            message = self.receive(_SILENCE_S)
            if message is not None:
                yield message

    def _wait(self, now_s: float, until_s: float) -> None:
        """Take what comes; ask a board that is silent whether it streams still."""
        session = self._session
        try:
            if now_s - self._heard_s > _SILENCE_S:
                session.repeat(self._request)
                self._heard_s = time.monotonic()
            elif session.listen(min(until_s, self._heard_s + _SILENCE_S) - now_s):
                self._heard_s = time.monotonic()
        except SessionLostError as error:
            self._abandon()
            session.counters.resets += 1
            raise BoardReset(
                "the board was reset and streams no more", remedy="open the stream again"
            ) from error
        except ProtocolError as error:
            self._abandon()
            raise misunderstood(error) from error
        except BaseException:
            self._abandon()
            raise

    def _abandon(self) -> None:
        self._is_open = False
        self._session.end()
