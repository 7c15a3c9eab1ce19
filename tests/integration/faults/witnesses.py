"""Real destinations that remember all they got: a broker, a web server, a database, a file, a port."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import socket
import threading
import tty
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_sdk.blocks import boottime_s
from tests.integration.faults.oracle import Arrival
from tests.integration.http_server import Behaviour, WebServer, answer
from tests.integration.postgres import Server
from tests.waiting import wait_for

#: Of a broker, so that what it acknowledged has left it already, for whoever listens then.
AT_ONCE = ("max_inflight_messages 0", "max_queued_messages 0")


class Subscriber:
    """A client of a broker with a session that stays, read to its last byte whatever becomes of the broker.

    Not paho's, which drops what it has not read yet when a broker dies.
    """

    def __init__(self, port: int, topic: str, name: str = "oracle") -> None:
        self._port, self._topic, self._name = port, topic, name
        self._arrivals: list[Arrival] = []
        self.subscribed = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self.subscribed.wait(10)

    @property
    def arrivals(self) -> list[Arrival]:
        return list(self._arrivals)

    def _run(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1) as wire:
                wire.settimeout(0.1)
                self._listen(wire)
            self.subscribed.clear()
            self._closing.wait(0.02)

    def _listen(self, wire: socket.socket) -> None:
        connect = b"\0\4MQTT\4\0\0\0" + _text(self._name)  # version 3.1.1, the session stays, no pings
        wire.sendall(b"\x10" + _size(len(connect)) + connect)
        subscribe = b"\0\1" + _text(self._topic) + b"\1"
        wire.sendall(b"\x82" + _size(len(subscribe)) + subscribe)
        for kind, body in self._packets(wire):
            if kind >> 4 == 3:
                at = 2 + int.from_bytes(body[:2], "big")
                self._arrivals.append(Arrival(json.loads(body[at + 2 :]), boottime_s()))
                with contextlib.suppress(OSError):
                    wire.sendall(b"\x40\2" + body[at : at + 2])
            elif kind == 0x90:
                self.subscribed.set()

    def _packets(self, wire: socket.socket) -> Iterator[tuple[int, bytes]]:
        data = b""
        while not self._closing.is_set():
            try:
                more = wire.recv(65536)
            except TimeoutError:
                continue
            if not more:
                return
            data += more
            while (found := _packet(data)) is not None:
                kind, body, data = found
                yield kind, body

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def __enter__(self) -> Subscriber:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _packet(data: bytes) -> tuple[int, bytes, bytes] | None:
    length = 0
    for place, byte in enumerate(data[1:5]):
        length += (byte & 127) << (7 * place)
        if not byte & 128:
            begin = 2 + place
            if len(data) < begin + length:
                return None
            return data[0], data[begin : begin + length], data[begin + length :]
    return None


def _size(length: int) -> bytes:
    return bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])


def _text(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()


class Hook:
    """A web server that takes predictions, one a request, unless it is told to do otherwise.

    Attributes:
        usual: what it does with a request; None takes it.
        slow_s: how long that takes, s.
        refused: what it was told to do something else with, and did not take.
    """

    def __init__(self) -> None:
        self.usual: Behaviour | None = None
        self.slow_s = 0.0
        self.refused: list[Arrival] = []
        self._next: deque[Behaviour] = deque()
        self._all: list[Arrival] = []
        self._taken: list[Arrival] = []
        #: Idempotency keys, by what came with them.
        self.keys: dict[tuple[str, str, int], set[str]] = defaultdict(set)
        self.server = WebServer()
        self.server.script = self  # type: ignore[assignment]
        self.url = f"http://127.0.0.1:{self.server.port}/hook"

    @property
    def arrivals(self) -> list[Arrival]:
        """What it took, and said so, though the answer may have been lost."""
        return list(self._taken)

    @property
    def met(self) -> int:
        """How many requests it did not take."""
        return len(self.refused)

    @property
    def requests(self) -> list[Arrival]:
        """What came, taken or not."""
        return list(self._all)

    def then(self, *behaviours: Behaviour) -> None:
        """Do these with the next requests."""
        self._next.extend(behaviours)

    def popleft(self) -> Behaviour:
        """What the server does with the request that has come; there is always something."""
        return self._behave

    def _behave(self, server: WebServer, sock: socket.socket) -> bool:
        request = server.requests[-1]  # the sink sends one at a time
        if len(request.body) < int(request.headers["content-length"]):
            return False  # its sender died in the middle
        arrival = Arrival(json.loads(request.body), boottime_s())
        self._all.append(arrival)
        self.keys[arrival.name].add(request.headers["idempotency-key"])
        behaviour = self._next.popleft() if self._next else self.usual
        if behaviour is not None:
            self.refused.append(arrival)
            return behaviour(server, sock)
        server.stopping.wait(self.slow_s)
        self._taken.append(arrival)
        return answer(204)(server, sock)

    def close(self) -> None:
        self.server.stop()

    def __enter__(self) -> Hook:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Rows:
    """A table of a database; a trigger notes each row that was sent, also where it was there already."""

    def __init__(self, server: Server, schema: str) -> None:
        self._server, self._schema = server, schema
        self.options = {"url": server.url(), "table": f"{schema}.predictions", "timeout_s": 2}
        server.query(f"""
            CREATE SCHEMA {schema};
            CREATE TABLE {schema}.predictions (
                device text, run_id text, sequence bigint,
                time_s double precision, wall_s double precision, clock_synced boolean, model text,
                label text, score double precision, value double precision, event text, fault text,
                latency_us double precision, outputs real[], PRIMARY KEY (device, run_id, sequence));
            CREATE TABLE {schema}.sent (LIKE {schema}.predictions, place bigserial);
            CREATE FUNCTION {schema}.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                INSERT INTO {schema}.sent SELECT NEW.*; RETURN NEW; END $$;
            CREATE TRIGGER note BEFORE INSERT ON {schema}.predictions
                FOR EACH ROW EXECUTE FUNCTION {schema}.note()""")

    @property
    def arrivals(self) -> list[Arrival]:
        """Everything that was sent and committed, in that order."""
        columns = "device", "run_id", "sequence", "label", "score", "event", "outputs"
        rows = self._server.query(f"SELECT {', '.join(columns)} FROM {self._schema}.sent ORDER BY place")
        return [Arrival(dict(zip(columns, row, strict=True))) for row in rows]

    @property
    def count(self) -> int:
        return int(self._server.query(f"SELECT count(*) FROM {self._schema}.predictions")[0][0])


class Lines:
    """A file of JSON lines that grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0
        self._arrivals: list[Arrival] = []
        self._lock = threading.Lock()

    @property
    def arrivals(self) -> list[Arrival]:
        with self._lock:
            if self.path.exists():
                with self.path.open("rb") as file:
                    file.seek(self._read)
                    whole, newline, _ = file.read().rpartition(b"\n")
                self._read += len(whole) + len(newline)
                self._arrivals += [Arrival(json.loads(line)) for line in whole.splitlines()]
            return list(self._arrivals)

    @property
    def count(self) -> int:
        return len(self.arrivals)


class Port:
    """A pseudo-terminal behind a link; what comes out of it is kept line by line."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self._ends = pty.openpty()
        tty.setraw(self._ends[1])
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(self._ends[1]))
        self.lines: list[tuple[float, str]] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        os.set_blocking(self._ends[0], False)
        data = b""
        while not self._closing.is_set():
            try:
                data += os.read(self._ends[0], 65536)
            except BlockingIOError:
                self._closing.wait(0.002)
            *lines, data = data.split(b"\n")
            self.lines += [(boottime_s(), line.decode()) for line in lines if line]

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        self.link.unlink(missing_ok=True)
        for end in self._ends:
            os.close(end)


@contextmanager
def port(link: Path) -> Iterator[Port]:
    opened = Port(link)
    try:
        yield opened
    finally:
        opened.close()


def settled(*witnesses: Any, seconds: float = 0.3) -> None:
    """Wait until nothing more comes."""
    before: list[int] = []

    def quiet() -> bool:
        nonlocal before
        now = [len(witness.arrivals) for witness in witnesses]
        same, before = now == before, now
        if not same:
            since[0] = boottime_s()
        return boottime_s() - since[0] > seconds

    since = [boottime_s()]
    wait_for(quiet, 30)
