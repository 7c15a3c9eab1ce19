"""The examples run as written; only the places (a port, a broker, a minute) are those of the test."""

import json
import runpy
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_sdk import DecisionSettings, Model
from edge_sdk.contract import Output
from tests.integration.broker import Listener, running_broker, wait_for
from tests.integration.serial_sensor import serial_sensor
from tests.models import Linear, write_model

pytestmark = pytest.mark.e2e
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder with motion.tflite in it: 100 samples of ax, ay, az at 50 Hz."""
    write_model(
        tmp_path / "motion.tflite",
        Linear(window=100),
        output=Output(("rest", "walk", "fall")),
        decision=DecisionSettings(threshold=0.5),
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def falling(i):
    """g; the third label's channel is the largest."""
    return np.array([0.0, 0.1 * np.sin(i / 5), 1.0])


def test_stream_in_this_thread_then_as_a_pipeline(here):
    with serial_sensor(falling, 200.0) as sensor:
        text = (EXAMPLES / "stream.py").read_text()
        # The model wants 50 Hz; the test's sensor prints four times as fast so that it need not last minutes.
        text = text.replace("/dev/ttyACM0?baud=115200", f"{sensor.path}?baud=115200")
        text = text.replace("duration_s=60", "duration_s=2")
        script = here / "stream.py"
        script.write_text(text)
        finished = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.count("fall") >= 10
    rows = sqlite3.connect(here / "events.db").execute("SELECT label, score FROM predictions").fetchall()
    assert rows
    assert {label for label, _ in rows} == {"fall"}


class Registers:
    """The register file of an MPU-6050 that lies still: 1 g along z."""

    def read_i2c_block_data(self, address, register, count):
        assert (address, register, count) == (0x68, 0x3B, 6)
        return list(np.array([0, 0, 16384], ">i2").tobytes())


def test_own_sensor(here):
    mpu6050 = runpy.run_path(str(EXAMPLES / "own_sensor.py"))["mpu6050"]
    with Model.load("motion.tflite") as model:
        predictions = model.stream(mpu6050(Registers(), rate_hz=50.0))
        first = next(predictions)
    assert (first.label, first.device) == ("fall", "wrist")
    np.testing.assert_allclose(
        first.outputs, Linear(window=100).expected(np.tile([0, 0, 1.0], (100, 1))), atol=1e-5
    )


def test_edgeml_toml(here):
    with serial_sensor(falling, 200.0) as sensor, running_broker(here) as broker:
        listener = Listener(broker.port, "press-7")
        text = (EXAMPLES / "edgeml.toml").read_text()
        text = text.replace("/dev/ttyACM0", sensor.path).replace(
            "mqtt://broker/", f"mqtt://127.0.0.1:{broker.port}/"
        )
        (here / "edgeml.toml").write_text(text)
        edgeml = [sys.executable, "-m", "edge_sdk"]
        checked = subprocess.run(
            [*edgeml, "check", "edgeml.toml"], capture_output=True, text=True, timeout=60
        )
        assert checked.returncode == 0, checked.stderr
        ran = subprocess.run(
            [*edgeml, "run", "edgeml.toml", "--duration", "4", "--json"],
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert ran.returncode == 0, ran.stderr
        result = json.loads(ran.stdout)
        wait_for(lambda: listener.messages)
        listener.close()
    assert result["ledger"]["balanced"]
    assert result["ledger"]["lost"] == 0
    rows = (
        sqlite3.connect("events.db")
        .execute("SELECT device, label, event FROM predictions ORDER BY sequence")
        .fetchall()
    )
    assert len(rows) == result["predictions"]
    assert {row[0] for row in rows} == {"press-7"}
    # Held for 0.5 s, then one start; only that one is published.
    assert [row[2] for row in rows if row[2]] == ["start"]
    published = [json.loads(message) for message in listener.messages]
    assert [(p["event"], p["label"]) for p in published] == [("start", "fall")]
