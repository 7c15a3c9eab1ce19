"""Whoever uses a virtual board: forks a process for each source or sink that a test opens on it.

A connection's first line says what to open. A source's items come back one JSON object a line, until the
other end stops writing, which closes the source. A sink answers each line that says what to do.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import threading
import time
from typing import Any, TextIO

import numpy as np

from edge_sdk import open_sink, open_source
from edge_sdk.blocks import Block, boottime_s
from edge_sdk.contract import Channel, Input
from edge_sdk.errors import EdgeError
from edge_sdk.prediction import Prediction


class User:
    """One end of a connection."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def say(self, kind: str, **facts: Any) -> None:
        self.stream.write(json.dumps({"kind": kind, **facts}) + "\n")
        self.stream.flush()

    def read(self, request: dict[str, Any]) -> None:
        """A source, item by item."""
        with open_source(request["url"], **request["options"]) as source:
            if (wanted := request["expect"]) is not None:
                channels = tuple(Channel(**channel) for channel in wanted["channels"])
                source.expect(Input(channels, wanted["rate_hz"], 8, 8))
            closed_s: list[float] = []

            def close() -> None:
                self.stream.read()
                closed_s.append(time.monotonic())
                source.close()

            threading.Thread(target=close, daemon=True).start()
            for item in source:
                if isinstance(item, Block):
                    self.say(
                        "block",
                        samples=item.samples.tolist(),
                        dtype=str(item.samples.dtype),
                        channels=item.channels,
                        rate_hz=item.rate_hz,
                        gap=item.gap,
                        time_s=item.time_s,
                        age_s=boottime_s() - item.time_s,
                    )
                else:
                    self.say("fault", reason=item.reason, detail=item.detail, samples=item.samples)
            took_s = time.monotonic() - closed_s[0] if closed_s else None
            self.say("end", missed=source.missed, took_s=took_s)

    def drive(self, request: dict[str, Any]) -> None:
        """A sink, as it is told: ``{"write": [ages of predictions]}`` or ``{"do": method}``."""
        sink = open_sink(request["url"], **request["options"])
        self.say("open")
        for line in self.stream:
            command = json.loads(line)
            try:
                if "write" in command:
                    sink.write([prediction(age_s) for age_s in command["write"]])
                else:
                    getattr(sink, command["do"])()
                self.say("done")
            except EdgeError as error:
                self.say("error", error=type(error).__name__, message=str(error))

    def serve(self) -> None:
        request = json.loads(self.stream.readline())
        self.say("process", pid=os.getpid())
        try:
            (self.read if request["what"] == "source" else self.drive)(request)
        except EdgeError as error:
            self.say("error", error=type(error).__name__, message=str(error))


def prediction(age_s: float) -> Prediction:
    scores = np.array([0.9, 0.1], np.float32)
    return Prediction("fall", 0.9, None, scores, "wrist", "r", 0, time_s=boottime_s() - age_s)


def main() -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(sys.argv[1])
    server.listen()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    while sys.stdin not in select.select([server, sys.stdin], [], [])[0]:
        connection, _ = server.accept()
        if os.fork() == 0:
            try:
                User(connection.makefile("rw")).serve()
                connection.shutdown(socket.SHUT_RDWR)
            finally:
                os._exit(0)
        connection.close()


main()
