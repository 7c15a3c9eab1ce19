"""What a self-test says is read, and not believed."""

import json
import os
import sys

import pytest

from edge_sdk.deploy import rehearsal
from edge_sdk.errors import GateError


def run(code):
    return rehearsal._run([sys.executable, "-I", "-S", "-c", code], os.environ)


def test_of_much_that_is_said_the_end_is_kept(monkeypatch):
    monkeypatch.setattr(rehearsal, "_MOST_BYTES", 100)
    code = "import sys; sys.stderr.write('e' * 300_000); print('o' * 300_000); print('{}'); sys.exit(3)"
    status, out, err = run(code)
    assert (status, len(out), len(err)) == (3, 100, 100)
    assert rehearsal._last_line(out) == "{}"


@pytest.mark.parametrize("first", ["", "os.close(1); os.close(2); "], ids=["silent", "without a word"])
def test_one_that_does_not_end_is_ended(monkeypatch, first):
    monkeypatch.setattr(rehearsal, "_SELFTEST_S", 0)
    monkeypatch.setattr(rehearsal, "_LATE_S", 0.1)
    with pytest.raises(GateError, match="the self-test does not end"):
        run(f"import os, time; {first}time.sleep(1000)")


REPORT = {"unit": "[Unit]", "notes": ["a", "b"], "models": {"m": {"predictions": 3}}}


def test_a_report_comes_back_without_what_nobody_asked_for():
    assert rehearsal._report(json.dumps({**REPORT, "run": "rm -r /", "slot": "1-a"}), 0) == REPORT
    error = {"error": "e", "expected": 7, "found": None, "remedy": "r"}
    assert rehearsal._report(json.dumps({**error, "kind": "x"}), 1) == {**error, "expected": "7"}
    assert rehearsal._report("{}", 1)["error"] is None


@pytest.mark.parametrize(
    "text", ["", "fine", "7", "[1]", "{}", '{"unit": "", "notes": []}', json.dumps({**REPORT, "notes": 7})]
)
def test_what_is_no_report_is_none(text):
    with pytest.raises((KeyError, ValueError, TypeError)):
        rehearsal._report(text, 0)
