"""``edgeml hil`` on this machine: figures, gates, exit codes, JUnit."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from edge_sdk.cli import main
from edge_sdk.errors import ConfigError, DeviceError, GateError, ModelError
from edge_sdk.modelfile import GOLDEN, Golden, pack, split
from firmware_bridge import hil, junit
from firmware_bridge.gates import Limits, judge
from firmware_bridge.measurement import Measurement
from firmware_bridge.parity import Mismatch, Parity
from tests.models import flatbuffer, packed

SAME = Parity(8, 0, 24, 0, 0, 0.0, 1.0, 0.0, None)
OTHER = Parity(8, 3, 24, 5, 4, 0.5, 0.5, 0.0, Mismatch(2, "y", (1,), 3.0, 4.0))


@pytest.fixture
def data(tmp_path, linear):
    """Windows that say clearly which channel is largest."""
    labels = np.arange(30) % 3
    x = np.random.default_rng(0).normal(0, 0.1, (30, linear.window, linear.channels)).astype(np.float32)
    x[np.arange(30), :, labels] += 1
    path = tmp_path / "test.npz"
    np.savez(path, x=x, labels=labels, groups=[f"p{n % 5}" for n in range(30)])
    return path


@pytest.fixture
def wrong_file(tmp_path, linear):
    """A file whose golden vectors are another model's, by more than their tolerance."""
    raw, members = flatbuffer(linear), dict(split(packed(linear)).members)
    golden = Golden.from_bytes(members[GOLDEN])
    members[GOLDEN] = Golden(golden.inputs, (golden.outputs[0][::-1],), (1e-4,)).to_bytes()
    path = tmp_path / "wrong.tflite"
    path.write_bytes(pack(raw, members))
    return path


def edgeml(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(["hil", *map(str, arguments)])
    return ended.value.code


def test_golden_vectors_and_data_are_both_run(linear_file, data):
    report = hil.run(hil.Request(linear_file, "host:", data, limits=Limits(accuracy=1.0), most=20))
    assert report.passed
    assert report.parity.cases == 24
    assert report.golden.cases == 4
    assert report.golden.tolerance == 1e-4
    assert report.evaluation.accuracy == 1.0
    assert report.evaluation.n == 20
    assert report.basis == "4 golden vectors and 20 of 30, test.npz"
    assert [gate.name for gate in report.gates] == ["parity", "golden", "accuracy"]
    assert report.measurement.n == 24
    assert report.measurement.latency_us > 0
    report.check()


def test_json_has_the_keys_that_scripts_rely_on(linear_file, data, capfd):
    assert edgeml(linear_file, "--target", "host:", "--data", data, "--json") == 0
    found = json.loads(capfd.readouterr().out)
    fixed = {"cases", "mismatches", "off_by_one", "argmax_agreement", "instructions", "flash_bytes"}
    assert fixed | {"arena_bytes", "stack_bytes", "passed"} <= set(found)
    assert (found["cases"], found["mismatches"], found["n"], found["passed"]) == (34, 0, 30, True)
    assert found["golden"]["cases"] == 4
    assert found["instructions"] is None


def test_a_gate_that_fails_ends_with_1_and_is_named(linear_file, data, tmp_path, capfd):
    suites = tmp_path / "hil.xml"
    options = ["--target", "host:", "--data", data, "--max-latency-us", "0", "--junit", suites]
    assert edgeml(linear_file, *options) == 1
    said = capfd.readouterr()
    assert "1 of 3 gates failed: expected latency_us: at most 0 µs, found latency_us: " in said.err
    assert "FAILED: latency_us" in said.out
    assert "passed: parity: 0 of 34 cases differ, at most 0" in said.out
    (suite,) = ElementTree.parse(suites).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "0")
    cases = {case.get("name"): case.find("failure") for case in suite.iter("testcase")}
    assert set(cases) == {"parity", "golden", "latency_us"}
    assert cases["parity"] is cases["golden"] is None
    assert cases["latency_us"].get("message").startswith("expected at most 0 µs, found ")
    assert edgeml(linear_file, *options[:-2], "--json") == 1
    found = json.loads(capfd.readouterr().out)
    assert not found["passed"]
    assert found["error"].endswith("1 of 3 gates failed")


