"""Predictions reach a real broker, and its absence is a retry, not a loss."""

import gc
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edge_sdk import Block, ConfigError, Model, Prediction, Rejected, Retry, open_sink, open_source, registry
from edge_sdk.errors import Fatal
from edge_sdk.plugins import check_url
from edge_sdk.registry import Url
from tests.integration.broker import Listener, answering, running_broker
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


@pytest.fixture
def broker(tmp_path):
    with running_broker(tmp_path) as started:
        yield started


def predictions(n, device="press-7", label="fall"):
    scores = np.array([0.1, 0.9], np.float32)
    return [Prediction(label, 0.9, None, scores, device, "run", i) for i in range(n)]


def wide(numbers):
    """A prediction of many bytes."""
    return Prediction("fall", 0.9, None, np.full(numbers, 0.123456, np.float32), "press-7", "run", 0)


def test_acknowledged_predictions_reach_subscribers_in_order(broker):
    listener = Listener(broker.port, "plant/#")
    with open_sink(f"mqtt://127.0.0.1:{broker.port}/plant/press-7") as sink:
        sink.write(predictions(100))
        sink.write(predictions(1))
    wait_for(lambda: len(listener.messages) == 101)
    listener.close()
    decoded = [json.loads(message) for message in listener.messages]
    assert [message["sequence"] for message in decoded] == [*range(100), 0]
    assert decoded[0]["label"] == "fall"
    assert decoded[0]["device"] == "press-7"


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_every_quality_of_service_and_both_protocols(broker, qos, protocol):
    listener = Listener(broker.port, "plant")
    with open_sink(f"mqtt://127.0.0.1:{broker.port}/plant?qos={qos}&protocol={protocol}") as sink:
        sink.write(predictions(300))
    wait_for(lambda: len(listener.messages) == 300)
    listener.close()
    assert [json.loads(message)["sequence"] for message in listener.messages] == list(range(300))


def test_a_topic_takes_names_from_the_prediction_and_stays_one_topic(broker):
    listener = Listener(broker.port, "#")
    url = f"mqtt://127.0.0.1:{broker.port}/plant/{{device}}/{{label}}"
    with open_sink(url, retain=True) as sink:
        sink.write(
            predictions(1, "w/+/#%", "50 %") + predictions(1, "ü", None) + predictions(1, "$SYS\n\ud800", "")
        )
    wait_for(lambda: len(listener.topics) == 3)
    listener.close()
    assert listener.topics == [
        "plant/w%2F%2B%2F%23%25/50 %25",
        "plant/ü/none",
        "plant/%24SYS%0A%3F/none",
    ]
    later = Listener(broker.port, "plant/#")
    wait_for(lambda: len(later.retained) == 3)
    later.close()


def test_a_broker_that_dies_is_a_retry_and_never_a_silent_loss(broker):
    with open_sink(f"mqtt://127.0.0.1:{broker.port}/plant?timeout_s=2") as sink:
        sink.write(predictions(1))
        broker.stop()
        with pytest.raises(Retry, match="the connection was lost"):
            sink.write(predictions(3))
        with pytest.raises(Retry, match="the connection was lost"):
            sink.idle()


def test_a_broker_that_hangs_is_a_retry_in_time(broker):
    sink = open_sink(f"mqtt://127.0.0.1:{broker.port}/plant?timeout_s=1")
    sink.write(predictions(1))
    sink.idle()
    broker.freeze()
    started = time.monotonic()
    with pytest.raises(Retry, match="did not acknowledge: expected an answer within 1 s"):
        sink.write(predictions(64))
    assert time.monotonic() - started < 2
    started = time.monotonic()
    sink.close()
    assert time.monotonic() - started < 3
    with pytest.raises(Retry, match="does not answer"):
        open_sink(f"mqtt://127.0.0.1:{broker.port}/plant?timeout_s=0.5")


def test_a_broker_that_hangs_is_noticed_while_nothing_is_written(broker):
    def idle_until_lost():
        sink.idle()
        return False

    with open_sink(f"mqtt://127.0.0.1:{broker.port}/plant?timeout_s=2") as sink:
        broker.freeze()
        started = time.monotonic()
        with pytest.raises(Retry, match="no answer to pings"):
            wait_for(idle_until_lost)
        assert 1 < time.monotonic() - started < 4


def test_no_broker_is_a_retry():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(Retry, match="cannot be reached"):
            open_sink(f"mqtt://127.0.0.1:{port}/topic")


