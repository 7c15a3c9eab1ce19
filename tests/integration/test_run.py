"""`edgeml run` and `edgeml check` as a user meets them: processes, signals, terminals, crashes."""

import contextlib
import json
import os
import pty
import random
import signal
import sqlite3
import subprocess
import sys
import time
import tty
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from edge_sdk import Model, recordings
from edge_sdk.recordings import Signal
from tests.models import write_model
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

EDGEML = [sys.executable, "-m", "edge_sdk"]
NUMBERS = np.random.default_rng(3).normal(size=(2000, 3)).astype(np.float32)
KILL_ROUNDS = int(os.environ.get("EDGEML_KILL_ROUNDS", "8"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model and a recording of 40 s."""
    folder = tmp_path_factory.mktemp("run")
    write_model(folder / "m.tflite")
    recordings.write(folder / "walk.csv", Signal(NUMBERS, 50.0, ("ax", "ay", "az")))
    return folder


def edgeml(place, *arguments, **more):
    return subprocess.run(
        [*EDGEML, *arguments], cwd=place, capture_output=True, text=True, timeout=60, check=False, **more
    )


def started(place, *arguments, **more):
    return subprocess.Popen(
        [*EDGEML, *arguments], cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )


def stored(path):
    """Sequences of each run in a database, which is whole."""
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        runs = {}
        for run_id, sequence in database.execute("SELECT run_id, sequence FROM predictions ORDER BY rowid"):
            runs.setdefault(run_id, []).append(sequence)
        return runs


def count(path):
    with contextlib.suppress(sqlite3.OperationalError), closing(sqlite3.connect(path, timeout=5)) as database:
        return database.execute("SELECT count(*) FROM predictions").fetchone()[0]
    return 0


def test_a_recording_goes_through_and_the_report_adds_up(place):
    done = edgeml(
        place, "run", "m.tflite", "--source", "replay:walk.csv?speed=max", "--sink", "sqlite:all.db",
        "--sink", "jsonl:all.jsonl", "--sink", "csv:all.csv", "--sink", "stdout:", "--device", "wrist", "--json",  # noqa: E501
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    ledger = report["ledger"]
    assert ledger["balanced"]
    assert (ledger["read"], ledger["used"], ledger["predictions"]) == (2000, 2000, 499)
    assert all(account["delivered"] == 499 for account in ledger["sinks"].values())
    assert {"p50", "p90", "p99", "max"} <= set(report["latency_us"])
    assert report["predictions"] == 499
    assert stored(place / "all.db") == {report["run_id"]: list(range(499))}
    assert "wrist#498" in done.stderr  # the stdout: sink makes way for the JSON


def test_the_same_recording_gives_the_same_outputs_in_python_and_through_run(place):
    edgeml(place, "run", "m.tflite", "--source", "replay:walk.csv?speed=max", "--sink", "jsonl:same.jsonl")
    ran = [json.loads(line)["outputs"] for line in (place / "same.jsonl").read_text().splitlines()]
    with Model.load(place / "m.tflite") as model:
        windows = np.lib.stride_tricks.sliding_window_view(NUMBERS, 8, axis=0)[::4].transpose(0, 2, 1)
        direct = np.stack([model.run(window).outputs for window in windows])
    assert np.array(ran, np.float32).tobytes() == direct.tobytes()


def test_an_edgeml_toml_is_checked_and_run_from_anywhere(place, tmp_path):
    (place / "edgeml.toml").write_text(
        'device = "press-7"\nmodel = {file = "m.tflite"}\n'
        '[[source]]\nurl = "replay:walk.csv"\nspeed = "max"\n'
        "[decision]\nthreshold = 0.9\n"
        '[[sink]]\nurl = "sqlite:toml.db"\nwhen = "event == \'start\'"\n'
    )
    config = str(place / "edgeml.toml")
    checked = json.loads(edgeml(tmp_path, "check", config, "--json").stdout)
    assert checked["ok"]
    assert checked["decision"]["threshold"] == 0.9
    assert checked["sinks"][0]["when"] == "event == 'start'"
    assert not (place / "toml.db").exists()
    assert edgeml(tmp_path, "run", config, "--dry-run").returncode == 0
    assert not (place / "toml.db").exists()
    done = edgeml(tmp_path, "run", config)
    assert done.returncode == 0, done.stderr
    assert "499 predictions" in done.stderr
    assert 0 < count(place / "toml.db") < 499


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["m.tflite", "--source", "replay:nope.csv"], 2, "no such file or folder"),
        (["m.tflite", "--source", "replay:walk.csv?sped=1"], 2, "did you mean 'speed'"),
        (["m.tflite"], 2, "no source"),
        (["nope.tflite", "--source", "replay:walk.csv"], 2, "nope.tflite"),
        (["nope.toml"], 2, "cannot be read"),
        (["m.tflite", "--source", "replay:walk.csv", "--sink", "sqlite:no/where.db"], 3, "mkdir -p"),
        (
            ["m.tflite", "--source", "replay:walk.csv", "--sink", "sqlite:m.tflite"],
            3,
            "not a SQLite database",
        ),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(place, arguments, status, message):
    before = (place / "m.tflite").read_bytes()
    done = edgeml(place, "run", *arguments)
    assert done.returncode == status
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("edgeml: ")
    assert message in last
    assert "Traceback" not in done.stderr
    assert (place / "m.tflite").read_bytes() == before


def test_once_and_duration_end_by_themselves(place):
    once = edgeml(place, "run", "m.tflite", "--source", "replay:walk.csv", "--once")
    assert len(once.stdout.splitlines()) == 1
    timed = edgeml(place, "run", "m.tflite", "--source", "replay:walk.csv", "--duration", "0.5", "--json")
    assert 0.5 <= json.loads(timed.stdout)["duration_s"] < 5


def test_a_reader_that_has_seen_enough_is_no_failure(place):
    source = "replay:walk.csv?speed=max&repeat=50"
    pipe = f"{' '.join(EDGEML)} run m.tflite --source '{source}' | head -2; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", pipe], cwd=place, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_exits_with_0(place, number):
    database = place / f"signal{number}.db"
    process = started(
        place,
        "run",
        "m.tflite",
        "--source",
        "replay:walk.csv?speed=20&repeat=0",
        "--sink",
        f"sqlite:{database}",
        "--json",
    )
    wait_for(lambda: count(database) > 20, 30.0)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    ledger = json.loads(out)["ledger"]
    assert ledger["balanced"]
    assert ledger["delivered"] == ledger["predictions"] == count(database)


def test_once_without_a_prediction_is_a_failure(place):
    silent = edgeml(place, "run", "m.tflite", "--source", "serial:loop://", "--once", "--duration", "1")
    assert silent.returncode == 3
    assert "no prediction came: expected one within 1 s, found 0 samples" in silent.stderr


def test_a_second_signal_exits_at_once(place):
    code = (
        "import time, signal, os, sys; from edge_sdk.cli import main; import edge_sdk.sinks.jsonl as sink\n"
        "def hang(self, predictions): print('hung', flush=True); time.sleep(3600)\n"
        "sink.Sink.write = hang\n"
        "main(['run', 'm.tflite', '--source', 'replay:walk.csv', '--sink', 'jsonl:hung.jsonl'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=place, stdout=subprocess.PIPE, env=environment
    )
    assert process.stdout.readline() == b"hung\n"
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    assert process.wait(10) == 130
    assert time.monotonic() - begun < 4
    process.stdout.close()


def test_a_kill_at_any_moment_loses_nothing_that_was_committed(place):
    database = place / "killed.db"
    for _ in range(KILL_ROUNDS):
        before = count(database)
        process = started(
            place,
            "run",
            "m.tflite",
            "--source",
            "replay:walk.csv?speed=40&repeat=0",
            "--sink",
            f"sqlite:{database}",
        )
        wait_for(lambda before=before: count(database) > before, 30.0)
        time.sleep(random.uniform(0.0, 0.5))
        seen = count(database)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
        runs = stored(database)
        assert sum(map(len, runs.values())) >= seen > before
        assert all(sequences == list(range(len(sequences))) for sequences in runs.values())
    assert len(stored(database)) == KILL_ROUNDS


@contextlib.contextmanager
def terminal(link):
    """A pseudo terminal behind a link, so that it can be unplugged and plugged in again under one name."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    link.unlink(missing_ok=True)
    link.symlink_to(os.ttyname(slave))
    try:
        yield master
    finally:
        link.unlink(missing_ok=True)
        os.close(slave)
        os.close(master)


def send(sensor, lines=50):
    for row in NUMBERS[:lines]:
        os.write(sensor, (",".join(f"{value:.4f}" for value in row) + "\n").encode())
        time.sleep(0.002)


def test_a_serial_port_with_garbage_unplugged_and_plugged_in_again(place):
    database, port = place / "serial.db", place / "tty"
    with terminal(port) as sensor:
        process = started(
            place,
            "run",
            "m.tflite",
            "--source",
            f"serial:{port}?timeout_s=60",
            "--sink",
            f"sqlite:{database}",
            "--json",
        )
        wait_for(lambda: count(database) > 3 or send(sensor), 30.0)
        os.write(sensor, b"\xff\xfe garbage\n1,2\n" + b"x" * 10_000 + b"\n")
        send(sensor)
    before = count(database)
    with terminal(port) as sensor:
        wait_for(lambda: count(database) > before + 3 or send(sensor), 30.0)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    ledger = json.loads(out)["ledger"]
    assert ledger["balanced"]
    assert ledger["faults"]["garbage"] == 3
    assert ledger["faults"]["retry"] >= 1
    assert ledger["delivered"] == ledger["predictions"] == count(database)
    assert "the connection broke" in err
    assert "Traceback" not in err


def test_lines_on_standard_input_go_through_to_their_end(place):
    text = "ax,ay,az\n" + "".join(f"{a:.4f},{b:.4f},{c:.4f}\n" for a, b, c in NUMBERS[:100]) + "oops\n"
    done = edgeml(place, "run", "m.tflite", "--source", "stdin:", "--json", input=text)
    ledger = json.loads(done.stdout)["ledger"]
    assert ledger["read"] == 101
    assert ledger["predictions"] == ledger["delivered"] == 24
    assert ledger["faults"] == {"garbage": 1}


def test_a_full_disk_holds_predictions_back_and_the_run_goes_on(place, tmp_path):
    """A file system of 256 KiB fills up; the other sink gets everything, and the books say what waits."""
    small = tmp_path / "small"
    small.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("needs root and mount: run as root, outside a restricted container")
    try:
        (small / "ballast").write_bytes(b"\0" * 120_000)
        done = edgeml(
            place, "run", "m.tflite", "--source", "replay:walk.csv?speed=max", "--sink", f"jsonl:{small}/p.jsonl",  # noqa: E501
            "--sink", f"sqlite:{tmp_path}/p.db", "--json",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        ledger = json.loads(done.stdout)["ledger"]
        assert ledger["balanced"]
        full, fine = ledger["sinks"].values()
        assert fine["delivered"] == 499
        assert 0 < full["delivered"] < 499
        assert full["queued"] == 499 - full["delivered"] == ledger["queued"]
        assert "No space left on device; free some space" in done.stderr
        lines = (small / "p.jsonl").read_text().splitlines()
        assert [json.loads(line)["sequence"] for line in lines] == list(range(full["delivered"]))
    finally:
        subprocess.run(["umount", str(small)], check=True)
