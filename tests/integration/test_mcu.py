"""``mcu:`` with the bridge's own C and a real model's on the other end of a pty."""

import json
import os
import pty
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

from edge_sdk import Block, Model, open_source
from edge_sdk.blocks import Fault, boottime_s
from edge_sdk.config import From
from edge_sdk.errors import ConfigError, ModelError
from edge_sdk.pipeline import Pipeline
from edge_sdk.prediction import Prediction
from edge_sdk.windows import cut
from firmware_bridge import ports
from firmware_bridge.faults import Faults, FaultyPort
from tests.hil import files
from tests.models import write_model
from tests.streaming_board import BLOCK, StreamingBoard, compiled
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc: apt install gcc"),
]
WINDOWS = 40
LIMIT_S = 60.0


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return files.motion(tmp_path_factory.mktemp("model") / "motion.tflite")


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(7).normal(size=(50 * (WINDOWS + 1), 6)).astype(np.float32)


@pytest.fixture(scope="module")
def litert(file):
    with Model.load(file) as model:
        yield model


@pytest.fixture(scope="module")
def said(file, samples):
    """What the generated C says about every window, float32 [n, labels]."""
    with Model.load(file, target="host:?runtime=c") as model:
        return model.scores(cut(samples, 100, 50))


@pytest.fixture(scope="module")
def program(file, tmp_path_factory):
    return compiled(file, tmp_path_factory.mktemp("board"))


@pytest.fixture
def plug(program, samples, litert, tmp_path):
    """Boards by name; all are gone at the end."""
    port = litert.runtime.inputs[0]
    windows = np.stack([port.quantize(window[None])[0] for window in cut(samples, 100, 50)])
    boards = {}

    def get(name="ttyACM0"):
        if name not in boards:
            boards[name] = StreamingBoard(program, tmp_path / name, windows, samples)
        return boards[name]

    yield get
    for board in boards.values():
        board.unplug()


class Until:
    """A sink that ends the run when it has enough."""

    delivery = "direct"

    def __init__(self, enough):
        self.enough, self.got, self.pipeline = enough, [], None
        self.came = threading.Event()

    def write(self, predictions):
        self.got += predictions
        self.came.set()
        if self.enough(self.got):
            self.pipeline.stop()

    def close(self):
        pass


def run(file, sources, enough, **more):
    sink = Until(enough)
    pipeline = sink.pipeline = Pipeline(file, sources, [sink], **more)
    report = pipeline.run(LIMIT_S)
    assert report.ledger.balanced, report.ledger.as_dict()
    assert report.duration_s < LIMIT_S
    return sink.got, report


def so_many(count):
    return lambda got: len(got) >= count


def test_predictions_of_the_board_are_those_of_its_c_here_and_no_runtime_is_loaded(
    file, plug, said, tmp_path
):
    plug().plug("p")
    started_s = boottime_s()
    url = f"mcu://{tmp_path}/ttyACM0?take=predictions"
    assert Pipeline(file, [url], [print]).load()[0].runtime.name == "firmware"
    got, report = run(file, [url], so_many(WINDOWS), device="wrist")
    np.testing.assert_array_equal([p.outputs for p in got], said)
    assert [(p.device, p.sequence, p.model) for p in got] == [("wrist", n, "motion") for n in range(WINDOWS)]
    assert {p.run_id for p in got} == {report.run_id}
    assert report.ledger.samples.read == 0
    assert report.ledger.received.used == report.predictions == WINDOWS
    assert report.ledger.faults == {}
    times = [p.time_s for p in got]
    assert times == sorted(times)
    assert started_s - 1 < times[0] < times[-1] < boottime_s()


def test_samples_of_the_board_go_through_the_model_here(file, litert, plug, samples, tmp_path):
    plug().plug("b")
    got, report = run(file, [f"mcu:{tmp_path}/ttyACM0"], so_many(WINDOWS))
    expected = list(litert.stream([Block(samples, 50.0)]))
    np.testing.assert_array_equal([p.outputs for p in got], [p.outputs for p in expected])
    assert report.ledger.received is None
    assert report.ledger.samples.used == len(samples)