def test_a_server_that_never_answers_is_a_retry():
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(Retry, match="does not answer"):
        open_sink(f"mqtt://127.0.0.1:{mute.getsockname()[1]}/topic?timeout_s=0.5")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 No\r\n\r\n", b"\x20\x7f" + b"\xff" * 127, b"\x20\x00"])
def test_a_server_that_speaks_something_else_is_a_retry(answer):
    with (
        answering(answer) as port,
        pytest.raises(Retry, match="does not (answer|speak MQTT)"),
    ):
        open_sink(f"mqtt://127.0.0.1:{port}/topic?timeout_s=2")


@pytest.mark.parametrize(
    "url",
    [
        "mqtt://host",
        "mqtt:",
        "mqtt://host:x/t",
        "mqtt://host:0/t",
        "mqtt://host:70000/t",
        "mqtt://host/a/+/b",
        "mqtt://host/a/#",
        "mqtt://h/t?qos=3",
        "mqtt://h/t?timeout_s=0",
        "mqtt://h/t?availability=a/%2B",
        "mqtt://h/t?protocol=3",
        "mqtt://h/{devise}",
        "mqtt://h/{outputs}",
        "mqtt://h/{device.__class__}",
        "mqtt://h/{device!r}",
        "mqtt://h/{",
        "mqtt://h/t?password_env=EDGEML_NOT_SET",
        "mqtt://h/t?password_file=/nowhere",
        "mqtt://u:p@h/t?password_file=/nowhere",
        "mqtt://h/t?ca=/nowhere",
        "mqtt://h/t?key=/etc/hostname",
        "mqtt://h/t?ca=/etc/hostname",
    ],
)
def test_a_wrong_url_is_refused_by_check_and_by_run(url):
    with pytest.raises(ConfigError):
        open_sink(url)
    plugin = registry.find("sinks", "mqtt")
    with pytest.raises(ConfigError):
        plugin.preflight(Url.parse(url).location, None, **check_url("sinks", url)[2])


def test_a_right_url_passes_the_check_without_a_broker():
    plugin, location, options = check_url("sinks", "mqtts://u:p@[::1]:1/plant/{device}?qos=2&availability=a")
    plugin.preflight(location, None, **options)


def test_a_password_is_never_shown():
    for url in ("mqtt://me:secret@/t", "mqtt://me:secret@127.0.0.1:1/t", "mqtt://me:secret@h:x/t"):
        with pytest.raises((ConfigError, Retry)) as raised:
            open_sink(url)
        assert "secret" not in str(raised.value)


def test_users_and_passwords(tmp_path, monkeypatch):
    users = tmp_path / "users"
    users.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", str(users), "press", "p@ss/word"], check=True)
    secret = tmp_path / "secret"
    secret.write_text("p@ss/word\n")
    monkeypatch.setenv("EDGEML_TEST_PASSWORD", "p@ss/word")
    with running_broker(tmp_path, "allow_anonymous false", f"password_file {users}") as broker:
        place = f"127.0.0.1:{broker.port}/plant"
        for url in (
            f"mqtt://{place}?username=press&password_file={secret}",
            f"mqtt://press@{place}?password_env=EDGEML_TEST_PASSWORD",
            f"mqtt://press:p%40ss%2Fword@{place}",
            f"mqtt://press:p%40ss%2Fword@{place}?protocol=3.1.1",
        ):
            with open_sink(url) as sink:
                sink.write(predictions(1))
        for url in (f"mqtt://press:wrong@{place}", f"mqtt://{place}", f"mqtt://{place}?protocol=3.1.1"):
            with pytest.raises(Retry, match="refuses this client.*[Nn]ot authorized.*password_file"):
                open_sink(url)


def test_a_broker_of_the_old_protocol_only_says_what_to_set():
    with answering(b"\x20\x02\x00\x01") as port, pytest.raises(Fatal, match="set protocol"):
        open_sink(f"mqtt://127.0.0.1:{port}/topic")


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("limit", ["message_size_limit 2000", "max_packet_size 2000"])
def test_a_message_that_the_broker_does_not_take_is_rejected_and_the_next_goes_on(tmp_path, limit, qos):
    with running_broker(tmp_path, limit) as broker:
        listener = Listener(broker.port, "plant")
        url = f"mqtt://127.0.0.1:{broker.port}/plant?qos={qos}"
        for batch in ([wide(1000)], [*predictions(1), wide(1000)]):
            with open_sink(url) as sink, pytest.raises(Rejected):
                sink.write(batch)
        with open_sink(url) as sink:
            sink.write(predictions(2))
        wait_for(lambda: len(listener.messages) >= 2)
        listener.close()
        assert all(len(message) < 2000 for message in listener.messages)


