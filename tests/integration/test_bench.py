"""``edgeml bench`` wherever a model can run: generated C, another machine, emulated boards, a serial port."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_sdk import Model, modelfile
from edge_sdk.bench.plan import Plan
from edge_sdk.bench.subject import Subject
from edge_sdk.cli import main
from edge_sdk.errors import ChildError
from edge_sdk.modelfile import GOLDEN, Golden
from edge_sdk.targets import open_target
from firmware_bridge.build import build
from firmware_bridge.emulator import Emulator
from firmware_bridge.measurement import measure
from firmware_bridge.terminal import Terminal
from tests.integration.ssh_server import running_device
from tests.models import Linear, flatbuffer
from tests.waiting import wait_for

pytestmark = pytest.mark.integration
FIGURES = ("instructions", "flash_bytes", "arena_bytes", "stack_bytes")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """An int8 network with golden vectors: what LiteRT says here."""
    raw = (Path(__file__).parents[1] / "golden" / "arena" / "dscnn_int8.tflite").read_bytes()
    bare = tmp_path_factory.mktemp("model") / "network.tflite"
    bare.write_bytes(raw)
    inputs = np.random.default_rng(2).normal(size=(3, 49, 10, 1)).astype(np.float32)
    with Model.load(bare) as model:
        outputs = np.concatenate([model.runtime.invoke([each[None]])[0] for each in inputs])
    golden = Golden((inputs,), (outputs,), (0.02,))
    bare.write_bytes(modelfile.pack(raw, {GOLDEN: golden.to_bytes()}))
    return bare


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    with running_device(tmp_path_factory.mktemp("device")) as device:
        yield device


@pytest.fixture
def there(device, monkeypatch):
    monkeypatch.setenv("EDGEML_SSH_CONFIG", str(device.config))
    return f"ssh://{device.alias}?python={sys.executable}"


def bench(*words, status=0):
    with pytest.raises(SystemExit) as ended:
        main(["bench", *map(str, words)])
    assert ended.value.code == status


def found(capfd, *words, status=0):
    bench(*words, "--json", status=status)
    return json.loads(capfd.readouterr().out)


def test_generated_c(file, capfd):
    said = found(capfd, file, "--target", "host:?runtime=c", "--runs", "20")
    assert (said["runtime"], said["n"], said["parity"]["mismatches"]) == ("c", 20, 0)
    assert said["latency_us"]["p50"] > 0
    assert said["arena_bytes"] > 0
    assert said["rss_mb"] > 0


def test_another_machine_by_its_own_clock(device, there, file, tmp_path, capfd):
    said = found(capfd, file, "--target", f"{there}&threads=2", "--duration", "0.3", "-o", tmp_path / "pi")
    assert (said["target"], said["runtime"], said["threads"]) == (f"{there}&threads=2", "litert", 2)
    assert said["parity"]["mismatches"] == 0
    assert said["latency_us"]["p50"] > 0
    assert said["machine"]["python"].startswith("3.")
    assert said["rss_mb"] > 0
    assert json.loads((tmp_path / "pi.json").read_text()) == said
    assert (tmp_path / "pi.svg").exists()
    wait_for(lambda: not list(device.temporary.iterdir()))


def test_two_models_there_in_turn(there, file, linear_file, capfd):
    said = found(capfd, file, "--compare", linear_file, "--target", there, "--runs", "30")
    assert said["compare"]["side_by_side"] is True
    assert said["compare"]["ratios"]["p50"] > 1.5


def test_a_worker_that_dies_in_mid_measurement_is_told(device, there, linear_file):
    def kill(step):
        if step.startswith("measuring"):
            os.kill(device.workers()[-1], signal.SIGSEGV)

    subjects = {0: Subject.read(linear_file)}
    with pytest.raises(ChildError, match="pi: edge_sdk.bench.worker:measure died: found signal SIGSEGV"):
        open_target(there).bench(subjects, Plan(duration_s=30), kill)


def test_a_model_that_dies_there_does_not_spoil_the_other(there, linear_file, tmp_path):
    crasher = tmp_path / "crasher.tflite"
    crasher.write_bytes(flatbuffer(Linear(custom_op="Mfcc")))
    subjects = {each: Subject.read(each) for each in (crasher, linear_file)}
    records = open_target(there).bench(subjects, Plan(runs=10, warmup_s=0), lambda step: None)
    assert "crashes the runtime" in str(records[crasher])
    assert records[linear_file].n == 10


def test_a_machine_that_is_not_there_is_one_line(file, capfd):
    bench(file, "--target", "ssh://127.0.0.1:1", status=3)
    assert "127.0.0.1:1: connection refused" in capfd.readouterr().err.splitlines()[-1]


def test_measure_knows_the_latency_over_ssh(there, linear_file):
    windows = np.random.default_rng(1).normal(size=(6, 8, 3)).astype(np.float32)
    with Model.load(linear_file, target=there) as model:
        cost = measure(model, windows)
    assert cost.n == 6
    assert 0 < cost.latency_us <= cost.latency_max_us


needs_board = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="needs a compiler: apt install gcc-arm-none-eabi"
)


@needs_board
@pytest.mark.parametrize("target", ["virtual:cortex-m4", "qemu:mps2-an386"])
def test_an_emulated_board_counts_instructions(file, target, capfd):
    said = found(capfd, file, "--target", target)
    assert said["parity"]["mismatches"] == 0
    assert said["n"] == 3
    assert all(said[name] > 0 for name in FIGURES)
    assert said["latency_us"] == dict.fromkeys(("p50", "p90", "p99", "max"))
    assert said["rss_mb"] is None


@needs_board
def test_a_board_that_counts_nothing_can_still_be_tried(file, capfd):
    with pytest.raises(SystemExit) as ended:
        main(["hil", str(file), "--target", "virtual:cortex-m4?count=none", "--json"])
    assert ended.value.code == 0
    said = json.loads(capfd.readouterr().out)
    assert said["passed"] is True
    assert said["instructions"] is said["latency_us"] is None


@needs_board
def test_boards_are_compared_by_instructions(file, tmp_path, capfd):
    bench(file, "--target", "virtual:cortex-m4", "-o", tmp_path / "m4")
    assert [path.name for path in tmp_path.iterdir()] == ["m4.json"]  # there is no time to draw
    capfd.readouterr()
    said = found(capfd, file, "--target", "virtual:cortex-m3", "--compare", tmp_path / "m4.json")
    assert set(said["compare"]["ratios"]) == {"instructions"}
    assert said["compare"]["ratios"]["instructions"] > 1  # without the instructions for signals
    assert "target was virtual:cortex-m4 and is virtual:cortex-m3" in said["compare"]["notes"]


@needs_board
def test_a_board_at_a_serial_port_is_asked_for_its_own_count(file, capfd):
    firmware = build(file, "cortex-m4")
    with Terminal(Emulator(firmware.elf, firmware.machine)) as terminal:
        said = found(capfd, file, "--target", f"serial:{terminal.path}?timeout=120")
    assert said["parity"]["mismatches"] == 0
    assert said["instructions"] > 0
