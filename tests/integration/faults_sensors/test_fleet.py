"""A thousand devices on one connection, one of which floods and some of which are hostile: none is harmed."""

import http.client
import json
import socket
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from paho.mqtt import client as mqtt

from edge_sdk import Model
from tests.integration.broker import running_broker
from tests.integration.faults_sensors.process import Process, stored
from tests.integration.faults_sensors.truth import HOP, WINDOW, samples, write
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

DEVICES, MESSAGES = 1000, 3
#: Of a quiet device: a message of HOP samples a second.
RATE_HZ = float(HOP)
TOML = """
device = "gateway"
[model]
file = "m.tflite"
{devices}
[[source]]
url = "{url}"
[[sink]]
url = "jsonl:all.jsonl"
sync = "none"
"""
#: What a device may send, and what becomes of it.
HOSTILE = {
    "b-channels": (json.dumps({"foo": [1.0] * 8, "bar": [2.0] * 8}), "garbage"),
    "b-rate": (json.dumps({"samples": [[0.0, 0.0, 0.0]] * 8, "rate_hz": 1000}), "spec"),
    "b-names": (json.dumps({"samples": [[1.0, 2.0, 3.0]] * 8, "channels": ["x", "y", "z"]}), "spec"),
    "b-garbage": (b"\xff\x00\xfe garbage", "garbage"),
    "b-deep": ("[" * 5000 + "]" * 5000, "garbage"),
    "b-wide": (json.dumps([[0.0] * 999]), "garbage"),
    "b-nan": ("[[NaN, 0, 0], [0, Infinity, 0], [null, 0, 0], [0, 0, 1e39]]", "not_a_number"),
    "b-range": (json.dumps([[0.0, 99.0, 0.0]] * 8), "range"),
    "b-huge": ("[" + "[0,0,0]," * 40_000 + "[0,0,0]]", "oversized"),
    "b-empty": (b"", None),
    "n" * 129: (json.dumps([[0.0, 0.0, 0.0]] * 8), "device"),
    "zero\u200bwidth": (json.dumps([[0.0, 0.0, 0.0]] * 8), "device"),
}
#: Names that are strange and allowed.
STRANGE = ("../../etc/passwd", "'; DROP TABLE predictions; --", "{device}", "🦊 ü", "%s%n", "n" * 128)


class Fleet:
    """What quiet devices send, a message of HOP samples after the other, and what the model says to it."""

    def __init__(self, names, messages):
        self.names, self.messages = names, messages
        self._rows = {name: samples(messages * HOP, seed) for seed, name in enumerate(names)}

    def message(self, name, nth):
        rows = self._rows[name][nth * HOP : (nth + 1) * HOP]
        return json.dumps([[round(float(value), 5) for value in row] for row in rows])

    @property
    def windows(self):
        """Of each device."""
        return (self.messages * HOP - WINDOW) // HOP + 1

    def check(self, file, predictions, times=1):
        """Each device has all its windows, in order, word for word, as often as it sent them."""
        own = of_each(predictions)
        with Model.load(file) as model:
            for name in self.names:
                rows = self._rows[name]
                windows = [rows[nth * HOP : nth * HOP + WINDOW] for nth in range(self.windows)] * times
                said = [model.run(window).outputs for window in windows]
                got = [prediction["outputs"] for prediction in own[name]]
                assert np.shape(got) == np.shape(said), name
                assert np.allclose(got, said, rtol=0, atol=1e-6), name


def of_each(predictions):
    """By device; each has its numbers in order, and none twice."""
    own = defaultdict(list)
    for prediction in predictions:
        own[prediction["device"]].append(prediction)
    for name, found in own.items():
        numbers = [prediction["sequence"] for prediction in found]
        assert numbers == sorted(set(numbers)), name
    return own


