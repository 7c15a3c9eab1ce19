"""A pipeline behind a serial port, and whatever happens to those: unplugged, garbage, floods, two readers."""

import binascii
import contextlib
import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import threading
from collections import Counter

import numpy as np
import pytest

from edge_sdk import Pipeline, open_source
from edge_sdk.contract import Output
from edge_sdk.sources import serial as serial_source
from tests.integration.serial_sensor import SerialSensor, serial_sensor
from tests.models import Linear, write_model
from tests.waiting import wait_for

pytestmark = pytest.mark.integration
LABELS = ("rest", "walk", "fall")


@pytest.fixture
def model(tmp_path):
    """Eight samples of ax, ay, az; the label of the largest channel wins."""
    return write_model(tmp_path / "m.tflite", Linear(), output=Output(LABELS))


def cobs_frame(body):
    """With its CRC, stuffed; no byte of it may be zero in a run of 254, so that one code a zero is enough."""
    body += binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "little")
    return b"".join(bytes([len(part) + 1]) + part for part in body.split(b"\0")) + b"\0"


def only(channel):
    """g; one channel is 1, the others are 0."""
    values = np.eye(3)[channel]
    return lambda _: values


class Run:
    """A pipeline in a thread of its own, with what it predicted."""

    def __init__(self, model, source, **options):
        self.predictions = []
        self.pipeline = Pipeline(model, [source], [self.predictions.append], **options)
        self.failures = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        try:
            self.report = self.pipeline.run(duration_s=30)
        except Exception as error:  # noqa: BLE001 - looked at by whoever ends it
            self.failures.append(error)

    def faults(self):
        """Those so far, of its source."""
        now = self.pipeline.snapshot()
        return now.sources[0].faults if now else Counter()

    def labels(self):
        return Counter(prediction.label for prediction in self.predictions)

    def end(self):
        self.pipeline.stop()
        self._thread.join(10)
        assert not self._thread.is_alive(), "it hangs"
        assert not self.failures
        assert self.report.ledger.balanced
        assert self.report.ledger.delivered == len(self.predictions)
        return self.report.ledger


@contextlib.contextmanager
def running(model, source, **options):
    run = Run(model, source, **options)
    try:
        yield run
    finally:
        run.pipeline.stop()
        run._thread.join(15)


def sure(prediction):
    """Whether all of a window came from a sensor that moves one channel only."""
    return np.allclose(np.sort(prediction.outputs), np.sort(Linear().expected(np.tile([1.0, 0, 0], (8, 1)))))


def test_unplugged_in_mid_line_and_plugged_in_again_at_the_same_path(model, tmp_path):
    link = tmp_path / "ttySENSOR"
    sensor = SerialSensor(only(1), 400.0, link=link)
    with running(model, f"serial:{link}") as run:
        for channel in (2, 0):
            seen = len(run.predictions)
            wait_for(lambda seen=seen: len(run.predictions) > seen + 5)
            os.write(sensor._controller, b"0.50000,0.5")  # and no more
            sensor.unplug()
            sensor = SerialSensor(only(channel), 400.0, link=link)
            wait_for(lambda label=LABELS[channel]: run.labels()[label] > 5)
        sensor.unplug()
        ledger = run.end()
    # No window holds samples from before and after, and half a line is no sample.
    assert all(map(sure, run.predictions))
    order = list(dict.fromkeys(prediction.label for prediction in run.predictions))
    assert order == ["walk", "fall", "rest"]
    assert ledger.faults["retry"] >= 2
    assert [prediction.sequence for prediction in run.predictions] == list(range(len(run.predictions)))


def test_a_port_that_is_not_there_yet(model, tmp_path, caplog):
    link = tmp_path / "ttyLATE"
    with running(model, f"serial:{link}") as run:
        wait_for(lambda: "cannot be opened: found No such file" in caplog.text)
        sensor = SerialSensor(only(2), 400.0, link=link)
        wait_for(lambda: len(run.predictions) > 3)
        sensor.unplug()
        ledger = run.end()
    assert ledger.predictions > 3


def test_a_wrong_baud_rate_is_garbage_and_no_prediction(model):
    noise = np.random.default_rng(7)
    for options in (
        "",
        "?format=struct&layout=<hhh&sync=aa55&check=crc16",
        "?format=struct&layout=<hhh&framing=cobs&check=crc16",
    ):
        with (
            serial_sensor(lambda _: noise.bytes(115), 100.0, encode=bytes) as sensor,
            running(model, f"serial:{sensor.path}{options}") as run,
        ):
            wait_for(lambda sensor=sensor, run=run: sensor.sent > 10_000 and run.faults()["garbage"])
            ledger = run.end()
        assert run.predictions == []
        assert ledger.faults["garbage"] >= 1
        assert ledger.samples.read == ledger.samples.dropped["fault"] > 0


