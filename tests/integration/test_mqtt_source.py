"""Samples of many devices come over a real broker: none hidden, none invented, whatever the broker does."""

import json
import subprocess
import sys
import threading
import time
from collections import Counter

import numpy as np
import pytest

from edge_sdk import Block, ConfigError, Retry, open_source
from edge_sdk.contract import Channel, Input
from edge_sdk.plugins import check_url
from tests.integration.broker import Device, answering, running_broker
from tests.waiting import wait_for

pytestmark = pytest.mark.integration
XY = Input((Channel("ax", "g"), Channel("ay", "g")), 50.0, 8, 4)


@pytest.fixture
def broker(tmp_path):
    with running_broker(tmp_path) as started:
        yield started


class Reader:
    """Reads a source in a thread, as the pipeline does, and keeps what it yields."""

    def __init__(self, url, **options):
        self.source = open_source(url, **options)
        self.source.expect(XY)
        self.blocks, self.faults, self.failure, self.ended_s = [], [], None, None
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self):
        try:
            for item in self.source:
                (self.blocks if isinstance(item, Block) else self.faults).append(item)
                self.may_go_on.wait()
        except Retry as error:
            self.failure = error
        self.ended_s = time.monotonic()

    @property
    def devices(self):
        return {block.device for block in self.blocks}

    @property
    def values(self):
        """The first channel of every sample, in the order in which they came."""
        return [value for block in self.blocks for value in block.samples[:, 0].tolist()]

    def wait(self, count):
        wait_for(lambda: len(self.values) >= count)
        return self

    def wait_until_subscribed(self, device, topic):
        """A session that the broker keeps exists from the first subscription on."""
        wait_for(lambda: device.publish(topic, "[-1, 0]") or self.values)
        return self

    def join(self):
        self._thread.join(10)
        assert not self._thread.is_alive()
        return self

    def close(self):
        self.may_go_on.set()
        started = time.monotonic()
        self.source.close()
        self.join()
        assert time.monotonic() - started < 3

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def sample(value):
    return json.dumps({"ax": value, "ay": 0})


def reading(broker, topic, **options):
    return Reader(f"mqtt://127.0.0.1:{broker.port}/{topic}", **options)


def test_two_hundred_devices_are_two_hundred_streams_in_order(broker):
    with reading(broker, "plant/+/imu") as reader, Device(broker.port) as device:
        reader.wait_until_subscribed(device, "plant/first/imu")
        for i in range(5):
            for n in range(200):
                device.publish(f"plant/d{n}/imu", sample(i), qos=0)
        wait_for(lambda: sum(block.device != "first" for block in reader.blocks) >= 1000)
    assert len(reader.devices) == 201
    for n in range(200):
        values = [b.samples[0, 0] for b in reader.blocks if b.device == f"d{n}"]
        assert values == [0, 1, 2, 3, 4]
    assert not reader.faults
    assert {block.channels for block in reader.blocks} == {("ax", "ay")}
    assert {block.rate_hz for block in reader.blocks} == {50.0}


@pytest.mark.parametrize(
    ("topic", "option", "published", "payload", "device"),
    [
        ("plant/+/imu", "", "plant/press-7/imu", "[1, 2]", "press-7"),
        ("+/line/+", "", "hall/line/press-7", "[1, 2]", "hall/press-7"),
        ("plant/#", "", "plant/a/b/c", "[1, 2]", "a/b/c"),
        ("+/#", "{2}", "plant/a/b/c", "[1, 2]", "a/b/c"),
        ("plant/+/+", "{3}-{2}", "plant/a/b", "[1, 2]", "b-a"),
        ("plant/+/imu", "{serial}", "plant/x/imu", {"serial": 17, "ax": 1, "ay": 2}, "17"),
        ("plant/imu", "", "plant/imu", {"device": "w", "ax": 1, "ay": 2}, "w"),
        ("plant/imu", "", "plant/imu", "[1, 2]", ""),
        ("plant/imu", "wrist", "plant/imu", "[1, 2]", "wrist"),
        ("plant/+/imu", "", "plant/{2}/imu", "[1, 2]", "{2}"),
        ("$share/gateways/plant/+/imu", "", "plant/press-7/imu", "[1, 2]", "press-7"),
    ],
)
def test_who_a_message_is_from(broker, topic, option, published, payload, device):
    with reading(broker, topic, device=option, qos=0) as reader, Device(broker.port) as sender:
        text = payload if isinstance(payload, str) else json.dumps(payload)
        wait_for(lambda: sender.publish(published, text) or reader.blocks)
    assert reader.devices == {device}
    assert not reader.faults


