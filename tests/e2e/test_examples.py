"""The examples run as written; only the places (a port, a broker, a minute) are those of the test."""

import ast
import json
import os
import runpy
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from edge_sdk import DecisionSettings, Model, Pipeline, open_source
from edge_sdk.contract import Channel, Input, Output
from tests.integration.broker import Listener, running_broker
from tests.integration.serial_sensor import serial_sensor
from tests.models import Linear, write_model
from tests.waiting import wait_for

pytestmark = pytest.mark.e2e
EXAMPLES = Path(__file__).parents[2] / "examples"
LABELS = ("rest", "walk", "fall")
#: What some examples read instead of a sensor: 59 windows in which each label wins for a while.
SINE = "synthetic:sine?freq_hz=0.1&seconds=60&speed=max"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder with motion.tflite in it: 100 samples of ax, ay, az at 50 Hz."""
    write_model(
        tmp_path / "motion.tflite",
        Linear(window=100),
        output=Output(LABELS),
        decision=DecisionSettings(threshold=0.5),
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def falling(i):
    """g; the third label's channel is the largest."""
    return np.array([0.0, 0.1 * np.sin(i / 5), 1.0])


def place(here, name, replacements=None):
    """An example in the folder, with the places that the test has instead; each must stand in it."""
    text = (EXAMPLES / name).read_text()
    for found, instead in (replacements or {}).items():
        assert found in text
        text = text.replace(found, instead)
    (here / name).write_text(text)
    return [sys.executable, here / name]


def printed(command, **options):
    """What an example prints, run by itself; it must say nothing on standard error."""
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, **options)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def stored(query):
    with closing(sqlite3.connect("events.db")) as database:
        return database.execute(query).fetchall()


def test_run_array(here):
    first, second = printed(place(here, "run_array.py")).splitlines()
    label, score = first.split()
    expected = Linear(window=100).expected(np.tile([0, 0, 1.0], (100, 1)))
    assert (label, float(score)) == ("fall", pytest.approx(expected[2]))
    assert ast.literal_eval(second) == pytest.approx(dict(zip(LABELS, expected.tolist(), strict=True)))


def test_own_sink(here):
    assert printed(place(here, "own_sink.py")) == "59 predictions\n"
    lines = [line.split() for line in (here / "falls.log").read_text().splitlines()]
    with Model.load("motion.tflite") as model, open_source(SINE) as source:
        expected = [p for p in model.stream(source) if p.label == "fall" and p.score > 0.5]
    assert len(expected) > 5
    assert [score for _, _, score in lines] == [f"{p.score:.2f}" for p in expected]
    assert {device for _, device, _ in lines} == {socket.gethostname()}


def test_pipeline_in_python(here):
    out = printed(place(here, "pipeline.py"))
    shown, toml = out.split("device = ", 1)
    rows = stored("SELECT label, score, event FROM predictions ORDER BY sequence")
    assert len(rows) == 59
    falls = [json.loads(line) for line in (here / "falls.jsonl").read_text().splitlines()]
    assert len(falls) == len([1 for label, _, event in rows if (label, event) == ("fall", "start")]) > 3
    assert len(shown.splitlines()) == len([1 for _, score, _ in rows if score > 0.8]) > 3
    (here / "again.toml").write_text("device = " + toml)
    assert Pipeline.from_config("again.toml").run().predictions == 59


def test_own_firmware(here):
    """A board that prints its scores, on a real pseudo-terminal."""
    with serial_sensor(lambda i: [0.1, 0.2, 0.7], 50.0) as sensor:
        places = {"/dev/ttyACM0": sensor.path, "duration_s=60": "duration_s=2"}
        out = printed(place(here, "own_firmware.py", places))
    *shown, last = out.splitlines()
    rows = stored("SELECT device, label, round(score, 6), model FROM predictions ORDER BY sequence")
    assert len(rows) == len(shown) == int(last.removesuffix(" predictions")) > 10
    assert set(rows) == {("press-7", "fall", 0.7, "linear")}


def test_firmware(here):
    place(here, "firmware.toml")
    preview = Pipeline.from_config("firmware.toml").preview()
    assert preview["model"]["runtime"] == "firmware"
    assert preview["sources"][0]["options"] == {"take": "predictions"}


def test_gateway(here):
    """Five devices on a real broker; then it is told to stop."""
    with running_broker(here) as broker, publishing(broker.port) as send:
        alarms = Listener(broker.port, "plant/+/event")
        address = {"mqtt://broker/": f"mqtt://127.0.0.1:{broker.port}/"}
        place(here, "gateway.toml", address)
        gateway = subprocess.Popen(place(here, "gateway.py"), stdout=subprocess.PIPE, text=True)
        devices = {f"press-{n}": np.eye(3)[n % 3] for n in range(5)}
        for second in range(100):
            for device, values in devices.items():
                samples = np.tile(values, (50, 1)).tolist()
                send(f"plant/{device}/imu", json.dumps({"samples": samples, "channels": ["ax", "ay", "az"]}))
            if second > 3 and len(alarms.messages) >= 5:
                break
            time.sleep(0.2)
        gateway.send_signal(signal.SIGTERM)
        out, _ = gateway.communicate(timeout=30)
        wait_for(lambda: len(alarms.messages) >= 5)
        alarms.close()
    assert gateway.returncode == 0
    assert "0 queued" in out
    started = {(p["device"], p["label"], p["event"]) for p in map(json.loads, alarms.messages)}
    labels = {device: LABELS[int(np.argmax(values))] for device, values in devices.items()}
    assert started == {(device, label, "start") for device, label in labels.items()}
    rows = stored("SELECT device, label, sequence FROM predictions ORDER BY rowid")
    assert {(device, label) for device, label, _ in rows} == set(labels.items())
    for device in devices:
        sequence = [number for name, _, number in rows if name == device]
        assert sequence == list(range(len(sequence)))


