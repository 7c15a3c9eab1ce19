"""One client of the server: its requests one after the other, each answered before the next is looked at."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Any

from edge_sdk.posting.request import MAX_HEAD_BYTES, Head, Refused, refused

if TYPE_CHECKING:
    from edge_sdk.posting.server import Server

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
        reserved: bytes of memory for the body that it sends.
    """

    def __init__(self, server: Server) -> None:
        self.deadline_s = _NEVER
        self.reserved = 0
        self._server = server
        self._state = _State.HEAD
        self._buffer = bytearray()
        self._head: Head | None = None
        self._choked = self._resting = self._is_last = False
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
        self._go_on()

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
        self.release()
        self._transport = None
        self._server.forget(self)

    def pause_writing(self) -> None:
        """It does not read its answers: it is not read from either."""
        self._choked = True
        self._be_done_in(self._server.limits.timeout_s)

    def resume_writing(self) -> None:
        """It does again."""
        self._choked = False
        self._go_on()

    def answer(self, text: bytes) -> None:
        """The pipeline has its request."""
        if self._transport is None:
            return
        assert self._head is not None
        self._write(text, self._head.keep_alive and not self._is_last)
        self._go_on()

    def release(self) -> None:
        """Its body is not read any more."""
        self._server.bodies_bytes -= self.reserved
        self.reserved = 0

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

    def _go_on(self) -> None:
        """Deal with one request, where it is complete, and read on unless enough has come for now."""
        if self._transport is None or self._transport.is_closing():
            return
        if not self._is_busy and self._advance() and self._buffer:
            # Others first: a client may send many at once that are answered at once.
            self._resting = True
            asyncio.get_running_loop().call_soon(self._wake)
        if self._transport.is_closing():
            return
        if self._is_busy and len(self._buffer) > MAX_HEAD_BYTES:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    @property
    def _is_busy(self) -> bool:
        return self.waits or self._choked or self._resting

    def _wake(self) -> None:
        self._resting = False
        self._go_on()

    def _advance(self) -> bool:
        """Whether a request was answered at once."""
        try:
            if self._state is _State.HEAD and not self._read_head():
                return False
            return self._state is _State.BODY and self._read_body()
        except Refused as refusal:
            self._refuse(refusal)
        return False

    def _read_head(self) -> bool:
        while self._buffer[:2] == b"\r\n":  # some clients send one after a body
            del self._buffer[:2]
        end = self._buffer.find(b"\r\n\r\n")
        if end > MAX_HEAD_BYTES or (end < 0 and len(self._buffer) > MAX_HEAD_BYTES):
            raise Refused(431, f"a head of more than {MAX_HEAD_BYTES} bytes", reason="garbage")
        if end < 0:
            return False
        head = Head.parse(bytes(self._buffer[:end]))
        self._server.door.admit(head)
        length = head.length
        if length is None:
            raise Refused(411, "expected a content-length")
        if length > self._server.limits.body_bytes:
            raise Refused(
                413, f"a body of more than {self._server.limits.body_bytes} bytes", reason="oversized"
            )
        self._server.reserve(self, length)
        self.reserved, self._head, self._state = length, head, _State.BODY
        del self._buffer[: end + 4]
        if head.expects and len(self._buffer) < length and self._transport:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _read_body(self) -> bool:
        """Whether it was answered at once, because it cannot be taken now."""
        head, length = self._head, self.reserved
        assert head is not None
        if len(self._buffer) < length:
            return False
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        try:
            self._server.hand_over(self, head, body)
        except Refused as refusal:
            self.release()
            self._write(refused(refusal), head.keep_alive)
            return True
        self.reserved, self._state, self.deadline_s = 0, _State.WAITING, _NEVER
        return False

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
        self.release()
        self._head, self._state = None, _State.LINGERING
        self._buffer.clear()
        self._transport.write(refused(refusal, close=True))
        self._be_done_in(_LINGER_S)
        if self._transport.can_write_eof():
            with suppress(OSError):  # it has gone
                self._transport.write_eof()

    def _note(self, refusal: Refused) -> None:
        if refusal.reason:
            self._server.note(refusal.reason, f"{refusal.status}: {refusal.why}")

    def _be_done_in(self, timeout_s: float) -> None:
        self.deadline_s = time.monotonic() + timeout_s
