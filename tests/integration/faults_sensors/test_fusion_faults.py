"""A sensor on a wire and one behind a broker, joined onto one clock: each dies and comes back."""

import json
import threading
import time
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pytest

from edge_sdk.blocks import boottime_s
from tests.integration.broker import running_broker
from tests.integration.faults_sensors.process import Process, stored
from tests.integration.faults_sensors.test_fleet import client
from tests.integration.faults_sensors.truth import HOP, WINDOW, write
from tests.integration.faults_sensors.wire import Sensor
from tests.models import Linear

pytestmark = pytest.mark.integration

MAX_AGE_S = 0.6
TOML = """
device = "press-7"
[model]
file = "m.tflite"
[sensor]
silence_s = 0.5
[fusion]
clock = "imu"
max_age_s = {max_age_s}
[[source]]
name = "imu"
url = "serial:{link}"
channels = ["ax", "ay"]
rate_hz = 100
timeout_s = 3
[[source]]
name = "thermometer"
url = "mqtt://127.0.0.1:{port}/hall/t"
channels = ["az"]
rate_hz = 20
[[sink]]
url = "jsonl:all.jsonl"
sync = "none"
"""


class Thermometer:
    """Publishes its value twenty times a second; None is silence."""

    def __init__(self, port):
        self.value, self._over = None, threading.Event()
        self._client = client(port)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._over.wait(0.05):
            value = self.value
            if value is not None:
                self._client.publish("hall/t", json.dumps({"az": value}), 1)

    def close(self):
        self._over.set()
        self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def thermometer(port):
    made = Thermometer(port)
    try:
        yield made
    finally:
        made.close()


def explained(rows, values, predictions):
    """Where in a stretch of the clock's samples each of the first predictions begins, and what it held.

    Of the thermometer's values a window holds one, or one and then the next.
    """
    found, start = [], 0
    said = {}
    for prediction in predictions:
        for at in range(start, len(rows) - WINDOW + 1):
            held = said.get(at)
            if held is None:
                held = said[at] = list(_answers(rows[at : at + WINDOW], values))
            match = [
                v for v, outputs in held if np.allclose(outputs, prediction["outputs"], rtol=0, atol=1e-5)
            ]
            if match:
                found.append((at, match[0], prediction["time_s"]))
                start = at + 1
                break
        else:
            return found
    return found


def _answers(window, values):
    for value in values:
        yield (value,), Linear().expected(np.column_stack([window, np.full(WINDOW, value)]))
    for old, new in pairwise(values):
        for kept in range(1, WINDOW):
            column = np.where(np.arange(WINDOW) < kept, old, new)
            yield (old, new), Linear().expected(np.column_stack([window, column]))


def test_one_of_two_joined_sensors_dies_and_comes_back(tmp_path):
    write(tmp_path, 100.0)
    sensor = Sensor(tmp_path / "ttyIMU", columns=2)
    sensor.plug()
    with running_broker(tmp_path, "persistence false", "log_type subscribe") as broker:
        text = TOML.format(link=sensor.link, port=broker.port, max_age_s=MAX_AGE_S)
        with Process(tmp_path, text) as process, thermometer(broker.port) as thermo:
            process.until(lambda: process.connected(0) and " hall/t" in broker.log.read_text())
            sensor.greet()
            sensor.send(0.5)  # before the thermometer has spoken there is no row
            spoke_s, thermo.value = boottime_s(), 0.25
            sensor.send(0.8)
            died_s, thermo.value = boottime_s(), None
            sensor.send(5.0, process.complains("thermometer: no sample for"))
            sensor.send(0.6)
            came_s, thermo.value = boottime_s(), -0.5
            sensor.send(0.8)
            sensor.unplug(half=b"0.1,")
            unplugged_s = boottime_s()
            process.until(lambda: not process.connected(0))
            time.sleep(0.3)
            sensor.plug()
            process.until(lambda: process.connected(0))
            plugged_s = boottime_s()
            sensor.greet()
            sensor.send(0.7)
            process.until(lambda: process.source(0)["silent_s"] > 0.2)
            ledger = process.end()
    predictions = stored(tmp_path / "all.jsonl")
    values = (0.25, -0.5)
    before, after = sensor.stream.stretches
    first = explained(before, values, predictions)
    second = explained(after, values, predictions[len(first) :])
    assert len(first) + len(second) == len(predictions), "one was made of something else"
    assert [prediction["sequence"] for prediction in predictions] == list(range(len(predictions)))
    # Nothing was made of a value that is too old, nor around the time without one.
    held = [value for _, value, _ in first]
    assert set(held) == {(0.25,), (-0.5,)}
    assert held == sorted(held, reverse=True)
    times = [at_s for *_, at_s in first]
    assert times[0] > spoke_s
    silent = [at_s for at_s in times if died_s + MAX_AGE_S + 0.3 < at_s < came_s]
    assert not silent
    assert sum(at_s > came_s for at_s in times) > 10
    assert max(times) < unplugged_s + 0.3
    assert min(at_s for *_, at_s in second) > plugged_s
    assert {value for _, value, _ in second} == {(-0.5,)}
    assert len(second) > 10
    # All windows of each time in which both were there: one hop from each to the next.
    for part in ([at for at, value, _ in first if value == (0.25,)], [at for at, *_ in second]):
        assert np.unique(np.diff(part)).tolist() == [HOP]
    fusion = ledger["fusion"]
    assert fusion["read"] == fusion["used"] + fusion["pending"] + sum(fusion["dropped"].values())
    assert fusion["dropped"]["stale"] > 20
    assert fusion["dropped"]["missing"] > 20
    assert ledger["faults"].keys() >= {"stale", "missing", "silence", "retry"}
