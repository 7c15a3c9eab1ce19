"""A gateway: many devices over a real broker, through its restarts; nothing lost, nothing invented."""

import json
import re
import threading
from pathlib import Path

import numpy as np
import pytest

from edge_sdk.config import Config
from edge_sdk.pipeline import Pipeline
from tests.integration.broker import Device, Listener, running_broker
from tests.integration.certificates import Authority
from tests.models import write_model
from tests.waiting import wait_for

pytestmark = pytest.mark.integration
DEVICES = 100
WINDOW = json.dumps(np.random.default_rng(0).normal(size=(8, 3)).round(3).tolist())
"""As many samples as the model's first window takes."""


class Gateway:
    """A pipeline in a thread."""

    def __init__(self, pipeline):
        self.report, self._pipeline = None, pipeline
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        self.report = self._pipeline.run()

    def stop(self):
        self._pipeline.stop()
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.report


def test_a_hundred_devices_through_two_restarts_of_the_broker(tmp_path, linear_file):
    lines = ("persistence true", f"persistence_location {tmp_path}/", "max_queued_messages 0", "log_type all")
    with running_broker(tmp_path, *lines) as broker:
        place = f"mqtt://127.0.0.1:{broker.port}"
        listener = Listener(broker.port, "alarms/#", client_id="oracle")
        gateway = Gateway(
            Pipeline(
                str(linear_file),
                [f"{place}/plant/+/imu?timeout_s=4"],
                [f"{place}/alarms/{{device}}?timeout_s=4"],
            )
        )
        wait_for(lambda: "Sending SUBACK to edgeml" in broker.log.read_text())
        for nth in range(3):
            with Device(broker.port) as device:
                for n in range(DEVICES):
                    device.publish(f"plant/d{n}/imu", WINDOW)
                device.publish("plant/noise/imu", "garbage", "[1, 2]", '{"ax": NaN, "ay": 0, "az": 0}')
            wait_for(lambda n=nth: len(set(seen(listener))) >= DEVICES * (n + 1), 30)
            if nth < 2:
                broker.stop(gently=True)
                broker.start()
                wait_for(lambda n=nth: broker.log.read_text().count("Sending SUBACK to edgeml") >= n + 2, 20)
        report = gateway.stop()
        listener.close()
    ledger = report.ledger
    assert ledger.balanced, ledger.as_dict()
    assert ledger.delivered == report.predictions
    assert ledger.faults["garbage"] == 6
    assert len(set(seen(listener))) == report.predictions
    for n in range(DEVICES):
        numbers = list(dict.fromkeys(i for name, i in seen(listener) if name == f"d{n}"))
        assert numbers == list(range(max(3, len(numbers))))  # all, in order; each perhaps more than once


def seen(listener):
    messages = [json.loads(message) for message in listener.messages]
    return [(message["device"], message["sequence"]) for message in messages]


def test_the_sample_file_of_the_documentation_is_a_good_one(tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "mqtt.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```toml\n(.*?)^```", page, re.M | re.S)
    authority = Authority(tmp_path)
    identity = authority.issue("gateway")
    for name, file in (
        ("ca.pem", authority.cert),
        ("gateway.pem", identity.cert),
        ("gateway.key", identity.key),
    ):
        example = example.replace(f"/etc/edgeml/{name}", str(file))
    (tmp_path / "password").write_text("secret\n")
    example = example.replace("/etc/edgeml/", f"{tmp_path}/")
    write_model(tmp_path / "motion.tflite")
    monkeypatch.chdir(tmp_path)
    pipeline = Pipeline.from_config(Config.parse(example, folder=tmp_path))
    pipeline.preview()
