"""An error on a device is the same error here."""

import pytest

from edge_sdk import errors
from edge_sdk.deploy.console import lines
from edge_sdk.deploy.push import _error
from edge_sdk.errors import DeviceError, EdgeError, GateError, UnknownNameError

FACTS = {"error": "e", "expected": "x", "found": "f", "remedy": "r"}


@pytest.mark.parametrize(
    "kind", ["GateError", "DeviceError", "ConfigError", "ModelError", "UnknownNameError", "MissingExtraError"]
)
def test_an_error_keeps_its_kind_and_its_words(kind):
    error = _error({"error": FACTS, "kind": kind}).within("pi@board")
    assert type(error) is getattr(errors, kind)
    assert str(error) == "pi@board: e: expected x, found f; r"


@pytest.mark.parametrize("kind", ["KeyError", "printable", "annotations", "Iterable", "", None, 7])
def test_a_kind_that_is_none_of_ours_is_an_error_all_the_same(kind):
    error = _error({"error": FACTS, "kind": kind})
    assert isinstance(error, EdgeError)
    assert error.what == "e"


def test_one_that_asks_for_other_arguments_is_rebuilt():
    given = UnknownNameError("board", "x", ["y"])
    assert str(_error({"error": given.as_dict(), "kind": "UnknownNameError"})) == str(given)


def test_a_device_cannot_send_control_characters():
    error = _error({"error": {**FACTS, "found": "\x1b[2J\n"}, "kind": "GateError"})
    assert str(error).isprintable()
    assert isinstance(error, GateError)
    assert not isinstance(error, DeviceError)


def told(**changes):
    releases = [
        {"slot": "1-a", "version": "1", "verdict": "good", "reason": None},
        {"slot": "2-b", "version": "2", "verdict": "refused", "reason": "it ended"},
        {"slot": "3-c", "version": "3", "verdict": "new", "reason": None},
    ]
    return {
        "name": "press-7",
        "current": releases[0],
        "on_trial": False,
        "releases": releases,
        "state": "active",
        "restarts": 0,
        **changes,
    }


def test_a_pipeline_in_words():
    assert lines(told()) == [
        "press-7  1  active",
        "         2  refused: it ended",
        "         3  never tried",
    ]
    said = lines(told(problem="no sensor", restarts=2, on_trial=True))[0]
    assert said == "press-7  1  active, unhealthy: no sensor, started again 2 times, on trial"
    assert lines(told(current=None))[0] == "press-7     nothing runs"