class Flood:
    """One device that sends the same hundred samples as fast as it can."""

    def __init__(self):
        self._rows = samples(100, 4711)
        self.message = json.dumps([[round(float(value), 5) for value in row] for row in self._rows])

    def check(self, file, predictions):
        """What came of it is what the model says about its samples; returns how much that is."""
        own = of_each(predictions)["flood"]
        twice = np.concatenate([self._rows, self._rows])
        with Model.load(file) as model:
            said = np.array([model.run(twice[start : start + WINDOW]).outputs for start in range(100)])
        got = np.array([prediction["outputs"] for prediction in own], np.float32)
        far = np.abs(got[:, None] - said[None]).max(axis=2).min(axis=1)
        assert far.max() < 1e-6
        return len(own)


class Peak:
    """The most memory that a process takes while this is open, kB."""

    def __init__(self, process):
        self._process, self.kb, self._over = process, 0, threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self):
        while not self._over.wait(0.05):
            self.kb = max(self.kb, self._process.status("VmRSS"))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()


def client(port):
    """Of a broker; sends whatever it is given as fast as it can."""
    made = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    made.max_inflight_messages_set(0)
    made.max_queued_messages_set(0)
    made.connect("127.0.0.1", port)
    made.loop_start()
    return made


def paced(fleet, seconds, send):
    """Every device's messages, evenly over so long."""
    begun, sent, total = time.monotonic(), 0, len(fleet.names) * fleet.messages
    for nth in range(fleet.messages):
        for name in fleet.names:
            send(name, fleet.message(name, nth))
            sent += 1
            time.sleep(max(0.0, begun + seconds * sent / total - time.monotonic()))


def test_a_thousand_devices_over_mqtt_one_of_which_floods_and_some_of_which_are_hostile(tmp_path):
    file = write(tmp_path, RATE_HZ)
    fleet = Fleet([f"device-{n:04d}" for n in range(DEVICES)] + list(STRANGE), MESSAGES)
    flood, over, flooded = Flood(), threading.Event(), 0
    # What the broker drops, by its own limit, nobody else can give to anybody.
    with running_broker(
        tmp_path, "persistence false", "max_queued_messages 0", "log_type subscribe"
    ) as broker:
        text = TOML.format(url=f"mqtt://127.0.0.1:{broker.port}/plant/#", devices="[devices]\nlimit = 1100")
        with Process(tmp_path, text) as process:
            process.until(lambda: " plant/" in broker.log.read_text())
            before = process.status("VmRSS")
            quiet, noisy = client(broker.port), client(broker.port)

            def pour():
                nonlocal flooded
                while not over.is_set() and flooded < 5000:
                    for _ in range(50):
                        sent = noisy.publish("plant/flood", flood.message, 1)
                    flooded += 50
                    sent.wait_for_publish(20)

            def annoy():
                for name, (message, _) in HOSTILE.items():
                    noisy.publish(f"plant/{name}", message, 1)

            with Peak(process) as peak, ThreadPoolExecutor() as pool:
                pouring = pool.submit(pour)
                annoy()
                paced(fleet, MESSAGES, lambda name, message: quiet.publish(f"plant/{name}", message, 1))
                annoy()
                over.set()
                pouring.result()
                everything = len(fleet.names) * MESSAGES * HOP + flooded * 100
                process.until(partial(process.has_read, everything), 60)
                process.until(lambda: process.source()["silent_s"] > 0.5, 60)
            for each in (quiet, noisy):
                each.disconnect()
                each.loop_stop()
            ledger = process.end()
    predictions = stored(tmp_path / "all.jsonl")
    fleet.check(file, predictions)
    kept = flood.check(file, predictions)
    known = {*fleet.names, "flood"}
    assert {prediction["device"] for prediction in predictions} == known, "a hostile one got a prediction"
    assert kept > 0
    made = ledger["predictions"] - len(fleet.names) * fleet.windows
    lost = sum(account["dropped"].get("overflow", 0) for account in ledger["sinks"].values())
    assert made - lost == kept
    dropped = ledger["dropped"].get("overflow", 0)
    # All that was lost is the flood's: of the others every window has come.
    assert dropped + lost > 0
    assert dropped % 100 == 0
    for name, (_, reason) in HOSTILE.items():
        assert reason is None or ledger["faults"][reason] >= 2, name
    assert peak.kb - before < 80_000


