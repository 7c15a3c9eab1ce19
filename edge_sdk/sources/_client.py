"""One client of the server: its requests one after the other, each answered before the next is looked at."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from enum import Enum
from typing import TYPE_CHECKING, Any

from edge_sdk.errors import one_line
from edge_sdk.sources._request import MAX_HEAD_BYTES, Head, Refused, reply

if TYPE_CHECKING:
    from edge_sdk.sources._server import Server

_LOG = logging.getLogger("edgeml")
_HANDSHAKE_S = 10.0
#: How long a client that was refused may go on sending until it has read why.
_LINGER_S = 2.0
_NEVER = float("inf")


class _State(Enum):
    HEAD = "reads a head"
    BODY = "reads a body"
    WAITING = "waits for the pipeline"
    LINGERING = "was refused, and may still send"


class Client(asyncio.BufferedProtocol):
    """A connection, seen from the server's thread.

    Args:
        server: whose client it is.

    Attributes:
        deadline_s: monotonic time at which the server's patience ends.
    """

    def __init__(self, server: Server) -> None:
        self.deadline_s = _NEVER
        self._server = server
        self._state = _State.HEAD
        self._buffer = bytearray()
        self._head: Head | None = None
        self._reserved = 0
        self._choked = self._is_last = False
        self._transport: asyncio.Transport | None = None
        self._greeting: asyncio.Task[None] | None = None

    @property
    def waits(self) -> bool:
        """Its request is with the pipeline."""
        return self._state is _State.WAITING

    def welcome(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, context: ssl.SSLContext | None
    ) -> None:
        """Begin, with the TLS handshake where there is one."""
        self._greeting = loop.create_task(self._greet(loop, sock, context))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It can be talked to."""
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=MAX_HEAD_BYTES)
        self._transport = transport
        self._be_done_in(self._server.limits.timeout_s)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to read into."""
        return self._server.scratch

    def buffer_updated(self, nbytes: int) -> None:
        """So much was read."""
        if self._state is _State.LINGERING:
            return
        if not self._buffer and self._state is _State.HEAD:
            self._be_done_in(self._server.limits.timeout_s)
        self._buffer += self._server.scratch[:nbytes]
        if self.waits or self._choked:
            if len(self._buffer) > MAX_HEAD_BYTES and self._transport:
                self._transport.pause_reading()
        else:
            self._advance()

    def eof_received(self) -> bool:
        """The client sends nothing more; true where it may still wait for an answer."""
        if self.waits and self._transport and self._transport.get_extra_info("sslcontext") is None:
            self._is_last = True
            return True
        if self._buffer or self._head:
            self._server.note("cut", "a request broke off")
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """It is gone; what it sent before is not."""
        if error is not None and not self.waits and (self._buffer or self._head):
            self._server.note("cut", "a request broke off")
        self._server.bodies_bytes -= self._reserved
        self._reserved = 0
        self._transport = None
        self._server.forget(self)

    def pause_writing(self) -> None:
        """It does not read its answers: it is not read from either."""
        self._choked = True
        self._be_done_in(self._server.limits.timeout_s)

    def resume_writing(self) -> None:
        """It does again."""
        self._choked = False
        self._resume()

    def answer(self, text: bytes) -> None:
        """The pipeline has its request."""
        if self._transport is None:
            return
        assert self._head is not None
        self._write(text, self._head.keep_alive and not self._is_last)
        self._resume()

    def expire(self) -> None:
        """Its time is over."""
        if self._transport is None or self._choked or self._state is _State.LINGERING:
            self.abort()
        elif self._buffer or self._head:
            self._server.note("cut", f"a request was not complete within {self._server.limits.timeout_s:g} s")
            self._refuse(Refused(408, "the request took too long", reason=""))
        else:
            self._transport.close()

    def end(self) -> None:
        """The server ends: who waits is told so."""
        if self.waits and self._transport:
            self._refuse(Refused(503, "the pipeline ends", "Retry-After: 5", reason=""))
        elif self._transport:
            self._transport.close()
        else:
            self.abort()

    def abort(self) -> None:
        """Close it without a word."""
        if self._transport:
            self._transport.abort()
        elif self._greeting:
            self._greeting.cancel()

    async def _greet(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, context: ssl.SSLContext | None
    ) -> None:
        options: dict[str, Any] = {"ssl": context, "ssl_handshake_timeout": _HANDSHAKE_S} if context else {}
        try:
            await loop.connect_accepted_socket(lambda: self, sock, **options)
        except OSError as error:  # ssl.SSLError is one
            self._server.note("refused", f"no TLS: {getattr(error, 'reason', None) or error}")
        finally:
            if self._transport is None:
                self._server.forget(self)
                sock.close()

    def _advance(self) -> None:
        """Deal with everything that is complete."""
        try:
            while not self._choked:
                if self._state is _State.HEAD and not self._read_head():
                    return
                if self._state is not _State.BODY or not self._read_body():
                    return
        except Refused as refusal:
            self._refuse(refusal)
        except Exception as error:  # noqa: BLE001 - a bug that one request shows must not hurt the others
            _LOG.error("http: a request failed unexpectedly: %s: %s", type(error).__name__, one_line(error))
            self._refuse(Refused(500, "this message makes the gateway fail", reason="failed"))

    def _read_head(self) -> bool:
        while self._buffer[:2] == b"\r\n":  # some clients send one after a body
            del self._buffer[:2]
        end = self._buffer.find(b"\r\n\r\n")
        if end > MAX_HEAD_BYTES or (end < 0 and len(self._buffer) > MAX_HEAD_BYTES):
            raise Refused(431, f"a head of more than {MAX_HEAD_BYTES} bytes", reason="garbage")
        if end < 0:
            return False
        head = Head.parse(bytes(self._buffer[:end]))
        self._server.desk.admit(head)
        length = head.length
        if length is None:
            raise Refused(411, "expected a content-length")
        if length > self._server.limits.body_bytes:
            raise Refused(
                413, f"a body of more than {self._server.limits.body_bytes} bytes", reason="oversized"
            )
        self._server.reserve(length)
        self._reserved, self._head, self._state = length, head, _State.BODY
        del self._buffer[: end + 4]
        if head.expects and len(self._buffer) < length and self._transport:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _read_body(self) -> bool:
        """Whether the next request may be looked at."""
        head, length = self._head, self._reserved
        assert head is not None
        if len(self._buffer) < length:
            return False
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        try:
            taken = self._server.desk.take(head, body)
            if not isinstance(taken, bytes):
                taken.client, taken.size = self, length
                self._server.hand_over(taken)
                self._reserved, self._state, self.deadline_s = 0, _State.WAITING, _NEVER
                return False
        except Refused as refusal:
            self._note(refusal)
            taken = reply(refusal.status, {"taken": 0, "error": refusal.why}, refusal.header)
        self._server.bodies_bytes -= length
        self._reserved = 0
        self._write(taken, head.keep_alive)
        return True

    def _write(self, text: bytes, keep_alive: bool) -> None:
        """Answer a request that was read to its end."""
        assert self._transport is not None
        self._head, self._state = None, _State.HEAD
        self._server.was_useful(self)
        self._be_done_in(self._server.limits.timeout_s if self._buffer else self._server.limits.idle_s)
        self._transport.write(text)
        if not keep_alive:
            self._state = _State.LINGERING
            self._transport.close()

    def _refuse(self, refusal: Refused) -> None:
        """Answer a request that was not read to its end; what comes after it cannot be told from it."""
        assert self._transport is not None
        self._note(refusal)
        self._server.bodies_bytes -= self._reserved
        self._reserved, self._head, self._state = 0, None, _State.LINGERING
        self._buffer.clear()
        self._transport.write(
            reply(refusal.status, {"taken": 0, "error": refusal.why}, refusal.header, close=True)
        )
        self._be_done_in(_LINGER_S)
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _note(self, refusal: Refused) -> None:
        if refusal.reason:
            self._server.note(refusal.reason, f"{refusal.status}: {refusal.why}")

    def _resume(self) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.resume_reading()
            self._advance()

    def _be_done_in(self, timeout_s: float) -> None:
        self.deadline_s = time.monotonic() + timeout_s
