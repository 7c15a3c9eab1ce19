"""Sensors on wires that do everything wrong, against `edgeml run` and an oracle that knows each sample."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest

from tests.integration.faults_sensors.process import Process, measured, stored
from tests.integration.faults_sensors.truth import write
from tests.integration.faults_sensors.wire import Sensor
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

#: Of a processor, what a pipeline may take that has nothing to read; and one that is asked for /health, too.
IDLE, ASKED = 0.1, 0.25
HEAD = """
device = "press-7"
[model]
file = "m.tflite"
[sensor]
silence_s = 2
stuck_s = 1
rate_tolerance = 0.3
[[sink]]
url = "jsonl:all.jsonl"
sync = "none"
"""
SOURCE = """
[[source]]
url = "serial:{link}"
timeout_s = 2
"""


@contextmanager
def sensors(folder, count):
    """Several of them, each behind its own link."""
    found = [Sensor(folder / f"tty{nth}", seed=nth) for nth in range(count)]
    try:
        yield found
    finally:
        for sensor in found:
            sensor.over.set()
            sensor.unplug()


def pipeline(folder, found):
    write(folder, found[0].rate_hz)
    return Process(folder, HEAD + "".join(SOURCE.format(link=sensor.link) for sensor in found))


def lines(*texts):
    """One after the other, for ever."""
    nth = iter(range(10**9))
    return lambda: texts[next(nth) % len(texts)]


def noise(seed):
    """What another baud rate makes of lines; its first byte makes sure that none is a comment."""
    source = np.random.default_rng(seed)
    return lambda: b"\xff" + source.bytes(30).replace(b"\n", b"\r") + b"\n"


def test_everything_that_can_happen_to_a_wire_one_after_the_other(tmp_path):
    with sensors(tmp_path, 1) as (sensor,), pipeline(tmp_path, [sensor]) as process:
        sensor.plug()
        process.until(process.connected)
        sensor.greet()
        sensor.send(0.5)

        with measured(process) as silent:
            sensor.rest(process.complains("no sample for"))
        assert silent.seconds <= 3.0
        assert silent.busy < ASKED
        sensor.send(0.3)

        sensor.unplug(half=b"0.50000,0.5")
        with measured(process) as broken:
            process.until(lambda: not process.connected())
        assert broken.seconds <= 1.0
        process.until(process.complains("cannot be opened"))
        opened = process.source()["reopened"]
        with measured(process) as away:
            time.sleep(1.0)
            assert process.health()["health"] == "failing"
        assert away.busy < IDLE
        assert process.source()["reopened"] - opened < 10
        assert "the connection broke" in process.said
        sensor.plug()
        process.until(process.connected)
        sensor.greet()
        sensor.send(0.3)

        for line, words in (
            (noise(1), ("garbage",)),
            (lines(b"0.1,0.2\n", b"0.1,0.2,0.3,0.4\n", b"{\n"), ("garbage", "0.1,0.2")),
            (lines(b"nan,0.0,0.0\n", b"0,0,-inf\n"), ("not_a_number",)),
            (lines(b"0.0,2.5,0.0\n", b"-1e9,0.0,0.0\n"), ("range",)),
        ):
            assert not process.complains(*words)()
            with measured(process) as wrong:
                sensor.spoil(line, process.complains(*words))
            assert wrong.seconds <= 1.0, words
            sensor.send(0.3)

        with measured(process) as stuck:
            sensor.hang(process.complains("stuck"))
        assert stuck.seconds <= 2.0
        told_from = time.monotonic()
        sensor.hang(lambda: time.monotonic() > told_from + 0.3)
        sensor.send(0.5)
        process.until(lambda: process.source()["silent_s"] > 0.3)  # it has read all
        ledger = process.end()
    predictions = stored(tmp_path / "all.jsonl")
    sensor.stream.check(tmp_path / "m.tflite", predictions)
    assert [prediction["sequence"] for prediction in predictions] == list(range(len(predictions)))
    assert ledger["delivered"] == ledger["predictions"] == len(predictions)
    everything = sensor.stream.count + sensor.spoilt
    assert everything - 20 <= ledger["read"] <= everything  # the last before it was unplugged were not read
    assert ledger["dropped"].keys() <= {"fault", "gap", "tail"}
    assert ledger["dropped"]["fault"] == sensor.spoilt
    told = {prediction["fault"] for prediction in predictions}
    assert told == {None, "stuck"}
    # A fault is what happened and nothing else: no hole is called jitter or a wrong rate.
    assert ledger["faults"].keys() == {"silence", "retry", "garbage", "not_a_number", "range", "stuck"}
    counted = sum(ledger["faults"][reason] for reason in ("garbage", "not_a_number", "range"))
    assert counted <= sensor.spoilt
    assert ledger["faults"]["stuck"] == 1
    assert ledger["faults"]["silence"] <= 2  # the port's own count, and the pipeline's


def test_many_ports_of_which_one_works(tmp_path):
    """Wrong rates, another baud rate, a flood, a loose contact, silence: each its own fault, and no more."""
    names = "good", "fast", "slow", "noisy", "flooding", "loose", "silent"
    with ThreadPoolExecutor() as pool, sensors(tmp_path, len(names)) as found:
        good, fast, slow, noisy, flooding, loose, silent = found
        for sensor in found:
            sensor.plug()
        with pipeline(tmp_path, found) as process:
            process.until(lambda: all(process.connected(nth) for nth in range(len(names))))
            before = process.status("VmRSS")
            for sensor in found[:-1]:
                sensor.greet()

            def wrong_rate(sensor, times):
                nth = found.index(sensor) + 1
                words = f"press-7-{nth}:", "rate: expected 100 Hz"
                sensor.send(8.0, process.complains(*words), times)
                sensor.send(13.0, lambda: not process.complains(*words)())

            def come_and_go():
                nth = found.index(loose)
                while not loose.over.is_set():
                    loose.send(0.3)
                    loose.unplug(half=b"0.1,")
                    time.sleep(0.3)
                    loose.plug()
                    wait_for(lambda: process.connected(nth))
                    loose.greet()

            flooding.stream.lossy()
            jobs = [
                pool.submit(wrong_rate, fast, 4.0),
                pool.submit(wrong_rate, slow, 0.5),
            ]
            others = [
                pool.submit(good.send, 40.0, good.over.is_set),
                pool.submit(flooding.send, 40.0, flooding.over.is_set, 100.0),
                pool.submit(noisy.spoil, noise(2), noisy.over.is_set, 40.0),
                pool.submit(come_and_go),
            ]
            process.until(process.complains(f"{noisy.link}: garbage"))
            process.until(process.complains(f"{silent.link}: no sample for"))
            for job in jobs:
                job.result()
            for sensor in found:
                sensor.over.set()
            for other in others:
                other.result()
            grown = process.status("VmRSS") - before
            sent = sum(sensor.stream.count for sensor in found) + noisy.spoilt
            whole = sent - loose.stream.count
            process.until(lambda: process.source(names.index("flooding"))["silent_s"] > 0.3)
            health = process.health()
            ledger = process.end()
    predictions = stored(tmp_path / "all.jsonl")
    for nth, sensor in enumerate(found, 1):
        own = [prediction for prediction in predictions if prediction["device"] == f"press-7-{nth}"]
        sensor.stream.check(tmp_path / "m.tflite", own)
        assert [prediction["sequence"] for prediction in own] == list(range(len(own)))
        told = {prediction["fault"] for prediction in own} - {None}
        # A burst, which a busy machine makes of any sensor, is jitter; that no more than one is wrong is not.
        assert told - {"jitter"} == ({"rate"} if sensor in (fast, slow) else set()) or sensor is flooding
        assert told or sensor is not flooding
    assert ledger["delivered"] == ledger["predictions"] == len(predictions)
    assert whole <= ledger["read"] <= sent
    assert ledger["dropped"]["fault"] == noisy.spoilt == ledger["faults"]["garbage"]
    assert ledger["faults"]["rate"] >= 2
    assert health["sources"][5]["reopened"] >= 3
    assert [source["faults"] for source in health["sources"][:3]] == [{}, {}, {}]
    assert flooding.stream.count > 50 * good.stream.count
    assert grown < 50_000, f"{grown} kB"


def test_whatever_a_port_does_the_pipeline_ends_when_asked_to(tmp_path):
    """Away, silent, an endless line, samples without a pause; four pipelines at the same time."""
    with ThreadPoolExecutor() as pool, ExitStack() as stack:
        found = stack.enter_context(sensors(tmp_path, 4))
        away, _, endless, flooding = found
        for sensor in found:
            if sensor is not away:
                sensor.plug()

        def pour(sensor, data):
            while not sensor.over.is_set():
                sensor.write(data)

        processes = []
        for nth, sensor in enumerate(found):
            folder = tmp_path / str(nth)
            folder.mkdir()
            processes.append(stack.enter_context(pipeline(folder, [sensor])))
        endless.greet()
        pool.submit(pour, endless, b"x" * 1000)
        pool.submit(pour, flooding, b"\n0.1,0.2,0.3" * 100)
        for process, word in zip(processes, ("cannot be opened", "no sample", "garbage", ""), strict=True):
            process.until(
                process.complains(word) if word else lambda: processes[3].health()["ledger"]["samples"]
            )
        for ledger in pool.map(Process.end, processes):
            assert ledger["queued"] == 0
        assert ledger["predictions"] > 0
