"""The command line: errors in one line, exit statuses as promised, JSON where it is asked for."""

import json
import subprocess
import sys

import click
import numpy as np
import pytest

from edge_sdk import cli, registry
from edge_sdk.errors import DeviceError, GateError, SpecError


def run(*arguments, env=None):
    return subprocess.run(
        [sys.executable, "-m", "edge_sdk", *arguments], capture_output=True, text=True, timeout=120, env=env
    )


def test_version_and_help():
    assert run("--version").stdout.startswith("edgeml, version ")
    shown = run("--help")
    assert shown.returncode == 0
    assert "Example:" in shown.stdout
    assert "doctor" in shown.stdout


@pytest.mark.parametrize(
    "words", [["trian"], ["doctor", "--colour"], ["convert"], ["convert", "a", "--max-drop", "x"]]
)
def test_bad_usage_is_one_line_with_the_way_to_the_help(words):
    finished = run(*words)
    assert finished.returncode == 2
    assert finished.stderr.count("\n") == 1
    assert "--help" in finished.stderr


def test_no_arguments_show_the_help():
    assert "Commands:" in run().stderr


def test_every_command_has_a_help_that_ends_with_an_example():
    """In one process: what matters is the text, and that no command needs a heavy package to show it."""
    code = """
import sys, click
from edge_sdk import cli
def walk(command, path):
    context = click.Context(command, info_name=path)
    text = command.get_help(context)
    assert "Example:" in text[len(text) // 3:], path
    for name in getattr(command, "commands", {}):
        walk(command.commands[name], f"{path} {name}")
for name in cli.commands.list_commands(None):
    walk(cli.commands.get_command(click.Context(cli.commands), name), name)
heavy = {"tensorflow", "keras", "matplotlib", "ai_edge_litert"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.fixture
def fails(monkeypatch):
    """`edgeml boom` raises whatever the test puts here."""
    raised = {}

    @click.command()
    @cli.json_option
    def boom(as_json):
        raise raised["error"]

    monkeypatch.setattr(registry, "find", lambda group, name: boom)
    return raised


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (
            SpecError("window", expected="[8, 3]", found="[9, 3]"),
            2,
            "edgeml: window: expected [8, 3], found [9, 3]",
        ),
        (GateError("accuracy fell", remedy="train longer"), 1, "edgeml: accuracy fell; train longer"),
        (DeviceError("no disk"), 3, "edgeml: no disk"),
        (KeyError("x"), 2, "edgeml: unexpected KeyError: 'x'; run again with --debug"),
        (OSError("gone"), 3, "edgeml: unexpected OSError: gone; run again with --debug"),
        (KeyboardInterrupt(), 130, "edgeml: interrupted"),
    ],
)
def test_errors_are_one_line_and_an_exit_status(fails, capsys, error, status, line):
    fails["error"] = error
    with pytest.raises(SystemExit) as exit_:
        cli.main(["boom"])
    assert exit_.value.code == status
    captured = capsys.readouterr()
    assert captured.err.strip() == line
    assert captured.out == ""


def test_with_json_an_error_is_an_object_too(fails, capsys):
    fails["error"] = GateError("accuracy fell", expected="0.9", found="0.5", remedy="train longer")
    with pytest.raises(SystemExit):
        cli.main(["boom", "--json"])
    assert json.loads(capsys.readouterr().out) == {
        "error": "accuracy fell",
        "expected": "0.9",
        "found": "0.5",
        "remedy": "train longer",
    }


def test_debug_shows_the_traceback(fails):
    fails["error"] = SpecError("window")
    with pytest.raises(SpecError):
        cli.main(["--debug", "boom"])


def test_json_holds_numpy_numbers_and_no_nan(capsys):
    cli.print_json({"a": np.float32(0.5), "b": np.arange(2), "c": float("nan"), "d": (1, None), "e": np.inf})
    assert json.loads(capsys.readouterr().out) == {
        "a": 0.5,
        "b": [0, 1],
        "c": None,
        "d": [1, None],
        "e": None,
    }


def test_completion_works_through_click():
    import os

    env = {**os.environ, "_EDGEML_COMPLETE": "bash_complete", "COMP_WORDS": "edgeml doc", "COMP_CWORD": "1"}
    assert "doctor" in run(env=env).stdout


def test_doctor_says_what_is_there_and_how_to_get_the_rest():
    finished = run("doctor", "--json")
    facts = json.loads(finished.stdout)
    states = {finding["part"]: finding for finding in facts["findings"]}
    assert states[f"runtime {facts['runtime']}"]["state"] == "ok"
    assert finished.returncode == 0
    assert all(finding["remedy"] for finding in facts["findings"] if finding["state"] != "ok")
    assert states["numpy"]["found"] == np.__version__


def test_doctor_fails_where_the_chosen_runtime_does_not_work():
    import os

    if np.__version__.startswith("1."):
        pytest.skip("tflite-runtime works with numpy 1")
    finished = run("doctor", env={**os.environ, "EDGEML_RUNTIME": "tflite_runtime"})
    assert finished.returncode == 1
    assert "models cannot run here" in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_a_reader_that_leaves_early_is_no_error():
    finished = subprocess.run(
        f"{sys.executable} -m edge_sdk doctor | true", shell=True, capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in finished.stderr
    assert "BrokenPipe" not in finished.stderr


def test_a_file_name_that_is_no_text_is_json_all_the_same(capsys):
    cli.print_json({"model": "half\udcff.h5", "é": 1})
    printed = capsys.readouterr().out
    printed.encode()
    assert json.loads(printed) == {"model": "half\udcff.h5", "é": 1}
