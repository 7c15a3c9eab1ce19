"""What a trial is measured by is `edgeml bench`: a real runtime, on this machine."""

import base64
import dataclasses
import sys

import numpy as np
import pytest

from edge_sdk import modelfile
from edge_sdk.bench.plan import Plan
from edge_sdk.errors import ConfigError, DeviceError, UnknownNameError
from edge_sdk.modelfile import GOLDEN, Golden
from tests import models
from train_host.tuning.goals import FIGURES
from train_host.tuning.measuring import Meter
from train_host.tuning.trial import CONVERTED, Result

BRIEF = Plan(runs=3, warmup_s=0.0)


def result(content: bytes) -> Result:
    return Result(
        number=4,
        figures={"accuracy": 0.5, "arena_bytes": 100},
        files={CONVERTED: base64.b64encode(content).decode()},
    )


def test_a_trial_has_its_latency_beside_what_was_known():
    figures = Meter("host:", plan=BRIEF).complete(result(models.packed())).figures
    assert figures["accuracy"] == 0.5
    assert figures["arena_bytes"] == 100
    assert 0 < figures["latency_us"] < 1e6


def test_a_model_that_gives_other_answers_there_has_failed():
    parts = modelfile.split(models.packed())
    golden = Golden.from_bytes(parts.members[GOLDEN])
    wrong = dataclasses.replace(golden, outputs=tuple(np.asarray(each) + 1 for each in golden.outputs))
    content = modelfile.pack(parts.flatbuffer, {**parts.members, GOLDEN: wrong.to_bytes()})
    found = Meter("host:", plan=BRIEF).complete(result(content))
    assert found.failure is not None
    assert found.failure.startswith("model.tflite: other answers on host: than where it was converted")
    assert (found.figures, found.files) == ({}, {})


def test_a_model_that_the_target_refuses_has_failed_and_no_other():
    meter = Meter("host:", plan=BRIEF)
    found = meter.complete(result(models.packed()[:200]))
    assert found.failure is not None
    assert found.failure.startswith("model.tflite")
    assert meter.complete(found) is found


def test_a_board_gets_the_model_first(tmp_path):
    put = f"cp {{model}} {tmp_path / 'board'}"
    assert Meter("host:", put, BRIEF).complete(result(models.packed())).failure is None
    assert (tmp_path / "board").read_bytes() == models.packed()


def test_a_board_that_cannot_be_flashed_is_tried_again_and_ends_the_search(tmp_path):
    calls = tmp_path / "calls"
    program = f"open('{calls}', 'a').write('x'); print('no probe'); raise SystemExit(3)"
    meter = Meter("host:", f'{sys.executable} -c "{program}" {{model}}', BRIEF)
    with pytest.raises(DeviceError, match="--flash: .* ended with status 3: found no probe"):
        meter.complete(result(models.packed()))
    assert calls.read_text() == "xxx"


@pytest.mark.parametrize(
    ("target", "flash", "complaint"),
    [
        ("source:", None, "target source: cannot be measured"),
        ("serial:/dev/ttyACM0", None, "expected --flash 'COMMAND {model}'"),
        ("host:", "flash it", "expected a command with {model} in it, found 'flash it'"),
        ("virtual:cortex-m4?speed=9", None, "unknown option"),
    ],
)
def test_what_cannot_be_measured_on_is_found_before(target, flash, complaint):
    with pytest.raises(ConfigError, match=complaint):
        Meter(target, flash)


def test_what_a_target_does_not_tell_is_found_before():
    with pytest.raises(UnknownNameError, match="nowhere"):
        Meter("nowhere:")
    told = "expected one of instructions, flash_bytes, stack_bytes, found no such figure there"
    with pytest.raises(ConfigError, match=f"latency_us on --target virtual:cortex-m4: {told}"):
        Meter("virtual:cortex-m4").check(["accuracy", "latency_us"])
    with pytest.raises(ConfigError, match="instructions on --target host:: expected one of latency_us"):
        Meter("host:").check(["instructions"])
    Meter("host:").check([name for name, figure in FIGURES.items() if not figure.measured])
