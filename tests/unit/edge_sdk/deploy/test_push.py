"""An error on a device is the same error here."""

import shlex
import shutil
import subprocess
from types import SimpleNamespace

import pytest

from edge_sdk import errors
from edge_sdk.deploy.console import lines
from edge_sdk.deploy.push import Remote, _error, _message
from edge_sdk.errors import DeviceError, EdgeError, GateError, Retry, UnknownNameError

_QUOTED = 'it\'s "$HOME" & `id` * 5%'
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


@pytest.mark.parametrize(
    "line", [b"", b"motd\n", b"123\n", b"[1]\n", b'"step"\n', b"null\n", b"\xff\n", b"[" * 100_000]
)
def test_what_a_login_shell_says_is_passed_over(line):
    assert _message(line) == {}


@pytest.mark.parametrize("error", ["e", {"error": 7}, {}, [1], None])
def test_an_error_that_is_not_written_as_one_is_an_error_all_the_same(error):
    assert isinstance(_error({"error": error}), EdgeError)


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_what_was_lost_in_between_is_sent_once_more(lost, monkeypatch):
    told = []

    def install(*_, **options):
        told.append(options)
        if len(told) <= lost:
            raise Retry("3 contents are missing")
        return {"slot": "1-a"}

    monkeypatch.setattr(Remote, "__init__", lambda self: None)
    monkeypatch.setattr(Remote, "send", lambda *_: 7)
    monkeypatch.setattr(Remote, "install", install)
    if lost == 2:
        with pytest.raises(Retry):
            Remote().deliver(None, None, None, None, service="none")
    else:
        assert Remote().deliver(None, None, None, None, service="none") == (7 + 7 * lost, {"slot": "1-a"})
    assert told == [{"service": "none"}] * min(lost + 1, 2)


def test_any_login_shell_does(monkeypatch):
    """It is given a word for ``sh``, which shells agree on, and none of what only some of them know."""
    monkeypatch.setattr(Remote, "__init__", lambda self: None)
    remote = Remote()
    for shell in filter(shutil.which, ("sh", "bash", "dash", "zsh", "fish", "tcsh", "csh")):
        remote._connection = SimpleNamespace(command=lambda words, shell=shell: [shell, "-c", words])
        script = f"exec $([ 1 = 1 ] || echo no) printf '%s|' {shlex.quote(_QUOTED)} \"$((1 + 1))\""
        done = subprocess.run(remote.shell(script), capture_output=True, text=True, check=True)
        assert done.stdout == f"{_QUOTED}|2|", shell


def told(**changes):
    releases = [
        {"slot": "1-a", "version": "1", "verdict": "good", "reason": None},
        {"slot": "0-y", "version": "0", "verdict": "proving", "reason": None},
        {"slot": "0-z", "version": "0", "verdict": "good", "reason": None},
        {"slot": "2-b", "version": "2", "verdict": "refused", "reason": "it ended"},
        {"slot": "3-c", "version": "3", "verdict": "new", "reason": None},
    ]
    return {
        "name": "press-7",
        "current": releases[0],
        "on_trial": False,
        "back_to": "0-z",
        "releases": releases,
        "state": "active",
        "restarts": 0,
        **changes,
    }


def test_a_pipeline_in_words():
    assert lines(told()) == [
        "press-7  1  active",
        "         0  worked",
        "         0  good; `edgeml rollback` goes back to it",
        "         2  refused: it ended",
        "         3  never tried",
    ]
    said = lines(told(problem="no sensor", restarts=2, on_trial=True))[0]
    assert said == "press-7  1  active, unhealthy: no sensor, started again 2 times, on trial"
    assert lines(told(current=None))[0] == "press-7     nothing runs"
    assert all(line.isprintable() for line in lines(told(name="\x1b[2J", state="\x1b[2J", problem="\r")))