def test_one_board_predicts_and_another_sends_samples(file, litert, plug, said, samples, tmp_path):
    plug("a").plug("p")
    plug("b").plug("pb")
    sources = [
        f"mcu:{tmp_path}/a?device=a",
        From(f"mcu:{tmp_path}/b", options={"take": "samples", "device": "b"}),
    ]
    got, _ = run(
        file, sources, lambda got: all(sum(p.device == name for p in got) >= WINDOWS for name in "ab")
    )
    expected = [p.outputs for p in litert.stream([Block(samples, 50.0)])]
    for name, outputs in (("a", said), ("b", expected)):
        mine = [p for p in got if p.device == name]
        np.testing.assert_array_equal([p.outputs for p in mine], outputs)
        assert [p.sequence for p in mine] == list(range(WINDOWS))


def test_whatever_happens_to_the_board_is_counted_and_what_comes_is_right(file, plug, said, tmp_path):
    plug().plug("p", "garbage@5", "lose@10", "reset@15", "crash@20", "lose@25")
    got, report = run(file, [f"mcu:{tmp_path}/ttyACM0?answer_s=2"], so_many(WINDOWS))
    np.testing.assert_array_equal([p.outputs for p in got], said)
    faults = report.ledger.faults
    assert faults["garbage"] >= 1
    assert (faults["lost"], faults["reset"], faults["crash"]) == (2, 1, 1)
    assert faults["retry"] >= 1
    assert report.missed == 4
    assert report.ledger.received.used == WINDOWS


def test_no_window_spans_what_was_lost(file, litert, plug, samples, tmp_path):
    plug().plug("b", "lose@52")  # in the middle of a window
    got, report = run(file, [f"mcu:{tmp_path}/ttyACM0"], lambda got: len(got) >= WINDOWS - 2)
    halves = [Block(samples[: 52 * BLOCK], 50.0), Block(samples[52 * BLOCK :], 50.0, gap=True)]
    np.testing.assert_array_equal([p.outputs for p in got], [p.outputs for p in litert.stream(halves)])
    assert report.ledger.samples.dropped["gap"] == 20
    assert report.ledger.faults["lost"] == 1


