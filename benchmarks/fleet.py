"""A gateway end to end: 200 devices publish over a real broker, predictions come back over it.

`edgeml run` with its outbox, beside the loop of `benchmarks.by_hand`: the delay from a device's message to
its prediction, and the processor time that a message costs. Then the broker is away for two seconds (it keeps
its sessions), and what is missing at the other end is counted.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from paho.mqtt import client as mqtt

from benchmarks.measure import Row, ratio
from tests.integration.broker import Broker, running_broker
from tests.models import Linear, write_model

DEVICES, SECONDS, ROUNDS = 200, 6, 3
#: Half a second of samples a message: every message completes a window, from the second on.
RATE_HZ, WINDOW, HOP = 50.0, 50, 25
_TOML = """
device = "gateway"
[model]
file = "{model}"
[outbox]
file = "{folder}/gateway.outbox"
[[source]]
url = "mqtt://127.0.0.1:{port}/plant/+/imu?timeout_s=2"
[[sink]]
url = "mqtt://127.0.0.1:{port}/plant/{{device}}/state?timeout_s=2"
"""


def rows() -> list[Row]:
    """Delay, cost of a message, and what a restart of the broker cost."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        model = write_model(place / "m.tflite", Linear(window=WINDOW))
        found: dict[str, list[_Round]] = {"edgeml": [], "by hand": []}
        for _ in range(ROUNDS):
            for name, rounds in found.items():
                rounds.append(_round(name, place, model))
        lost = {name: _round(name, place, model, outage=True) for name in found}
    ours, other = found["edgeml"], found["by hand"]
    rows = []
    for what, unit, pick in (
        ("delay p50", "ms", lambda r: r.p50_ms),
        ("delay p99", "ms", lambda r: r.p99_ms),
        ("processor time a message", "µs", lambda r: r.cpu_us),
    ):
        figures = [[pick(r) for r in rounds] for rounds in (ours, other)]
        shown = [f"{statistics.median(each):.1f} {unit}" for each in figures]
        label = f"{DEVICES} devices over MQTT, {what}: edgeml run over paho + asyncio by hand"
        rows.append(Row(label, *shown, f"{ratio(*figures):.2f}×"))
    gone = [f"{lost[name].missing} of {lost[name].wanted}" for name in ("edgeml", "by hand")]
    rows.append(
        Row(
            "of the same, predictions that a broker away for 2 s cost",
            *gone,
            "",
            "0",
            lost["edgeml"].missing == 0,
        )
    )
    return rows


class _Round:
    """What one run of one gateway gave."""

    def __init__(self, delays_s: list[float], cpu_s: float, messages: int, wanted: int, got: int) -> None:
        self.p50_ms, self.p99_ms = (float(np.percentile(delays_s, q)) * 1e3 for q in (50, 99))
        self.cpu_us = cpu_s / max(messages, 1) * 1e6
        # A message that the broker gave twice may complete a window more.
        self.wanted, self.missing = wanted, max(0, wanted - got)


def _round(name: str, place: Path, model: Path, *, outage: bool = False) -> _Round:
    with running_broker(place, "persistence true", f"persistence_location {place}/") as broker:
        listener = _Listener(broker.port)
        with _gateway(name, place, model, broker.port) as process:
            fleet = _Fleet(broker.port)
            before = _cpu_s(process.pid)
            fleet.publish(SECONDS, lambda nth: _break(broker) if outage and nth == 4 else None)
            wanted = fleet.messages - DEVICES  # the first message of each fills half a window
            deadline = time.monotonic() + 15
            while len(listener.first) < wanted and time.monotonic() < deadline:
                time.sleep(0.05)
            cpu_s = _cpu_s(process.pid) - before
        listener.close()
        fleet.close()
        delays = [
            at - fleet.sent[(device, sequence + 1)]
            for (device, sequence), at in listener.first.items()
            if (device, sequence + 1) in fleet.sent
        ]
        for left in place.glob("mosquitto.db*"):
            left.unlink()
        return _Round(delays, cpu_s, fleet.messages, wanted, len(listener.first))


def _break(broker: Broker) -> None:
    broker.stop(gently=True)
    time.sleep(2.0)
    broker.start()


@contextmanager
def _gateway(name: str, place: Path, model: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    toml = place / "gateway.toml"
    toml.write_text(_TOML.format(model=model, folder=place, port=port))
    commands = {
        "edgeml": ["-m", "edge_sdk", "run", str(toml), "--no-view"],
        "by hand": ["-m", "benchmarks.by_hand", str(port), str(model)],
    }
    process = subprocess.Popen(
        [sys.executable, *commands[name]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(3.0)  # both are up and have subscribed
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        process.kill()
        process.wait()


class _Fleet:
    """Devices that publish at QoS 1, evenly over time, and keep at it through an outage."""

    def __init__(self, port: int) -> None:
        self.sent: dict[tuple[str, int], float] = {}
        self.messages = 0
        self._client = _connected(port, "fleet")

    def publish(self, seconds: int, at_each: Any) -> None:
        """HOP samples of each device every half second."""
        values = np.random.default_rng(0).normal(size=(HOP, 3)).astype(np.float32)
        payload = json.dumps({c: values[:, i].tolist() for i, c in enumerate(("ax", "ay", "az"))})
        period_s = HOP / RATE_HZ / DEVICES
        started, tick = time.monotonic(), 0
        for nth in range(int(seconds * RATE_HZ / HOP)):
            breaking = threading.Thread(target=at_each, args=(nth,))
            breaking.start()
            for device in range(DEVICES):
                time.sleep(max(0.0, started + tick * period_s - time.monotonic()))
                name = f"device-{device:03d}"
                self.sent[(name, nth)] = time.monotonic()
                self._client.publish(f"plant/{name}/imu", payload, 1)
                self.messages += 1
                tick += 1
            breaking.join()

    def close(self) -> None:
        """Hang up."""
        self._client.disconnect()
        self._client.loop_stop()


class _Listener:
    """Notes when the first copy of each prediction comes."""

    def __init__(self, port: int) -> None:
        self.first: dict[tuple[str, int], float] = {}
        self._client = _connected(port, "listener", self._take, "plant/+/state")

    def close(self) -> None:
        """Hang up."""
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, _client: Any, _data: Any, message: Any) -> None:
        said = json.loads(message.payload)
        self.first.setdefault((said["device"], said["sequence"]), time.monotonic())


def _connected(port: int, name: str, on_message: Any = None, topic: str = "") -> mqtt.Client:
    """A client that comes back by itself, also to a broker that has forgotten it."""
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
    client.reconnect_delay_set(1, 1)
    client.max_inflight_messages_set(1000)
    client.on_message = on_message
    if topic:
        client.on_connect = lambda c, *_: c.subscribe(topic, 1)
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