def test_every_kind_of_message(broker):
    packed = np.array([[10, 20], [30, 40]], "<i2").tobytes()
    for plant, option, payload, expected in (
        ("csv", {}, "1,2\n3,4\n", [1, 3]),
        ("json", {}, json.dumps({"samples": [[1, 2], [3, 4]], "rate_hz": 50}), [1, 3]),
        ("raw", {"format": "raw", "dtype": "<i2", "scale": 0.1}, packed, [1, 3]),
    ):
        with reading(broker, f"{plant}/+", **option) as reader, Device(broker.port) as device:
            wait_for(lambda d=device, p=payload, r=reader, t=f"{plant}/a": d.publish(t, p) or r.blocks)
        np.testing.assert_allclose(reader.values[:2], expected)


def test_garbage_is_counted_and_harms_nobody_else(broker):
    hostile = [
        b"\x00\xff" * 50,
        b"{",
        b"[" * 5000,
        b"left,right",
        b'{"ax": 1}',
        b"[1, 2, 3]",
        b"\xef\xbb\xbf",
    ]
    with reading(broker, "plant/#", max_bytes=10_000) as reader, Device(broker.port) as device:
        reader.wait_until_subscribed(device, "plant/good")
        device.publish("plant/bad", *hostile, b"x" * 20_000, b"", sample(float("nan")))
        device.publish("plant/" + "x" * 200, sample(1))
        device.publish("plant/a\u202eb", sample(1))
        device.publish("plant//", sample(1))
        device.publish("plant/good", sample(1))
        # Devices are read in turn: what came last need not be read last.
        wait_for(
            lambda: reader.values.count(1.0) == 2 and "bad" in reader.devices and len(reader.faults) == 10
        )
    reasons = Counter(fault.reason for fault in reader.faults)
    assert reasons == {"garbage": len(hostile), "oversized": 1, "device": 2}
    assert all(fault.samples == 1 for fault in reader.faults)
    assert {fault.device for fault in reader.faults if fault.reason == "garbage"} == {"bad"}
    read = {
        device: [b.samples[:, 0].tolist() for b in reader.blocks if b.device == device]
        for device in reader.devices
    }
    np.testing.assert_equal(read["bad"], [[np.nan]])  # the pipeline counts NaN
    assert read["good"][-1] == [1.0]


def test_a_message_far_too_large_never_reaches_this_process(broker):
    with reading(broker, "plant/+", max_bytes=1000) as reader, Device(broker.port) as device:
        reader.wait_until_subscribed(device, "plant/a")
        device.publish("plant/a", b"x" * (3 << 20), sample(1))
        wait_for(lambda: reader.values[-1:] == [1.0])
    assert not reader.faults


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_retained_messages_are_no_samples_of_now(broker, protocol):
    with Device(broker.port) as device:
        device.publish("plant/a", sample(7), retain=True)
        with reading(broker, "plant/+", protocol=protocol) as reader:
            reader.wait_until_subscribed(device, "plant/b")
            device.publish("plant/a", sample(8), retain=True)
            wait_for(lambda: 8.0 in reader.values)  # devices are read in turn, so b's may come after it
    assert 7.0 not in reader.values
    assert [fault.reason for fault in reader.faults] == ([] if protocol == "5" else ["retained"])