def test_devices_that_were_forgotten_come_back_with_new_numbers(tmp_path):
    file = write(tmp_path, 100.0)
    first, second = (Fleet([f"{word}-{n:02d}" for n in range(40)], 3) for word in ("first", "second"))
    with running_broker(
        tmp_path, "persistence false", "max_queued_messages 0", "log_type subscribe"
    ) as broker:
        devices = "[devices]\nlimit = 50\nidle_s = 1.5"
        text = TOML.format(url=f"mqtt://127.0.0.1:{broker.port}/plant/+", devices=devices)
        with Process(tmp_path, text) as process:
            process.until(lambda: " plant/" in broker.log.read_text())
            each, sent = client(broker.port), 0
            for fleet in (first, second, first):
                if sent:
                    wait_for(lambda: process.source()["silent_s"] > 1.7)
                for name in fleet.names:
                    for nth in range(3):
                        each.publish(f"plant/{name}", fleet.message(name, nth), 1)
                    each.publish(f"plant/{name}", "[[0, 0, 0]]", 1)  # begins a window that will not be full
                sent += len(fleet.names) * 13
                process.until(partial(process.has_read, sent))
                assert process.source()["devices"] <= 50
            for n in range(60):
                each.publish(f"plant/third-{n:02d}", "[[0, 0, 0]]", 1)
            process.until(partial(process.has_read, sent + 60))
            each.disconnect()
            each.loop_stop()
            ledger = process.end()
    predictions = stored(tmp_path / "all.jsonl")
    first.check(file, predictions, times=2)
    second.check(file, predictions)
    assert len(predictions) == 3 * 40 * first.windows
    assert ledger["dropped"] == {"idle": 2 * 40, "fault": 50, "tail": 40 + 10}
    assert ledger["faults"] == {"too_many_devices": 50}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Poster:
    """A device that posts, and sends again what was not taken."""

    def __init__(self, port):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._connection.close()

    def post(self, name, message, patience=200):
        """The status of the last answer."""
        for _ in range(patience):
            self._connection.request("POST", "/imu/" + name, message)
            answer = self._connection.getresponse()
            answer.read()
            if answer.status != 503:
                return answer.status
            time.sleep(0.05)
        return 503


def test_devices_that_post_over_http_one_of_which_floods_and_some_of_which_are_hostile(tmp_path):
    file = write(tmp_path, RATE_HZ)
    fleet = Fleet([f"device-{n:02d}" for n in range(60)], 6)
    flood, over, port = Flood(), threading.Event(), free_port()
    text = TOML.format(url=f"http://127.0.0.1:{port}/imu", devices="")
    with Process(tmp_path, text) as process, ThreadPoolExecutor() as pool:
        process.until(process.connected)
        before = process.status("VmRSS")

        def pour():
            taken = 0
            with Poster(port) as poster:
                while not over.is_set():
                    taken += poster.post("flood", flood.message) == 202
            return taken

        with Peak(process) as peak, Poster(port) as quiet, Poster(port) as bad:
            pouring = [pool.submit(pour) for _ in range(6)]
            told, answers = set(), {}
            for name, (message, _) in HOSTILE.items():
                if name.startswith("b-") and name != "b-huge":
                    answers[name] = bad.post(name, message)
            paced(fleet, 2.0, lambda name, message: told.add(quiet.post(name, message)))
            over.set()
            taken = sum(job.result() for job in pouring)
            everything = len(fleet.names) * fleet.messages * HOP + taken * 100
            process.until(partial(process.has_read, everything))
            process.until(lambda: process.source()["silent_s"] > 0.3)
        ledger = process.end()
    predictions = stored(tmp_path / "all.jsonl")
    fleet.check(file, predictions)
    assert flood.check(file, predictions) > 0
    assert told == {202}
    assert answers["b-garbage"] == answers["b-deep"] == answers["b-wide"] == answers["b-channels"] == 400
    assert {prediction["device"] for prediction in predictions} == {*fleet.names, "flood"}
    assert ledger["faults"].keys() >= {"spec", "garbage", "not_a_number", "range"}
    assert peak.kb - before < 80_000
