"""The pytest plugin, in runs of pytest of its own."""

import os
import shutil
import subprocess
import sys

import pytest

from firmware_bridge import pytest_plugin

pytest_plugins = ["pytester"]

PARITY = """
import pytest
from firmware_bridge.hil import parity, measure

pytestmark = pytest.mark.needs_target(model="linear.tflite")

def test_same(model, reference, windows):
    assert parity(model, reference, windows).mismatches == 0

def test_cost(model, windows):
    assert measure(model, windows).latency_us > 0
"""


@pytest.fixture
def run(pytester, linear_file, monkeypatch):
    """Runs pytest over a file beside the model linear.tflite."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    shutil.copy(linear_file, pytester.path / "linear.tflite")

    def run(text, *options):
        pytester.makepyfile(test_it=text)
        return pytester.runpytest("-p", "no:cacheprovider", "-W", "error", "--strict-markers", *options)

    return run


def test_the_same_tests_on_every_target_one_after_the_other(run):
    result = run(PARITY, "-v", "--edgeml-target", "host:", "--edgeml-target", "host:?threads=2")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(
        [
            "edgeml targets: host:, host:?threads=2",
            "*::test_same?host:? PASSED*",
            "*::test_cost?host:? PASSED*",
            "*::test_same?host:?threads=2? PASSED*",
            "*::test_cost?host:?threads=2? PASSED*",
        ]
    )


def test_targets_from_the_configuration_file(run, pytester):
    pytester.makeini("[pytest]\nedgeml_target = host:\n")
    result = run(PARITY)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines("edgeml targets: host:")


@pytest.fixture
def _without_litert(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)


@pytest.mark.usefixtures("_without_litert")
def test_a_target_that_nobody_asked_for_may_be_missing(run, monkeypatch):
    monkeypatch.setattr(pytest_plugin, "DEFAULT_TARGET", "host:")
    result = run(PARITY, "-rs")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines("*runtime 'litert' is not installed*pip install*")


@pytest.mark.usefixtures("_without_litert")
def test_a_target_that_was_asked_for_may_not(run):
    result = run(PARITY, "--edgeml-target", "host:")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines("runtime 'litert' is not installed*pip install*")
    result.stdout.no_fnmatch_line("*Traceback*")
    result = run(PARITY, "--edgeml-target", "nowhere:")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines("unknown target 'nowhere'*")


def test_a_model_is_loaded_once_for_all_its_tests(run):
    text = """
import shutil
import pytest

seen = set()
@pytest.mark.needs_target(model="linear.tflite")
class TestOne:
    def test_a(self, model):
        seen.add(model)
    def test_b(self, model, target):
        assert target == "host:" and seen == {model}

@pytest.fixture(scope="module")
def copied(request):
    return shutil.copy(request.path.with_name("linear.tflite"), request.path.with_name("other.tflite"))

@pytest.mark.usefixtures("copied")
@pytest.mark.parametrize("model_file", ["linear.tflite", "other.tflite"], indirect=True)
def test_each(model_file, model, windows):
    assert windows.shape == (4, 8, 3)
    assert (model in seen) is (model_file.stem == "linear")
"""
    run(text, "--edgeml-target", "host:").assert_outcomes(passed=4)


def test_the_nearest_marker_counts_and_those_around_it_fill_in(run, pytester, linear):
    text = """
import numpy as np
import pytest

np.savez("test.npz", x=np.zeros((9, 8, 3), np.float32))
pytestmark = pytest.mark.needs_target(model="linear.tflite", cases=3)

def test_golden(windows):
    assert len(windows) == 3

@pytest.mark.needs_target(data="test.npz", cases=5)
def test_data(windows):
    assert windows.shape == (5, 8, 3) and not windows.any()
"""
    run(text, "--edgeml-target", "host:").assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("", "no model: mark the test with @pytest.mark.needs_target(model=FILE)"),
        ("@pytest.mark.needs_target(model='none.tflite')", "none.tflite: no such file in *"),
        ("@pytest.mark.needs_target('linear.tflite')", "needs_target: expected cases, data, model by name*"),
        ("@pytest.mark.needs_target(file='linear.tflite')", "needs_target: expected cases, data, model by*"),
        ("@pytest.mark.needs_target(model='test_it.py')", "*test_it.py*not a TFLite model*"),
    ],
)
def test_a_mistake_is_one_line(run, marker, message):
    result = run(f"import pytest\n{marker}\ndef test(model): pass\n", "--edgeml-target", "host:")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(message)
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_test_may_choose_its_targets_and_make_its_model(run):
    text = """
import pytest

@pytest.fixture
def model_file(request):
    return request.path.with_name("linear.tflite")

@pytest.mark.parametrize("edgeml_target", ["host:", "host:?threads=2"])
def test(model, target, edgeml_target):
    assert target == edgeml_target and model.labels == ("x", "y", "z")
"""
    run(text, "--edgeml-target", "nowhere:").assert_outcomes(passed=2)


def test_after_a_target_failed_the_next_test_begins_anew(run):
    text = """
import pytest
from edge_sdk.errors import DeviceError

pytestmark = pytest.mark.needs_target(model="linear.tflite")
seen = []

@pytest.mark.xfail(raises=DeviceError, strict=True)
def test_fails(model):
    seen.append(model)
    raise DeviceError("the board met a fault")

def test_goes_on(model, windows):
    assert model not in seen
    model.run(windows[0])
"""
    run(text, "--edgeml-target", "host:").assert_outcomes(xfailed=1, passed=1)


def test_other_fixtures_of_these_names_stay_as_they_are(run):
    text = """
import pytest

@pytest.fixture
def model():
    return "mine"

@pytest.mark.parametrize("target", [1, 2])
def test(model, target):
    assert model == "mine" and target in (1, 2)
"""
    run(text).assert_outcomes(passed=2)


def test_costs_runs_without_targets_nothing_but_itself():
    code = (
        "import sys, pytest; before = set(sys.modules); import firmware_bridge.pytest_plugin;"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert done.stdout.strip() == "['firmware_bridge', 'firmware_bridge.pytest_plugin']"
