"""The wall clock is stepped, by a day and to 1970, under a running pipeline: only what people read moves."""

import socket
import sqlite3
import ssl
import statistics
import threading
import time
from contextlib import closing, contextmanager
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from edge_sdk import DecisionSettings, Prediction
from edge_sdk.decision import Decision
from tests.integration.certificates import Authority
from tests.integration.faults.oracle import kept
from tests.integration.faults.witnesses import Hook, port
from tests.integration.faults_sensors.clock import WallClock
from tests.integration.faults_sensors.process import Process, environment, stored
from tests.integration.faults_sensors.truth import write
from tests.integration.faults_sensors.wire import Sensor
from tests.integration.http_server import answer, reset, web_server
from tests.models import LABELS_XYZ

pytestmark = pytest.mark.integration

DAY = 86400.0
#: An hour after the beginning of 1970, as on a board without a battery.
BOOT = 3600.0
DECISION = {"threshold": 0.4, "smooth": 6, "hold_s": 0.1}
PIPELINE = """
device = "press-7"
[model]
file = "m.tflite"
[decision]
threshold = 0.4
smooth = 6
hold_s = 0.1
[devices]
idle_s = 60
[outbox]
file = "waiting.outbox"
max_age_s = 120
[[source]]
url = "serial:{link}"
max_age_s = 60
timeout_s = 10
[[sink]]
url = "jsonl:all.jsonl"
sync = "none"
max_age_s = 60
"""


@pytest.fixture
def clock(tmp_path):
    return WallClock(tmp_path)


@contextmanager
def manager(path):
    """A service manager: what it is told, and when."""
    told = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(0.1)
        over = threading.Event()

        def listen():
            while not over.is_set():
                try:
                    told.append((time.monotonic(), listener.recv(4096).decode()))
                except TimeoutError:
                    continue

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield told
        finally:
            over.set()
            thread.join()