def test_a_device_that_floods_neither_hangs_nor_drowns_anything(model):
    before = resident_bytes()
    with (
        serial_sensor(only(2), 0, encode=lambda values: b"0,0,1\n" * 200) as sensor,
        running(model, f"serial:{sensor.path}") as run,
    ):
        wait_for(lambda: sensor.sent > 2_000_000, 30)
        ledger = run.end()
    assert set(run.labels()) == {"fall"}
    assert ledger.samples.read > 1000
    assert resident_bytes() - before < 100_000_000


def resident_bytes():
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_packets_of_which_some_are_lost_and_garbage_lies_between(model):
    noise = np.random.default_rng(9)

    def sent(i):
        frame = cobs_frame(struct.pack("<Bhhh", i % 256, 0, 0, 16384))
        if i % 50 == 20:
            return b""
        return noise.bytes(7).replace(b"\0", b"") + b"\0" + frame if i % 50 == 40 else frame

    url = "serial:{}?format=struct&layout=<hhh&framing=cobs&check=crc16&counter=u8&scale=6.103515625e-05"
    with serial_sensor(sent, 400.0, encode=bytes) as sensor, running(model, url.format(sensor.path)) as run:
        wait_for(lambda: len(run.predictions) > 60)
        ledger = run.end()
    assert set(run.labels()) == {"fall"}
    assert all(map(sure, run.predictions))
    assert ledger.faults["lost"] >= 3
    assert ledger.faults["garbage"] >= 3
    assert ledger.samples.dropped["gap"] > 0
    assert run.report.missed == ledger.faults["lost"]


def test_a_gateway_on_a_usb_stick_gives_one_stream_a_device(model):
    def line(i):
        values = dict(zip(("ax", "ay", "az"), np.eye(3)[i % 3].tolist(), strict=True))
        return json.dumps({"device": f"press-{i % 3}", "battery": 3.1, **values}).encode() + b"\n"

    with serial_sensor(line, 600.0, encode=bytes) as sensor, running(model, f"serial:{sensor.path}") as run:
        wait_for(lambda: len({prediction.device for prediction in run.predictions}) == 3)
        wait_for(lambda: len(run.predictions) > 30)
        run.end()
    assert all(map(sure, run.predictions))
    seen = {(prediction.device, prediction.label) for prediction in run.predictions}
    assert seen == {("press-0", "rest"), ("press-1", "walk"), ("press-2", "fall")}
    for device in ("press-0", "press-1", "press-2"):
        sequence = [p.sequence for p in run.predictions if p.device == device]
        assert sequence == list(range(len(sequence)))


def test_two_pipelines_do_not_share_a_port(model):
    with serial_sensor(only(2), 400.0) as sensor, running(model, f"serial:{sensor.path}") as run:
        wait_for(lambda: len(run.predictions) > 3)
        second = [sys.executable, "-m", "edge_sdk", "run", str(model), "--source", f"serial:{sensor.path}"]
        done = subprocess.run(
            [*second, "--duration", "0.5", "--json"], capture_output=True, text=True, timeout=60
        )
        seen = len(run.predictions)
        wait_for(lambda: len(run.predictions) > seen + 3)
        run.end()
    assert "another program uses it" in done.stderr
    assert json.loads(done.stdout)["predictions"] == 0


EXCLUSIVE = 0x80045440  # TIOCGEXCL


def is_exclusive(path):
    file = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        return struct.unpack("i", fcntl.ioctl(file, EXCLUSIVE, bytes(4)))[0]
    finally:
        os.close(file)


def test_the_kernel_keeps_others_away_from_a_real_port_while_it_is_open(monkeypatch):
    """A pseudo terminal stands for one; of those the lock would outlive a crash, so it is not set."""
    with serial_sensor(only(2)) as sensor:
        with open_source(f"serial:{sensor.path}"):
            assert not is_exclusive(sensor.path)
        monkeypatch.setattr(serial_source, "_PSEUDO_TERMINALS", ())
        source = open_source(f"serial:{sensor.path}")
        file = source.port.fileno()
        assert struct.unpack("i", fcntl.ioctl(file, EXCLUSIVE, bytes(4)))[0]
        source.close()
        assert not is_exclusive(sensor.path)


def test_after_a_crash_the_port_is_free(model):
    with serial_sensor(only(2), 400.0) as sensor:
        command = [sys.executable, "-m", "edge_sdk", "run", str(model), "--source", f"serial:{sensor.path}"]
        first = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert b"fall" in first.stdout.readline()
        first.send_signal(signal.SIGKILL)
        first.wait()
        first.stdout.close()
        with running(model, f"serial:{sensor.path}") as run:
            wait_for(lambda: len(run.predictions) > 3)
            ledger = run.end()
    assert not ledger.faults["retry"]
