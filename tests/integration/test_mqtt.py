"""Predictions reach a real broker, and its absence is a retry, not a loss."""

import json
import socket

import numpy as np
import pytest

from edge_sdk import Block, ConfigError, Model, Pipeline, Prediction, Retry, open_sink
from tests.integration.broker import Listener, running_broker, wait_for

pytestmark = pytest.mark.integration


@pytest.fixture
def broker(tmp_path):
    with running_broker(tmp_path) as started:
        yield started


def predictions(n):
    scores = np.array([0.1, 0.9], np.float32)
    return [Prediction("fall", 0.9, None, scores, "press-7", "run", i) for i in range(n)]


def test_acknowledged_predictions_reach_subscribers_in_order(broker):
    listener = Listener(broker.port, "plant/#")
    with open_sink(f"mqtt://127.0.0.1:{broker.port}/plant/press-7") as sink:
        sink.write(predictions(100))
    wait_for(lambda: len(listener.messages) == 100)
    listener.close()
    decoded = [json.loads(message) for message in listener.messages]
    assert [message["sequence"] for message in decoded] == list(range(100))
    assert decoded[0]["label"] == "fall"
    assert decoded[0]["device"] == "press-7"


def test_a_broker_that_dies_is_a_retry_and_never_a_silent_loss(broker):
    with open_sink(f"mqtt://127.0.0.1:{broker.port}/plant?timeout_s=2") as sink:
        sink.write(predictions(1))
        broker.stop()
        with pytest.raises(Retry, match="did not acknowledge|cannot be reached"):
            sink.write(predictions(3))


def test_no_broker_is_a_retry():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(Retry, match="cannot be reached"):
            open_sink(f"mqtt://127.0.0.1:{port}/topic")


def test_a_server_that_never_answers_is_a_retry():
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(Retry, match="does not answer"):
        open_sink(f"mqtt://127.0.0.1:{mute.getsockname()[1]}/topic?timeout_s=0.5")


@pytest.mark.parametrize(
    "url", ["mqtt://host", "mqtt:", "mqtt://host:x/t", "mqtt://host/a/+/b", "mqtt://h/t?qos=3"]
)
def test_a_wrong_url_is_refused(url):
    with pytest.raises(ConfigError):
        open_sink(url)


def test_a_pipeline_outlives_a_restart_of_the_broker(broker, linear_file):
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
