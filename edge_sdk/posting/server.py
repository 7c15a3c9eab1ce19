"""A small HTTP server for many devices: one thread, bounded in every direction, deaf to whoever dawdles."""

from __future__ import annotations

import asyncio
import logging
import queue
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from edge_sdk.blocks import Fault
from edge_sdk.posting.client import Client
from edge_sdk.posting.door import Door
from edge_sdk.posting.request import Head, Refused, busy

_LOG = logging.getLogger("edgeml")
#: Read at a time; what comes too early from one connection is no more than twice that.
_CHUNK_BYTES = 16384
#: All bodies that are being read or wait for the pipeline.
_MAX_BODIES_BYTES = 16 << 20
_SWEEP_S = 0.25
#: How long the last answers may take to go out.
_FAREWELL_S = 0.3


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server allows.

    Attributes:
        connections: open at a time; one more closes the one that has been of no use for the longest.
        waiting: requests that may wait for the pipeline; of one device, a quarter of that.
        body_bytes: of one request.
        timeout_s: for a whole request to come, s.
        idle_s: between two requests of a connection, s.
    """

    connections: int = 512
    waiting: int = 256
    body_bytes: int = 1 << 18
    timeout_s: float = 20.0
    idle_s: float = 120.0


@dataclass(slots=True, eq=False)
class Parcel:
    """What came with one request, or was noticed, on its way to the pipeline.

    Attributes:
        client: who waits for the answer.
        head: of the request.
        body: its message.
        device: who sent it, where the path says so.
        faults: what was noticed.
        answer: what to say when the pipeline has it.
    """

    client: Client | None = None
    head: Head | None = None
    body: bytes = b""
    device: str = ""
    faults: Sequence[Fault] = ()
    answer: bytes = b""


class Server:
    """Serves until `stop`; hands parcels over and answers them when they are `done`.

    Args:
        listener: bound and listening.
        limits: what it allows.
        door: sees each head before the body is read.
    """

    def __init__(
        self,
        listener: socket.socket,
        limits: Limits,
        door: Door,
    ) -> None:
        self.limits, self.door = limits, door
        self.parcels: queue.SimpleQueue[Parcel | None] = queue.SimpleQueue()
        #: Where every connection reads into; there is one thread.
        self.scratch = memoryview(bytearray(_CHUNK_BYTES))
        self.bodies_bytes = 0
        self._listener = listener
        #: The one that was of use the longest ago comes first.
        self._clients: dict[Client, None] = {}
        self._waiting = 0
        self._waiting_of: Counter[str] = Counter()
        self._notes: Counter[str] = Counter()
        self._details: dict[str, str] = {}
        self._done: deque[Parcel] = deque()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._is_over = False
        self.failure: Exception | None = None
        self.thread = threading.Thread(target=self._run, name="http server", daemon=True)

    def done(self, parcel: Parcel) -> None:
        """The pipeline has it; from the thread that reads `parcels`."""
        with self._lock:
            self._done.append(parcel)
            first = len(self._done) == 1
        if first and self._loop is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._answer)

    def stop(self) -> None:
        """End, after an answer to everyone who waits; from any thread."""
        self._is_over = True
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._stopping.set)

    def note(self, reason: str, detail: str) -> None:
        """Something worth a fault; those of a moment become one, for strangers cause them."""
        self._notes[reason] += 1
        self._details[reason] = detail

    def hand_over(self, client: Client, head: Head, body: bytes) -> None:
        """Put a request before the pipeline.

        Raises:
            Refused: too many wait there, or too many of this device.
        """
        device = self.door.device_of(head)
        if device and self._waiting_of[device] >= max(1, self.limits.waiting // 4):
            raise busy("too many requests of this device wait for the pipeline")
        self._put(Parcel(client, head, body, device))

    def reserve(self, client: Client, count: int) -> None:
        """Memory for a body; who sends theirs and was of use the longest ago has to give it up.

        Raises:
            Refused: it holds what waits for the pipeline.
        """
        while self.bodies_bytes + count > _MAX_BODIES_BYTES:
            sender = next((c for c in self._clients if c.reserved and c is not client), None)
            if sender is None:
                raise busy("the pipeline is busy with large messages")
            self._evict(sender)
        self.bodies_bytes += count

    def was_useful(self, client: Client) -> None:
        """It brought a request: others are closed before it."""
        if self._clients.pop(client, 0) is None:
            self._clients[client] = None

    def forget(self, client: Client) -> None:
        """It is closed."""
        self._clients.pop(client, None)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - whoever reads the parcels says so
            self.failure = error
        finally:
            self._listener.close()
            self.parcels.put(None)

    async def _serve(self) -> None:
        self._loop = loop = asyncio.get_running_loop()
        if self._is_over:
            return
        work = {loop.create_task(job) for job in (self._accept(), self._sweep(), self._stopping.wait())}
        ended, others = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        for task in others:
            task.cancel()
        for client in list(self._clients):
            client.end()
        patience_s = time.monotonic() + _FAREWELL_S
        while self._clients and time.monotonic() < patience_s:
            await asyncio.sleep(0.01)
        for client in list(self._clients):
            client.abort()
        for task in ended:
            task.result()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(self._listener)
            except OSError as error:  # too many open files, or it was gone before it was there
                _LOG.warning("http: a connection cannot be accepted: %s", error.strerror)
                await asyncio.sleep(_SWEEP_S)
                continue
            self._make_room()
            client = Client(self)
            self._clients[client] = None
            client.welcome(loop, sock, self.door.context)
            await asyncio.sleep(0)  # a flood of connections must not keep the others from being heard

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            now_s = time.monotonic()
            for client in [c for c in self._clients if c.deadline_s < now_s]:
                client.expire()
            with suppress(Refused):  # the next time
                self._tell()

    def _tell(self) -> None:
        for reason, count in list(self._notes.items()):
            detail = f"{count} × {self._details[reason]}" if count > 1 else self._details[reason]
            self._put(Parcel(faults=[Fault(reason, detail=f"http: {detail}")]))
            del self._notes[reason]

    def _put(self, parcel: Parcel) -> None:
        if self._waiting >= self.limits.waiting:
            raise busy("the pipeline is busy")
        self._waiting += 1
        self._waiting_of[parcel.device] += 1
        self.parcels.put(parcel)

    def _make_room(self) -> None:
        while len(self._clients) >= self.limits.connections:
            useless = next((c for c in self._clients if not c.waits), None)
            if useless is None:
                return  # everyone waits for the pipeline; `waiting` bounds them
            self._evict(useless)

    def _evict(self, client: Client) -> None:
        """Its connection and its memory are for others."""
        self.forget(client)
        client.release()
        client.abort()

    def _answer(self) -> None:
        with self._lock:
            parcels, self._done = self._done, deque()
        for parcel in parcels:
            self._waiting -= 1
            self._waiting_of[parcel.device] -= 1
            if not self._waiting_of[parcel.device]:
                del self._waiting_of[parcel.device]
            self.bodies_bytes -= len(parcel.body)
            if parcel.client:
                parcel.client.answer(parcel.answer)