def test_a_run_without_a_result_is_an_error_in_the_suite(wrong_file, tmp_path, capfd):
    suites = tmp_path / "hil.xml"
    assert edgeml(wrong_file, "--target", "host:", "--junit", suites) == 2
    assert "does not give its golden outputs" in capfd.readouterr().err
    (suite,) = ElementTree.parse(suites).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("1", "0", "1")
    assert "golden outputs" in suite.find("testcase/error").text


def test_a_limit_on_what_a_target_cannot_tell_is_an_error(linear_file, capfd):
    assert edgeml(linear_file, "--target", "host:", "--max-instructions", "5") == 2
    assert "--max-instructions: expected a target that tells it" in capfd.readouterr().err
    assert edgeml(linear_file, "--target", "host:", "--min-accuracy", "0.5") == 2
    assert "--min-accuracy: expected cases with labels" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "nowhere:"], "unknown target 'nowhere'"),
        (["--target", "host:", "--data", "none.npz"], "none.npz: no such file"),
        (["--target", "host:", "--max-mismatch", "-1"], "max-mismatch"),
        (["--faults", "drop"], "--faults: expected drop=0.0001,corrupt=0.0001 and the like, found 'drop'"),
        (["--faults", "drip=0.1"], "target virtual:cortex-m4?drip=0.1: unknown option 'drip'"),
        (["--faults", "drop=2"], "target virtual: drop: expected a number from 0 to 1, found 2"),
        (["--target", "host:", "--faults", "drop=0.1"], "target host:?drop=0.1: unknown option 'drop'"),
        (["--target", "host:", "--junit", "/proc/none/hil.xml"], "cannot write /proc/none/hil.xml"),
    ],
)
def test_bad_input_is_one_line(linear_file, options, message, capfd):
    assert edgeml(linear_file, *options) in (2, 3)
    *_, last = capfd.readouterr().err.splitlines()
    assert message in last


def test_a_float_model_is_no_generated_c(linear_file, capfd):
    assert edgeml(linear_file, "--target", "host:?runtime=c") == 2
    assert "convert it with --recipe int8" in capfd.readouterr().err


class TestGates:
    def test_parity_is_always_one(self):
        (gate,) = judge(Limits(), OTHER, None, None, Measurement(8))
        assert (gate.name, gate.passed) == ("parity", False)
        assert gate.detail == "case 2, y[1]: expected 3, found 4"
        assert judge(Limits(mismatch=3), OTHER, None, None, Measurement(8))[0].passed

    def test_figures_pass_at_their_limit(self):
        found = Measurement(8, 100, 5.0, 6.0, 1000, 200, 30)
        names = ["latency_us", "instructions", "flash", "arena", "stack"]
        at = Limits(0, 5.0, 100, 1000, 200, 30)
        below = Limits(0, 4.9, 99, 999, 199, 29)
        assert all(gate.passed for gate in judge(at, SAME, SAME, None, found))
        failed = [gate for gate in judge(below, SAME, SAME, None, found) if not gate.passed]
        assert len(failed) == len(names)
        assert failed[1].expected == "at most 99 instructions"

    @pytest.mark.parametrize("name", ["latency_us", "instructions", "flash", "arena", "stack"])
    def test_what_is_not_known_passes_no_limit(self, name):
        with pytest.raises(ConfigError, match=f"--max-{name.replace('_', '-')}: expected a target that"):
            judge(Limits(**{name: 1}), SAME, None, None, Measurement(8))


def test_text_of_an_error_is_safe_in_xml():
    error = DeviceError("a board said \x00\x1b[2J <&> \ud800")
    root = ElementTree.fromstring(junit.of_error("m\x01.tflite", "virtual:x", error))
    assert "<&>" in root.find(".//error").text


def test_a_damaged_file_is_an_error(tmp_path):
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(b"no model, but long enough to be one")
    with pytest.raises(ModelError, match="not a TFLite model"):
        hil.run(hil.Request(bad, "host:"))


def test_a_report_names_all_gates_that_failed(linear_file):
    report = hil.run(hil.Request(linear_file, "host:", limits=Limits(latency_us=0.0)))
    with pytest.raises(GateError, match="1 of 3 gates failed"):
        report.check()