@contextmanager
def publishing(port):
    from paho.mqtt import client

    sender = client.Client(client.CallbackAPIVersion.VERSION2)
    sender.connect("127.0.0.1", port)
    sender.loop_start()
    try:
        yield lambda topic, text: sender.publish(topic, text, qos=1).wait_for_publish(10)
    finally:
        sender.disconnect()
        sender.loop_stop()


def test_asyncio_bridge(here):
    lines = printed(place(here, "asyncio_bridge.py")).splitlines()
    assert [line.split()[0].rpartition("#")[2] for line in lines] == [str(n) for n in range(19)]


def test_asyncio_bridge_interrupted(here):
    command = place(here, "asyncio_bridge.py", {"&seconds=20&speed=max": "&speed=10"})
    bridge = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "#0 " in bridge.stdout.readline()
    bridge.send_signal(signal.SIGINT)
    _, errors = bridge.communicate(timeout=30)
    assert errors.splitlines()[-1] == "KeyboardInterrupt"


def test_stream_in_this_thread_then_as_a_pipeline(here):
    with serial_sensor(falling, 200.0) as sensor:
        # The model wants 50 Hz; the test's sensor prints four times as fast so that it need not last minutes.
        places = {"/dev/ttyACM0?baud=115200": f"{sensor.path}?baud=115200", "duration_s=60": "duration_s=2"}
        out = printed(place(here, "stream.py", places))
    assert out.count("fall") >= 10
    rows = stored("SELECT label, score FROM predictions")
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
        places = {"/dev/ttyACM0": sensor.path, "mqtt://broker/": f"mqtt://127.0.0.1:{broker.port}/"}
        place(here, "edgeml.toml", places)
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
    rows = stored("SELECT device, label, event FROM predictions ORDER BY sequence")
    assert len(rows) == result["predictions"]
    assert {row[0] for row in rows} == {"press-7"}
    # Held for 0.5 s, then one start; only that one is published.
    assert [row[2] for row in rows if row[2]] == ["start"]
    published = [json.loads(message) for message in listener.messages]
    assert [(p["event"], p["label"]) for p in published] == [("start", "fall")]


def test_a_plug_in_package_of_ones_own(here):
    """Installed as a user would, its entry point is found; pymodbus's own server answers."""
    uv = EXAMPLES.parent / ".tools" / "bin" / "uv"
    package = EXAMPLES / "edgeml-modbus"
    install = [uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", sys.executable]
    subprocess.run([*install, "--target", here / "installed", package], check=True, timeout=60)
    path = os.pathsep.join([str(here / "installed"), str(EXAMPLES.parent)])
    environment = {**os.environ, "PYTHONPATH": path}
    own_tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", package]
    finished = subprocess.run(own_tests, capture_output=True, text=True, timeout=60, env=environment)
    assert finished.returncode == 0, finished.stdout
    assert "5 passed" in finished.stdout

    slow = Input(tuple(Channel(name, "g") for name in ("ax", "ay", "az")), 10.0, 8, 4)
    write_model(here / "slow.tflite", Linear(), output=Output(LABELS), input=slow)
    server = subprocess.Popen(
        [sys.executable, "-c", MODBUS_SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        port = int(server.stdout.readline())
        url = f"modbus://127.0.0.1:{port}/7?channels=ax,ay,az&scale=0.001&rate_hz=10"
        run = [sys.executable, "-m", "edge_sdk", "run", "slow.tflite", "--source", url, "--once"]
        finished = subprocess.run(
            [*run, "--sink", "sqlite:events.db", "--duration", "30", "--json"],
            capture_output=True, text=True, timeout=60, env=environment,
        )  # fmt: skip
    finally:
        server.communicate("stop\n", timeout=10)
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout)["ledger"]["balanced"]
    rows = stored("SELECT label, score FROM predictions")
    expected = Linear().expected(np.tile([0.01, 0.02, 1.0], (8, 1)))
    assert rows == [("fall", pytest.approx(expected[2]))]


MODBUS_SERVER = """
import asyncio, sys
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

async def serve():
    device = SimDevice(7, [SimData(0, values=[10, 20, 1000], datatype=DataType.REGISTERS)])
    server = ModbusTcpServer(device, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    print(server.transport.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await server.shutdown()

asyncio.run(serve())
"""


def test_the_examples_are_well_typed():
    """As a user's own type checker sees them, by what the package says of itself (py.typed)."""
    scripts = sorted([*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*/*/__init__.py")])
    check = [sys.executable, "-m", "mypy", "--config-file", "", "--cache-dir", ".mypy_cache/examples"]
    finished = subprocess.run(
        [*check, "--follow-imports", "silent", *scripts],
        capture_output=True,
        text=True,
        timeout=280,
        cwd=EXAMPLES.parent,
    )
    assert finished.returncode == 0, finished.stdout


def test_every_example_is_tested():
    beside = EXAMPLES.parent / "tests" / "integration" / "test_hil_example.py"
    text = Path(__file__).read_text() + beside.read_text()
    names = {path.name for path in EXAMPLES.iterdir() if path.name[0] not in "._"}
    assert {name for name in names if name not in text} == set()
