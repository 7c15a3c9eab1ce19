"""Units through systemd's own checks, and the command that prints them."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from edge_sdk.needs import wall
from edge_sdk.pipeline import Pipeline
from edge_sdk.unit import Settings, unit
from tests.models import write_model

pytestmark = pytest.mark.integration

HOSTILE = 'pré 100% "$HOME" \\x'


@pytest.fixture(scope="module")
def analyze():
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.fail("needs systemd's own checks: apt-get install systemd")

    def run(*words):
        return subprocess.run([program, *words], capture_output=True, text=True, timeout=60)

    return run


def write(folder, sinks="url = 'jsonl:out.jsonl'", source="url = 'synthetic:sine'", name="press-7.toml"):
    folder.mkdir(parents=True, exist_ok=True)
    write_model(folder / "motion.tflite")
    file = folder / name
    file.write_text(f"[model]\nfile = 'motion.tflite'\n[[source]]\n{source}\n[[sink]]\n{sinks}\n")
    return file


def made(file, **settings):
    return unit(Pipeline.from_config(file), file, Settings("press-7", **settings))


def service(*words):
    return subprocess.run(
        [sys.executable, "-m", "edge_sdk", "service", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("folder", ["plain", HOSTILE])
@pytest.mark.parametrize("source", ["url = 'synthetic:sine'", "url = 'serial:///dev/ttyUSB0'"])
def test_systemd_has_nothing_to_say_against_a_unit(analyze, tmp_path, folder, source):
    file = write(tmp_path / folder, source=source)
    place = tmp_path / "press-7.service"
    place.write_text(made(file).text)
    checked = analyze("verify", "--man=no", str(place))  # it exits 0 on a bad value: its output counts
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_those_checks_do_notice_a_mistake(analyze, tmp_path):
    text = made(write(tmp_path)).text
    place = tmp_path / "press-7.service"
    for wrong in ("WatchdogSec=often", "NoSuchKey=1", "ReadWritePaths=not/absolute", "SystemCallFilter=x"):
        place.write_text(text.replace("[Install]", f"{wrong}\n[Install]"))
        assert analyze("verify", "--man=no", str(place)).stderr, wrong


def test_a_service_is_not_exposed(analyze, tmp_path):
    place = tmp_path / "press-7.service"
    place.write_text(made(write(tmp_path)).text)
    said = analyze("security", "--offline=true", "--no-pager", str(place)).stdout
    (level,) = re.findall(r"Overall exposure level for .*: ([\d.]+)", said)
    assert float(level) < 2.5  # of 10; an sshd has 9.6


def test_systemd_reads_a_path_back_as_it_is(analyze, tmp_path):
    """As the program to run, a file that is none: systemd names it as it understood it."""
    file = write(tmp_path / "pré 100% n")
    (command,) = re.findall(r"^ExecStart=.* run (.*)$", made(file).text, re.MULTILINE)
    place = tmp_path / "press-7.service"
    place.write_text(f"[Service]\nExecStart={command}\n")
    assert f"Command {file} is not executable" in analyze("verify", "--man=no", str(place)).stderr


def test_a_program_in_a_folder_that_systemd_refuses_is_started_through_another(
    tmp_path, analyze, monkeypatch
):
    program = tmp_path / 'it"s' / "python"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    file = write(tmp_path)
    monkeypatch.setattr(sys, "executable", str(program))
    text = made(file).text
    (command,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    assert command == f'/usr/bin/env "{tmp_path}/it\\"s/python" -m edge_sdk run {file}'
    (tmp_path / "press-7.service").write_text(text)
    assert analyze("verify", "--man=no", str(tmp_path / "press-7.service")).stderr == ""


def test_variables_and_specifiers_in_paths_mean_nothing(tmp_path):
    text = made(write(tmp_path / HOSTILE)).text
    (command,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    (folder,) = re.findall(r"^ReadWritePaths=(.*)$", text, re.MULTILINE)
    assert command.endswith('/pré 100%% \\"$$HOME\\" \\\\x/press-7.toml"')
    assert folder == f'"-{tmp_path}/pré 100%% \\"$HOME\\" \\\\x"'


@pytest.mark.parametrize(
    ("source", "allowed"),
    [
        ("url = 'serial:///dev/ttyACM0'", {"char-166 rw"}),
        ("url = 'serial:///dev/serial/by-id/usb-1'", {"char-166 rw", "char-188 rw"}),
        ("url = 'serial:///dev/ttyS0'", {"/dev/ttyS0 rw"}),
        ("url = 'serial:socket://127.0.0.1:7000'", None),
        ("url = 'mcu:///dev/ttyUSB0'", {"char-188 rw"}),
        ("url = 'synthetic:sine'", None),
    ],
)
def test_devices_are_those_of_the_sources(tmp_path, source, allowed):
    text = made(write(tmp_path, source=source)).text
    if allowed is None:
        assert "PrivateDevices=yes" in text
        assert "SupplementaryGroups" not in text
    else:
        assert set(re.findall(r"^DeviceAllow=(.*)$", text, re.MULTILINE)) == allowed
        assert "DevicePolicy=closed" in text
        assert "SupplementaryGroups=dialout" in text
        assert "PrivateDevices" not in text


def test_a_group_that_is_not_there_is_not_asked_for(tmp_path, monkeypatch):
    def none(name):
        raise KeyError(name)

    monkeypatch.setattr("edge_sdk.needs.grp.getgrnam", none)
    result = made(write(tmp_path, source="url = 'serial:///dev/ttyACM0'"))
    assert "\nSupplementaryGroups" not in result.text
    assert any("no group dialout" in note for note in result.notes)


def test_a_user_of_one_s_own(tmp_path):
    result = made(write(tmp_path), user="nobody")
    assert "User=nobody\n" in result.text
    assert "DynamicUser" not in result.text
    assert not any("makes up" in note for note in result.notes)
    result = made(write(tmp_path), user="no-such-user")
    assert any("there is no user no-such-user here" in note for note in result.notes)


def test_what_the_service_could_not_read_is_said(tmp_path):
    file = tmp_path / "motion.tflite"
    file.touch()
    assert wall(file, os.getuid(), ()) is None
    tmp_path.chmod(0o700)
    assert wall(file, -1, ()) in file.parents
    file.chmod(0o040)
    assert wall(file, os.getuid(), ()) == file
    assert wall(tmp_path / "gone", os.getuid(), ()) == tmp_path / "gone"
    notes = made(write(tmp_path)).notes  # below /tmp, which a service has for itself
    assert (
        f"the configuration: {tmp_path}/press-7.toml is in a folder that the service sees empty: move it"
        in notes
    )


def test_a_later_systemd_waits_longer_each_time(tmp_path):
    file = write(tmp_path)
    assert "RestartSteps=" not in made(file, systemd=252).text
    assert "RestartMaxDelaySec=120" in made(file, systemd=254).text


def test_the_command_prints_a_unit_and_says_what_to_see_to(tmp_path):
    file = write(tmp_path)
    said = service(file)
    assert said.returncode == 0, said.stderr
    assert re.search(rf"^ExecStart=/.*/edgeml run {file}$", said.stdout, re.MULTILINE)
    assert "edgeml: note: " in said.stderr
    facts = json.loads(service(file, "--json", "--name", "x", "--user", "root").stdout)
    assert facts["name"] == "x"
    assert facts["file"] == "/etc/systemd/system/x.service"
    assert "StateDirectory=x\n" in facts["unit"]
    assert isinstance(facts["notes"], list)


def test_secrets_are_the_service_s_own(tmp_path):
    sink = "url = 'mqtt://broker/press-7'\nusername = 'press'\npassword_env = 'EDGEML_TEST_PASSWORD'"
    said = service(write(tmp_path, sinks=sink), "--name", "x")
    assert said.returncode == 0, said.stderr
    assert "EnvironmentFile=-/etc/edgeml/x.env\n" in said.stdout
    assert "# NOTE: secrets go into /etc/edgeml/x.env" in said.stdout
    assert "EDGEML_TEST_PASSWORD=…" in said.stderr


@pytest.mark.parametrize(
    ("changes", "words", "message"),
    [
        ({"source": "url = 'stdin:'"}, (), "expected a source that a service can read"),
        ({"source": "url = 'serial:x'\nbuad = 1"}, (), "unknown option 'buad'"),
        ({}, ("--name", "a b"), "service name 'a b'"),
        ({}, ("--user", "x\nUser=root"), "user name"),
        ({}, ("--name", "../x"), "service name '../x'"),
        ({"sinks": 'url = "jsonl:a\\nb/out.jsonl"'}, (), "printable characters"),
    ],
)
def test_what_cannot_be_a_service_is_one_line(tmp_path, changes, words, message):
    said = service(write(tmp_path, **changes), *words)
    assert said.returncode == 2
    assert message in said.stderr
    assert said.stderr.count("\n") == 1
    assert said.stdout == ""
