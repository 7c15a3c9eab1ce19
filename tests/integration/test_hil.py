"""``edgeml hil`` on a board that is emulated in its process."""

import importlib.util
import json
import shutil
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from converters.c import library
from edge_sdk import Model
from edge_sdk.cli import main
from firmware_bridge.build import build
from firmware_bridge.emulator import Emulator
from firmware_bridge.hil import measure, parity
from firmware_bridge.terminal import Terminal
from tests.hil import files
from tests.kinds import changed
from tests.models import write_model

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc: apt install gcc"),
    pytest.mark.skipif(
        importlib.util.find_spec("unicorn") is None, reason="needs: pip install 'edgeml-kit[firmware]'"
    ),
    pytest.mark.skipif(
        shutil.which("arm-none-eabi-gcc") is None and importlib.util.find_spec("ziglang") is None,
        reason="needs: apt install gcc-arm-none-eabi",
    ),
]
VIRTUAL = "virtual:cortex-m4"


@pytest.fixture(scope="module")
def motion(tmp_path_factory):
    return files.motion(tmp_path_factory.mktemp("motion") / "motion.tflite")


@pytest.fixture(scope="module")
def data(motion):
    rng = np.random.default_rng(0)
    path = motion.with_name("test.npz")
    np.savez(path, x=rng.normal(size=(9, 100, 6)).astype(np.float32), labels=rng.integers(0, 5, 9))
    return path


@pytest.fixture
def edgeml(capfd):
    """Runs ``edgeml hil … --json``: exit status, the object on standard output, standard error."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["hil", *map(str, arguments), "--json"])
        said = capfd.readouterr()
        return ended.value.code, json.loads(said.out), said.err

    return run


def test_golden_vectors_and_a_test_set_on_the_board(edgeml, motion, data, tmp_path):
    suites = tmp_path / "hil.xml"
    limits = ["--max-arena", 8192, "--max-stack", 2048, "--max-instructions", 3_000_000, "--max-flash", 65536]
    status, found, said = edgeml(motion, "--data", data, *limits, "--junit", suites)
    assert status == 0, said
    assert found["passed"]
    assert (found["target"], found["reference"]) == (VIRTUAL, "host:?runtime=c")
    assert (found["cases"], found["mismatches"], found["off_by_one"], found["argmax_agreement"]) == (
        17,
        0,
        0,
        1,
    )
    assert (found["golden"]["cases"], found["golden"]["mismatches"]) == (8, 0)
    assert found["golden"]["different"] == found["golden"]["off_by_one"]
    assert found["n"] == 9
    assert found["interval"][0] <= found["accuracy"] <= found["interval"][1]
    assert found["arena_bytes"] == library.figures(files.flatbuffer("har_int8"))["arena_bytes"]
    assert 0 < found["stack_bytes"] < 2048
    assert 11_000 < found["flash_bytes"] < 65536
    assert 100_000 < found["instructions"] < 3_000_000
    assert found["latency_us"] is None
    assert found["link"]
    assert len(found["gates"]) == 6
    (suite,) = ElementTree.parse(suites).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("6", "0")
    again = edgeml(motion, "--data", data)[1]
    assert again["instructions"] == found["instructions"]


def test_every_answer_is_right_over_a_bad_line(edgeml, motion):
    faults = "drop=0.0002,corrupt=0.0002,double=0.0002,truncate=0.02,repeat=0.02,reset=0.1,seed=1"
    status, found, said = edgeml(motion, "--faults", faults)
    assert status == 0, said
    assert (found["cases"], found["mismatches"]) == (8, 0)
    assert found["target"].startswith(f"{VIRTUAL}?drop=0.0002")
    assert found["link"]["retransmissions"] > 0
    assert found["link"]["resets"] > 0


def test_the_same_over_a_serial_port(edgeml, motion):
    firmware = build(motion, "cortex-m4")
    with Terminal(Emulator(firmware.elf, firmware.machine)) as terminal:
        status, found, said = edgeml(motion, "--target", f"serial:{terminal.path}")
        another = write_model(motion.with_name("another.tflite"))
        other, _, refused = edgeml(another, "--target", f"serial:{terminal.path}")
    assert status == 0, said
    assert (found["cases"], found["mismatches"], found["flash_bytes"]) == (8, 0, None)
    assert found["stack_bytes"] > 0
    assert other == 2
    assert "another model is on the board" in refused


def test_another_model_is_found_out(motion, tmp_path):
    def change(model):
        largest = max((b for b in model.buffers if b.data is not None), key=lambda b: len(b.data))
        largest.data = np.bitwise_xor(largest.data, 1)

    other = tmp_path / "other.tflite"
    other.write_bytes(changed(files.flatbuffer("har_int8"), change))
    windows = np.random.default_rng(4).normal(size=(12, 100, 6)).astype(np.float32) * 3
    with (
        Model.load(motion, target=VIRTUAL) as model,
        Model.load(other, target="host:?runtime=c") as reference,
    ):
        found = parity(model, reference, windows)
    assert found.mismatches > 0
    assert str(found.first).startswith("case ")
    assert found.tolerance == 0


def test_what_is_counted_does_not_depend_on_who_counts_before(motion):
    windows = np.random.default_rng(4).normal(size=(3, 100, 6)).astype(np.float32)
    with Model.load(motion, target=VIRTUAL) as model:
        first, again = (measure(model, windows) for _ in range(2))
    assert replace(first, link={}) == replace(again, link={})


def test_a_float_model_is_refused_in_one_line(edgeml, tmp_path):
    status, found, said = edgeml(write_model(tmp_path / "linear.tflite"))
    assert status == 2
    assert "cannot become a C library" in found["error"] + said
    assert "--recipe int8" in found["remedy"]


def test_a_limit_on_the_time_of_an_emulator_is_an_error(edgeml, motion):
    status, _, said = edgeml(motion, "--max-latency-us", "10")
    assert status == 2
    assert "use --max-instructions" in said
