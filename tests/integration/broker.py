"""A real mosquitto on a free loopback port."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.waiting import wait_for


class Broker:
    """One broker that can be stopped, frozen and started again on its port.

    Args:
        folder: for its files.
        lines: of its configuration, besides its address.
    """

    def __init__(self, folder: Path, *lines: str) -> None:
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        if program is None:
            pytest.fail("needs a broker: apt-get install mosquitto")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        config = folder / "mosquitto.conf"
        own = [] if any(line.startswith("user ") for line in lines) else [f"user {_user()}"]
        anonymous = [] if any("allow_anonymous" in line for line in lines) else ["allow_anonymous true"]
        config.write_text("\n".join((f"listener {self.port} 127.0.0.1", *anonymous, *own, *lines, "")))
        self._command = [program, "-c", str(config)]
        self._process: subprocess.Popen[bytes] | None = None
        self.log = folder / "mosquitto.log"
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        raise RuntimeError(f"the broker did not start: {self.log.read_text()[-1000:]}")

    def stop(self, *, gently: bool = False) -> None:
        """Kill it, or let it save what it holds."""
        if self._process is not None:
            self.thaw()
            self._process.send_signal(signal.SIGTERM if gently else signal.SIGKILL)
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It keeps its connections and does nothing any more."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)


def _user() -> str:
    """Whoever runs the tests: as root, mosquitto would drop to a user that may not read their folder."""
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


@contextmanager
def running_broker(folder: Path, *lines: str) -> Iterator[Broker]:
    broker = Broker(folder, *(lines or ("persistence false",)))
    try:
        yield broker
    finally:
        broker.stop()


@contextmanager
def answering(*answers: bytes) -> Iterator[int]:
    """A server on the port it yields that answers one client, packet by packet, whatever it says."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            connection, _ = server.accept()
            with connection:
                for answer in answers:
                    connection.recv(1000)
                    connection.sendall(answer)
                connection.recv(1000)

        thread = threading.Thread(target=speak)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)
        assert not thread.is_alive()


class Listener:
    """Subscribes and keeps what arrives; with a client id, also what came while the broker was away."""

    def __init__(self, port: int, topic: str, client_id: str = "") -> None:
        from paho.mqtt import client

        self.messages: list[bytes] = []
        self.topics: list[str] = []
        self.retained: dict[str, bytes] = {}
        self._client = client.Client(
            client.CallbackAPIVersion.VERSION2, client_id, clean_session=not client_id
        )
        self._client.reconnect_delay_set(0.1, 0.5)
        self._client.on_connect = lambda c, *_: c.subscribe(topic, 1)
        self._client.on_message = lambda c, d, message: self._keep(message)
        ready = []
        self._client.on_subscribe = lambda *_: ready.append(True)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        wait_for(lambda: ready)

    def _keep(self, message) -> None:
        if message.retain:
            self.retained[message.topic] = message.payload
        self.topics.append(message.topic)
        self.messages.append(message.payload)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Device:
    """Publishes, and waits until the broker has it."""

    def __init__(self, port: int) -> None:
        from paho.mqtt import client

        self._client = client.Client(client.CallbackAPIVersion.VERSION2)
        self._client.max_inflight_messages = 0
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def publish(self, topic: str, *payloads: bytes | str, qos: int = 1, retain: bool = False) -> None:
        for sent in [self._client.publish(topic, payload, qos, retain) for payload in payloads]:
            sent.wait_for_publish(10)
            assert sent.is_published()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