def test_a_topic_that_the_access_list_forbids_is_rejected(tmp_path):
    rights = tmp_path / "rights"
    rights.write_text("topic readwrite plant/#\n")
    with running_broker(tmp_path, f"acl_file {rights}") as broker:
        with open_sink(f"mqtt://127.0.0.1:{broker.port}/{{label}}/x") as sink:
            sink.write(predictions(1, label="plant"))
            with pytest.raises(Rejected, match="Not authorized"):
                sink.write(predictions(1, label="office"))
            sink.write(predictions(1, label="plant"))
        with pytest.raises(Retry, match="name another topic for availability"):
            open_sink(f"mqtt://127.0.0.1:{broker.port}/plant?availability=office")


AVAILABLE = """
import sys
import numpy as np
from edge_sdk import Prediction, open_sink

sink = open_sink(sys.argv[1])
sink.write([Prediction("fall", 0.9, None, np.zeros(2, np.float32), "press-7", "run", 0)])
print("written", flush=True)
sys.stdin.read()
sink.close()
"""


def retained(broker, topic):
    late = Listener(broker.port, topic)
    wait_for(lambda: late.retained)
    late.close()
    return late.retained[topic]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_availability_tells_a_clean_end_and_a_kill_from_a_running_sink(broker, protocol):
    url = f"mqtt://127.0.0.1:{broker.port}/plant?availability=plant/online&protocol={protocol}"
    watcher = Listener(broker.port, "plant/online")
    for end in ("close", "kill"):
        watcher.messages.clear()
        child = subprocess.Popen(
            [sys.executable, "-c", AVAILABLE, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert child.stdout.readline() == b"written\n"
        wait_for(lambda: watcher.messages == [b"online"])
        if end == "kill":
            child.send_signal(signal.SIGKILL)
        child.communicate(timeout=10)
        wait_for(lambda: watcher.messages == [b"online", b"offline"])
        assert retained(broker, "plant/online") == b"offline"
    watcher.close()


def test_two_clients_of_one_name_are_told_so(broker):
    url = f"mqtt://127.0.0.1:{broker.port}/plant"
    with open_sink(url) as first, open_sink(url) as second:
        with pytest.raises(Retry, match="another client.* set client_id"):
            wait_for(first.idle)
        second.write(predictions(1))
        with open_sink(url, client_id="other") as other:
            other.write(predictions(1))
        second.idle()


def test_reconnecting_for_a_year_leaves_nothing_open(broker):
    def descriptors():
        return len(list(Path("/proc/self/fd").iterdir()))

    url = f"mqtt://127.0.0.1:{broker.port}/plant"
    gc.collect()
    gc.disable()  # it would clear up, sometimes
    try:
        for open_it in (open_sink, open_source):
            before = descriptors()
            for _ in range(10):
                with open_it(url):
                    pass
            assert descriptors() <= before + 2
        broker.stop()
        before = descriptors()
        for _ in range(10):
            with pytest.raises(Retry):
                open_sink(url)
        assert descriptors() <= before + 2
    finally:
        gc.enable()


def test_closing_twice_and_after_the_end_is_allowed(broker):
    sink = open_sink(f"mqtt://127.0.0.1:{broker.port}/plant?availability=a")
    before = threading.active_count()
    broker.stop()
    sink.close()
    sink.close()
    assert threading.active_count() < before


def test_a_pipeline_outlives_a_restart_of_the_broker(broker, linear_file):
    from edge_sdk import Pipeline

    listener = Listener(broker.port, "plant")
    samples = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    state = {}

    def sensor():
        for i in range(40):
            if i == 20:
                wait_for(lambda: len(listener.messages) >= 10)
                state["before"] = len(listener.messages)
                listener.close()
                broker.stop()
                broker.start()
                state["listener"] = Listener(broker.port, "plant")
            yield Block(samples, 50.0, device="wrist", end=True)

    report = Pipeline(
        Model.load(linear_file), [sensor()], [f"mqtt://127.0.0.1:{broker.port}/plant?timeout_s=5"]
    ).run()
    later = state["listener"]
    wait_for(lambda: later.messages and json.loads(later.messages[-1])["sequence"] == 39)
    later.close()
    seen = {json.loads(m)["sequence"] for m in listener.messages + later.messages}
    assert report.ledger.balanced
    assert report.ledger.delivered == 40
    assert seen == set(range(40))
