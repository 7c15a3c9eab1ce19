"""``edgeml record`` as a person uses it: keys on a terminal, cue sheets, signals, kill -9."""

import json
import os
import signal
import subprocess
import sys

import pytest

from edge_sdk.dataset import Dataset
from tests.terminal import Terminal
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

SINE = "synthetic:sine?rate_hz=50&channels=ax,ay,az"


def start(*arguments, **more):
    command = [sys.executable, "-m", "edge_sdk", "record", SINE, *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=more.pop("stderr", subprocess.PIPE), text=True, **more
    )


def takes(folder):
    return [path for path in (folder / ".recording").glob("*.take") if path.stat().st_size > 1000]


@pytest.fixture
def terminal():
    terminal = Terminal(100, 30)
    yield terminal
    terminal.close()


def test_labels_by_key(tmp_path, terminal):
    data = tmp_path / "data"
    recorder = start(
        *("-o", data, "--group", "anna", "--labels", "walk,f=fall", "--shortest", "0.2"),
        stdin=terminal.device,
        stderr=terminal.device,
        env={**os.environ, "TERM": "xterm"},
    )
    try:
        terminal.wait_for("paused", 60)
        terminal.wait_for("50 Hz", 60)
        os.write(terminal._controller, b"1")
        terminal.wait_for("● walk")
        wait_for(lambda: takes(data), 60.0)
        os.write(terminal._controller, b"f")
        terminal.wait_for("● fall")
        terminal.wait_until(
            lambda seen: any("walk" in line and "   1 recording" in line for line in seen.lines)
        )
        wait_for(lambda: takes(data), 60.0)
        os.write(terminal._controller, b" ")
        terminal.wait_for("paused")
        terminal.wait_until(
            lambda seen: any("fall" in line and "   1 recording" in line for line in seen.lines)
        )
        os.write(terminal._controller, b"u")
        terminal.wait_until(
            lambda seen: any("fall" in line and "   0 recording" in line for line in seen.lines)
        )
        os.write(terminal._controller, b"q")
        out, _ = recorder.communicate(timeout=60)
    finally:
        recorder.kill()
    assert recorder.returncode == 0
    assert not terminal.alternate
    assert "walk                    1 recordings" in out
    assert [(each.label, each.group) for each in Dataset.load(data).recordings] == [("walk", "anna")]


def test_cues_and_json(tmp_path):
    recorder = start("-o", tmp_path / "d", "--cues", "rest:1,walk:1", "--settle", "0.2", "--json")
    out, err = recorder.communicate(timeout=120)
    assert recorder.returncode == 0, err
    said = json.loads(out)
    assert said["balanced"]
    assert {label: facts["recordings"] for label, facts in said["labels"].items()} == {"rest": 1, "walk": 1}
    assert all(0.6 <= facts["seconds"] <= 0.82 for facts in said["labels"].values())
    assert "recordings/rest/" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_what_is_open(tmp_path, number):
    data = tmp_path / "d"
    recorder = start("-o", data, "--label", "walk")
    wait_for(lambda: takes(data), 60.0)
    recorder.send_signal(number)
    out, _ = recorder.communicate(timeout=60)
    assert recorder.returncode == 0
    assert "samples" in out
    assert len(Dataset.load(data).recordings) == 1


def test_what_a_kill_leaves_is_finished_by_the_next(tmp_path):
    data = tmp_path / "d"
    recorder = start("-o", data, "--label", "walk")
    wait_for(lambda: takes(data), 60.0)
    recorder.kill()
    recorder.communicate(timeout=60)
    again = start("-o", data, "--label", "rest", "--duration", "1.5")
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert "finished for a recorder that had died: recordings/walk/" in out
    assert {each.label for each in Dataset.load(data).recordings} == {"walk", "rest"}
    assert not (data / ".recording").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--labels", "walk"], "--labels: keys: expected a terminal, found none; use --label or --cues"),
        (
            ["--label", "a", "--cues", "b:1"],
            "labels: expected one of --label, --labels and --cues, found several",
        ),
        (["--label", "a/b", "--duration", "1"], "expected a name that a file may have, found 'a/b'"),
        (["--channels", "x", "--duration", "1"], "channels: expected x, found ax, ay, az"),
    ],
)
def test_bad_input_in_one_line(tmp_path, arguments, complaint):
    recorder = start("-o", tmp_path / "d", *arguments, stdin=subprocess.DEVNULL)
    _, err = recorder.communicate(timeout=60)
    assert recorder.returncode == 2
    assert complaint in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "d" / "recordings").exists() or not list((tmp_path / "d/recordings").iterdir())