def test_over_a_bad_line_what_comes_is_right_and_what_does_not_is_counted(
    file, program, samples, litert, said, tmp_path, monkeypatch
):
    rounds, port = 20, litert.runtime.inputs[0]
    windows = np.stack([port.quantize(window[None])[0] for window in cut(samples, 100, 50)])
    faults = Faults(drop=4e-4, corrupt=4e-4, double=2e-4, seed=5)
    opened = ports.open_serial
    monkeypatch.setattr(ports, "open_serial", lambda *given: FaultyPort(opened(*given), faults))
    board = StreamingBoard(program, tmp_path / "ttyACM0", np.tile(windows, (rounds, 1, 1, 1)), samples)
    board.plug("p")
    try:
        got, report = run(file, [f"mcu:{tmp_path}/ttyACM0"], so_many(rounds * WINDOWS * 3 // 4))
    finally:
        board.unplug()
    at, skipped = -1, 0
    for prediction in got:
        (window,) = np.flatnonzero((said == prediction.outputs).all(axis=1))
        ahead = (int(window) - at - 1) % WINDOWS
        at, skipped = at + 1 + ahead, skipped + ahead
    assert 0 < skipped <= report.missed < rounds * WINDOWS // 2
    assert report.ledger.faults["lost"] > 3
    assert report.ledger.faults["garbage"] > 3
    assert report.ledger.received.used == len(got)


def test_a_crash_says_where(plug, tmp_path):
    plug().plug("p", "crash@3")
    with open_source(f"mcu:{tmp_path}/ttyACM0") as source:
        fault = next(item for item in source if isinstance(item, Fault))
    assert fault.reason == "crash"
    assert "a division by zero, at 0x08001234 (CFSR 0x02000000)" in fault.detail
    assert fault.gap


def test_unplugged_and_plugged_in_again_it_goes_on(file, plug, said, tmp_path):
    board = plug()
    board.plug("p")
    sink = Until(lambda got: len(got) >= 2 * WINDOWS)
    pipeline = sink.pipeline = Pipeline(file, [f"mcu:{tmp_path}/ttyACM0"], [sink])
    reports = []
    thread = threading.Thread(target=lambda: reports.append(pipeline.run(LIMIT_S)))
    thread.start()
    wait_for(lambda: len(sink.got) == WINDOWS, LIMIT_S)
    board.unplug()
    wait_for(
        lambda: (
            "connection broke" in " ".join(pipeline.snapshot().problems)
            or "cannot be opened" in " ".join(pipeline.snapshot().problems)
        ),
        LIMIT_S,
    )
    board.plug("p")
    thread.join(LIMIT_S)
    (report,) = reports
    assert report.ledger.balanced
    assert report.ledger.faults["retry"] >= 1
    np.testing.assert_array_equal([p.outputs for p in sink.got], np.concatenate([said, said]))
    assert [p.sequence for p in sink.got] == list(range(2 * WINDOWS))


def test_another_model_than_the_board_s_ends_the_run_in_one_line(file, plug, tmp_path):
    other = write_model(tmp_path / "other.tflite", name="other")
    plug().plug("p")
    with pytest.raises(
        ModelError, match="the firmware runs another model: expected other, sha256:.*flash it anew"
    ):
        Pipeline(other, [f"mcu:{tmp_path}/ttyACM0?take=predictions"], [print]).run(LIMIT_S)


def test_closed_in_mid_stream_the_board_listens_to_the_next(plug, said, tmp_path):
    plug().plug("p")
    for _ in range(2):
        with open_source(f"mcu:{tmp_path}/ttyACM0") as source:
            first = next(iter(source))
            assert isinstance(first, Prediction)
            assert any(np.array_equal(first.outputs, row) for row in said)


def test_a_board_that_is_not_there_or_says_nothing_is_tried_again(file, plug, tmp_path):
    controller, device = pty.openpty()
    silent = f"mcu:{os.ttyname(device)}?answer_s=0.2"
    pipeline = Pipeline(file, [silent, f"mcu:{tmp_path}/none"], [print])
    report = pipeline.run(1.5)
    assert report.ledger.faults["retry"] >= 2
    assert report.duration_s < 10
    os.close(controller)
    os.close(device)


def test_silence_is_a_fault(plug, tmp_path):
    plug().plug("p", first=WINDOWS)  # nothing is left
    with open_source(f"mcu:{tmp_path}/ttyACM0?timeout_s=0.1&device=wrist") as source:
        fault = next(iter(source))
    assert (fault.reason, fault.device, fault.gap) == ("silence", "wrist", True)


def test_by_the_command_line(file, plug, tmp_path):
    plug().plug("p")
    shutil.copy(file, tmp_path / "motion.tflite")
    config = tmp_path / "edgeml.toml"
    config.write_text(
        f'[model]\nfile = "motion.tflite"\n[[source]]\nurl = "mcu://{tmp_path}/ttyACM0"\n'
        'take = "predictions"\n[[sink]]\nurl = "jsonl:said.jsonl"\n'
    )
    command = [sys.executable, "-m", "edge_sdk"]
    checked = subprocess.run([*command, "check", config], capture_output=True, text=True, check=True)
    assert "firmware" in checked.stdout.splitlines()[0]
    done = subprocess.run(
        [*command, "run", config, "--once", "--json", "--status", "none"],
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    assert told["ledger"]["balanced"]
    assert told["ledger"]["received"]["used"] == told["predictions"] == 1
    assert json.loads((tmp_path / "said.jsonl").read_text().splitlines()[0])["model"] == "motion"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mcu:", "mcu:: expected mcu:PORT, such as mcu:///dev/ttyACM0, found no port"),
        ("mcu:foo://x", "mcu:foo://x: expected mcu:PORT"),
        ("mcu:/dev/ttyACM0?take=all", "option 'take'"),
        ("mcu:/dev/ttyACM0?baud=0", "option 'baud'"),
        ("mcu:/dev/ttyACM0?channels=ax,ay", "channels: expected ax, ay, az, gx, gy, gz, found ax, ay"),
        ("mcu:/dev/ttyACM0?bauds=1", "did you mean 'baud'"),
    ],
)
def test_a_wrong_url_is_found_before_anything_is_opened(file, url, message):
    with pytest.raises(ConfigError, match=message):
        Pipeline(file, [url], [print]).preview()


def test_it_needs_no_compiler_and_no_training_framework():
    heavy = {"converters", "tensorflow", "keras", "unicorn", "elftools", "ai_edge_litert"}
    code = (
        f"import sys, firmware_bridge.sources.mcu\nprint({heavy} & {{n.split('.')[0] for n in sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