def test_messages_of_a_closed_time_come_with_a_kept_session_and_not_with_a_clean_one(broker):
    with Device(broker.port) as device:
        for clean, expected in ((False, [1, 2, 3]), (True, [3])):
            with reading(broker, "plant/+", clean=clean) as reader:
                reader.wait_until_subscribed(device, "plant/a")
            device.publish("plant/a", sample(1), sample(2))
            with reading(broker, "plant/+", clean=clean) as reader:
                reader.wait(2) if not clean else reader.wait_until_subscribed(device, "plant/a")
                device.publish("plant/a", sample(3))
                wait_for(lambda r=reader: r.values[-1:] == [3.0])
            assert [value for value in reader.values if value > 0] == expected


KILLED = """
import sys
from edge_sdk import Block, open_source
from tests.integration.test_mqtt_source import XY

source = open_source(sys.argv[1])
source.expect(XY)
for item in source:
    print(*item.samples[:, 0], flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_a_killed_process_had_not_taken_comes_again(tmp_path, protocol):
    with running_broker(tmp_path, "log_type all") as broker, Device(broker.port) as device:
        url = f"mqtt://127.0.0.1:{broker.port}/plant/+?protocol={protocol}"
        command = [sys.executable, "-c", KILLED, url]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            wait_for(lambda: "SUBACK" in broker.log.read_text())
            device.publish("plant/a", *(sample(i) for i in range(100)))
            while float(child.stdout.readline()) < 9:
                child.stdin.write("\n")
                child.stdin.flush()
            # The tenth was handed over; only asking for the next one would acknowledge it.
            wait_for(lambda: broker.log.read_text().count("Received PUBACK from edgeml") == 9)
            child.kill()
        with reading(broker, "plant/+", protocol=protocol) as reader:
            reader.wait(91)
    assert reader.values == list(range(9, 100))


@pytest.mark.parametrize("qos", [1, 0])
def test_a_reader_that_waits_is_waited_for_with_qos_1_and_counts_what_it_loses_with_qos_0(tmp_path, qos):
    with (
        running_broker(tmp_path, "log_type all") as broker,
        reading(broker, "plant/+", qos=qos, inbox=10) as reader,
        Device(broker.port) as device,
    ):
        reader.wait_until_subscribed(device, "plant/a")
        reader.may_go_on.clear()
        device.publish("plant/a", *(sample(i) for i in range(300)), qos=qos)
        device.publish("plant/b", *(sample(i) for i in range(300)), qos=qos)
        if not qos:  # what is to be lost must come before anybody reads on
            wait_for(lambda: broker.log.read_text().count("Sending PUBLISH to edgeml") >= 600)
        time.sleep(0.2)
        reader.may_go_on.set()
        wait_for(lambda: sum(v >= 0 for v in reader.values) + sum(f.samples for f in reader.faults) >= 600)
    lost = Counter()
    for fault in reader.faults:
        lost[fault.device] += fault.samples
    for name in ("a", "b"):
        kept = [v for block in reader.blocks for v in block.samples[:, 0] if v >= 0 and block.device == name]
        assert kept == sorted(set(kept))
        assert len(kept) + lost[name] == 300
    assert {fault.reason for fault in reader.faults} == (set() if qos else {"overflow"})


def test_a_frozen_broker_is_noticed_in_time(broker):
    with reading(broker, "plant/+", timeout_s=2) as reader, Device(broker.port) as device:
        reader.wait_until_subscribed(device, "plant/a")
        broker.freeze()
        started = time.monotonic()
        reader.join()
        assert reader.ended_s - started < 3.5
        assert "no answer to pings" in str(reader.failure)
        broker.thaw()


def test_a_dead_broker_is_a_retry(broker):
    with reading(broker, "plant/+") as reader, Device(broker.port) as device:
        reader.wait_until_subscribed(device, "plant/a")
        broker.stop()
        reader.join()
        assert isinstance(reader.failure, Retry)
    with pytest.raises(Retry, match="cannot be reached"):
        open_source(f"mqtt://127.0.0.1:{broker.port}/plant/+")


@pytest.mark.parametrize("kept", [True, False])
def test_a_restart_of_the_broker_with_and_without_its_memory(tmp_path, kept):
    lines = ("persistence true", f"persistence_location {tmp_path}/", "autosave_interval 1")
    with running_broker(tmp_path, *(lines if kept else ("persistence false",))) as broker:
        with reading(broker, "plant/+") as reader, Device(broker.port) as device:
            reader.wait_until_subscribed(device, "plant/a")
            reader.close()
            device.publish("plant/a", sample(1), sample(2))
        broker.stop(gently=True)
        broker.start()
        with Device(broker.port) as device, reading(broker, "plant/+") as reader:
            if not kept:
                reader.wait_until_subscribed(device, "plant/a")
            device.publish("plant/a", sample(3))
            wait_for(lambda: reader.values[-1:] == [3.0])
        assert [v for v in reader.values if v > 0] == ([1, 2, 3] if kept else [3])


@pytest.mark.parametrize(
    ("connack", "suback", "protocol"),
    [
        (b"\x20\x03\x00\x00\x00", b"\x90\x04\x00\x01\x00\x87", "5"),
        (b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x80", "3.1.1"),
    ],
)
def test_a_subscription_that_is_refused_is_a_retry(connack, suback, protocol):
    with answering(connack, suback) as port:  # mosquitto refuses none
        source = open_source(f"mqtt://127.0.0.1:{port}/plant/+?protocol={protocol}")
        source.expect(XY)
        with pytest.raises(Retry, match="refuses the subscription to plant/.*rights"):
            list(source)


def test_messages_of_an_earlier_subscription_are_counted(broker):
    with Device(broker.port) as device:
        with reading(broker, "office/+", client_id="gateway") as reader:
            reader.wait_until_subscribed(device, "office/a")
        with reading(broker, "plant/+", client_id="gateway") as reader:
            device.publish("office/a", sample(1))
            reader.wait_until_subscribed(device, "plant/a")
            wait_for(lambda: reader.faults)
    assert {fault.reason for fault in reader.faults} == {"device"}
    assert "office/a: is not under plant/+" in reader.faults[0].detail
    assert reader.devices == {"a"}


def test_closing_ends_the_reading_soon_and_leaves_no_thread(broker):
    before = threading.active_count()
    reader = reading(broker, "plant/+")
    reader.close()
    reader.source.close()
    unread = open_source(f"mqtt://127.0.0.1:{broker.port}/plant/+")
    unread.close()
    assert threading.active_count() == before


@pytest.mark.parametrize(
    "url",
    [
        "mqtt://h",
        "mqtt://h/",
        "mqtt://h/a#",
        "mqtt://h/a/#/b",
        "mqtt://h/a+/b",
        "mqtt://h/a?qos=2",
        "mqtt://h/a?inbox=0",
        "mqtt://h/a?rate_hz=0",
        "mqtt://h/a?format=xml",
        "mqtt://h/a?rate_hz=1&dtype=q",
        "mqtt://h/a?format=raw&rate_hz=1",
        "mqtt://h/a/+?device={3}",
        "mqtt://h/a/+?device={0}",
        "mqtt://h/a/+?device={",
        "mqtt://h/a/+?device={id}-{2}",
        "mqtt://h/$share/g",
    ],
)
def test_a_wrong_url_is_refused(url):
    with pytest.raises(ConfigError):
        _preflight(url)


def _preflight(url, wanted=None):
    plugin, location, options = check_url("sources", url)
    plugin.preflight(location, wanted, **options)


def test_a_right_url_passes_the_check_without_a_broker():
    _preflight("mqtts://127.0.0.1:1/plant/+/imu?device={2}&format=raw&dtype=>i2&clean=true", XY)
    _preflight("mqtt://127.0.0.1:1/plant/#")
