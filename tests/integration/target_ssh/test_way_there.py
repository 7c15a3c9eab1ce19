"""The way to another machine: its address, its keys, its Python."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edge_sdk import Model
from edge_sdk.errors import ConfigError, DeviceError, EdgeError
from edge_sdk.targets import open_target
from tests.integration.ssh_server import make_key
from tests.integration.target_ssh.reach import sessions, url, windows

pytestmark = pytest.mark.integration


def test_a_login_shell_may_say_what_it_likes(device, linear_file):
    noise = 'echo "welcome"; printf "{no line end"; seq 20000; (sleep 0.7; echo later) &\n'
    (device.home / ".bashrc").write_text(noise)
    with Model.load(linear_file, target=url(device)) as there, Model.load(linear_file) as here:
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:
            np.testing.assert_array_equal(there.scores(windows()), here.scores(windows()))


def test_what_the_users_configuration_asks_for_is_not_in_the_way(device, linear_file, tmp_path):
    device.configure(
        "RemoteCommand echo no",
        "RequestTTY force",
        "ControlMaster auto",
        f"ControlPath {tmp_path}/%C",
        "LocalForward 1 127.0.0.1:1",
        "ExitOnForwardFailure yes",
        "LogLevel QUIET",
    )
    with Model.load(linear_file, target=url(device)) as model:
        assert model.run(windows()[0]).label in "xyz"
    device.trust(None)
    with pytest.raises(DeviceError, match="the host key is not known"):
        Model.load(linear_file, target=url(device))


def test_jump_hosts_of_the_configuration_are_used(device, linear_file):
    far = f"Host far\n  HostName 127.0.0.1\n  Port {device.port}\n  ProxyJump {device.alias}\n"
    device.config.write_text(far + device.config.read_text())
    with Model.load(linear_file, target=url(device, "far")) as model:
        assert model.run(windows()[0]).label in "xyz"
        assert len(sessions(device)) >= 2


def test_an_unknown_host_key_is_refused_and_stays_unknown(device):
    device.trust(None)
    device.configure("StrictHostKeyChecking no")
    with pytest.raises(
        DeviceError, match=r"pi: the host key is not known: .*; connect once by hand .*: ssh pi"
    ):
        open_target(url(device)).check()
    assert device.known_hosts.read_text() == ""


def test_another_host_key_is_refused(device, tmp_path):
    device.trust(make_key(tmp_path / "other"))
    with pytest.raises(DeviceError, match="the host key is not the known one: .*find out why") as raised:
        open_target(url(device)).check()
    assert "\n" not in str(raised.value)


def test_another_key_is_refused(device, tmp_path):
    device.configure(key=make_key(tmp_path / "other"))
    with pytest.raises(
        DeviceError, match=r"pi: login refused: found .*Permission denied .*; set up a key.*ssh pi"
    ):
        open_target(url(device)).check()


def test_a_port_without_a_server_is_refused(device):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(DeviceError, match=f"{place}: connection refused"):
            open_target(url(device, place)).check()


def test_a_host_that_is_not_there_is_one_line(device):
    with pytest.raises(DeviceError, match="no-such-host.invalid: no such host"):
        open_target(url(device, "no-such-host.invalid")).check()


def test_a_server_that_says_nothing_does_not_hold_up(device):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        with pytest.raises(DeviceError, match="no answer in time"):
            open_target(url(device, f"127.0.0.1:{silent.getsockname()[1]}", timeout=1)).check()
        assert time.monotonic() - started < 8


def test_without_an_ssh_program_it_says_what_to_install(device, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DeviceError, match="apt install openssh-client"):
        open_target(url(device)).check()


@pytest.mark.parametrize("python", ["/no/such/python", "no-such-python", "~/none"])
def test_a_python_that_is_not_there(device, python):
    with pytest.raises(DeviceError, match=f"pi: no Python '{python}' there.*3.11 or newer"):
        open_target(url(device, python=python)).check()


def test_the_python_may_lie_in_the_home_folder_there(device, linear_file):
    (device.home / "its own").symlink_to(Path(sys.prefix))
    with Model.load(linear_file, target=url(device, python="~/its%20own/bin/python")) as model:
        assert model.run(windows()[0]).label in "xyz"
    (device.home / "its own").unlink()


@pytest.mark.parametrize(("which", "package"), [("nothing", "numpy"), ("numpy", "the runtime 'litert'")])
def test_what_is_missing_there_is_said_with_what_to_install(device, bare, which, package):
    with pytest.raises(
        DeviceError, match=f"pi: {package} is not installed.*pip install ai-edge-litert numpy"
    ):
        open_target(url(device, python=bare[which])).check()


def test_the_other_runtime_is_asked_for_by_name(device):
    with pytest.raises(EdgeError, match="numpy 1.x|tflite_runtime"):
        open_target(url(device, runtime="tflite_runtime")).check()
    with pytest.raises(EdgeError, match="unknown runtime 'litret'.*did you mean 'litert'"):
        open_target(url(device, runtime="litret")).check()


@pytest.mark.parametrize(
    "odd",
    [
        "ssh://-oProxyCommand=id",
        "ssh://pi:secret@pi",
        "ssh://pi;id",
        "ssh://",
        "ssh://pi:0",
        "ssh://pi?pyton=x",
    ],
)
def test_an_odd_address_is_refused_before_anything_runs(odd):
    with pytest.raises(ConfigError):
        open_target(odd)