@contextmanager
def locked(database):
    """Nobody else can write to it."""
    with closing(sqlite3.connect(database, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        yield
        holder.execute("ROLLBACK")


def decided(predictions):
    """The events that the times on the boot clock give."""
    decision = Decision(DecisionSettings(**DECISION), LABELS_XYZ)
    for prediction in predictions:
        outputs = np.array(prediction["outputs"], np.float32)
        best = int(outputs.argmax())
        raw = Prediction(LABELS_XYZ[best], float(outputs[best]), None, outputs, time_s=prediction["time_s"])
        yield decision.apply(raw).event


def test_steps_of_the_clock_move_nothing_but_what_people_read(tmp_path, clock):
    write(tmp_path, 100.0)
    authority = Authority(tmp_path)
    identity = authority.issue("hook")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(identity.cert, identity.key)
    sensor = Sensor(tmp_path / "ttySENSOR")
    sensor.plug()
    notify = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"}
    begun_s = time.time()
    clock.set(BOOT)
    with (
        web_server(context) as hook,
        port(tmp_path / "ttyVALVE") as valve,
        manager(tmp_path / "notify") as told,
    ):
        sinks = f"""
[[sink]]
url = "https://127.0.0.1:{hook.port}/hook"
ca = "{authority.cert}"
[[sink]]
url = "serial:{valve.link}"
safe_line = "STOP"
max_age_s = 30
[[sink]]
url = "sqlite:all.db"
max_age_s = 60
"""
        text = PIPELINE.format(link=sensor.link) + sinks
        with environment(clock.variables, **notify), Process(tmp_path, text) as process:
            process.until(process.connected)
            sensor.greet()
            sensor.send(10.0, process.complains("certificate is not trusted", "1970-01-01"))
            assert not hook.requests
            clock.step(0)
            sensor.send(15.0, lambda: hook.requests)
            for offset_s, then in (
                (DAY, answer(503)),
                (-DAY, reset),
                (BOOT - begun_s, answer(503)),
                (0, answer(204)),
            ):
                hook.then(then)
                with locked(tmp_path / "all.db"):
                    sensor.send(0.2)  # something waits in memory, too
                    clock.step(offset_s)
                    sensor.send(0.3)
                sensor.send(0.4)
            process.until(lambda: process.source()["silent_s"] > 0.2)
            process.until(lambda: not any(sink["queued"] for sink in process.health()["sinks"]), 15.0)
            ledger = process.end()
        commands = [line for _, line in valve.lines]
    predictions = stored(tmp_path / "all.jsonl")
    sensor.stream.check(tmp_path / "m.tflite", predictions)
    assert [prediction["sequence"] for prediction in predictions] == list(range(len(predictions)))
    assert ledger["faults"] == {}
    assert {prediction["fault"] for prediction in predictions} == {None}
    for account in ledger["sinks"].values():
        assert account["dropped"] == {}
        assert account["delivered"] == len(predictions)
    posted = dict.fromkeys(request.headers["idempotency-key"] for request in hook.requests)
    assert len(posted) == len(predictions)
    assert (commands[0], commands[-1], commands.count("STOP")) == ("STOP", "STOP", 2)

    walls = [prediction["wall_s"] - begun_s for prediction in predictions]
    for offset_s in (BOOT - begun_s, 0.0, DAY, -DAY):
        assert sum(0.0 <= wall_s - offset_s < 60 for wall_s in walls) > 10, offset_s
    for first, second in pairwise(prediction["time_s"] for prediction in predictions):
        assert -0.5 < second - first < 5.0
    events = [prediction["event"] for prediction in predictions]
    assert events == list(decided(predictions))
    assert {"start", "end"} <= set(events)
    looks = [at_s for at_s, text in told if "WATCHDOG=1" in text]
    assert len(looks) > 8
    between = [second - first for first, second in pairwise(looks)]
    # A step neither stops them nor lets them come all at once; single ones a busy machine delays.
    assert 0.2 < statistics.median(between) < 1.0, between
    assert max(between) < 5.0, between


def holds(outbox, count):
    """Whether so many are on the disk."""
    return len(kept(outbox).owed.get("hook", ())) == count


def test_what_waited_through_a_power_cut_is_not_too_old_for_a_clock_that_begins_anew(tmp_path, clock):
    """Each start is a boot at another time: now, in 1970 without a battery, a day ahead."""
    write(tmp_path, 100.0)
    sensor = Sensor(tmp_path / "ttySENSOR")
    sensor.plug()
    begun_s, waiting, runs = time.time(), 0, []
    with Hook() as hook, environment(clock.variables):
        hook.usual = answer(503)
        text = PIPELINE.format(link=sensor.link) + f'[[sink]]\nname = "hook"\nurl = "{hook.url}"\n'
        for offset_s in (0.0, BOOT - begun_s, DAY):
            clock.step(offset_s)
            with Process(tmp_path, text) as process:
                process.until(process.connected)
                assert process.health()["sinks"][1]["queued"] == waiting
                sensor.greet()
                sensor.send(0.5)
                sensor.stream.hole()
                process.until(lambda: process.source()["silent_s"] > 0.2)
                made = process.health()["ledger"]["predictions"]
                waiting += made
                process.until(partial(holds, process.outbox, waiting))
                runs.append(made)
                process.kill()
        hook.usual = None
        clock.step(BOOT - begun_s)
        with Process(tmp_path, text) as process:
            process.until(lambda: len(hook.arrivals) == waiting)
            ledger = process.end()
    assert ledger["sinks"]["hook"]["carried"] == ledger["sinks"]["hook"]["delivered"] == waiting
    assert ledger["lost_in_crash"] == {}
    assert min(runs) > 5
    sensor.stream.check(tmp_path / "m.tflite", [arrival.fields for arrival in hook.arrivals])
    assert [arrival.sequence for arrival in hook.arrivals] == [n for made in runs for n in range(made)]
    walls = [arrival.fields["wall_s"] for arrival in hook.arrivals]
    assert walls[0] > begun_s
    assert walls[runs[0]] < 2 * BOOT
    assert walls[-1] > begun_s + DAY
