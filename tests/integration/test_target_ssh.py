"""Models on another machine, over a real ssh server: the same outputs, measured there, and nothing left."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import venv
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from edge_sdk import Model
from edge_sdk.errors import ChildTimeoutError, ConfigError, DeviceError, EdgeError, ModelError
from edge_sdk.targets import open_target
from tests.integration.broker import wait_for
from tests.integration.ssh_server import Device, make_key, processes_under, running_device
from tests.models import Linear, flatbuffer, write_model

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_device(tmp_path_factory.mktemp("device")) as device:
        yield device


@pytest.fixture
def device(server: Device, tmp_path, monkeypatch):
    """The server as it was at first; afterwards nothing may be left, on either side."""
    mine = Path(tempfile.mkdtemp(dir="/tmp"))  # short, as the name of a socket must be
    monkeypatch.setenv("EDGEML_SSH_CONFIG", str(server.config))
    monkeypatch.setenv("TMPDIR", str(mine))
    monkeypatch.setattr("tempfile.tempdir", None)
    yield server
    wait_for(lambda: not list(server.temporary.iterdir()))
    wait_for(lambda: not server.workers())
    wait_for(lambda: not sessions(server))
    assert not list(mine.iterdir())
    assert not masters(mine)
    mine.rmdir()
    server.configure()
    server.trust(server.host_key)
    (server.home / ".bashrc").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Interpreters with nothing, with numpy alone, and with numpy and LiteRT, which is all that is needed."""
    found = {}
    for name, packages in {"nothing": (), "numpy": ("numpy",), "litert": ("numpy", "ai_edge_litert")}.items():
        folder = tmp_path_factory.mktemp(name)
        venv.create(folder, with_pip=False, symlinks=True)
        found[name] = folder / "bin" / "python"
        for package in packages:
            for path in Path(np.__file__).parents[1].glob(f"{package}*"):
                (folder / "lib" / f"python3.{sys.version_info[1]}" / "site-packages" / path.name).symlink_to(
                    path
                )
    return found


def sessions(device):
    return [pid for pid, name in processes_under(device.pid).items() if name.startswith("sshd")]


def masters(folder):
    """ssh processes whose control socket lies in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in line and b"ssh" in line.split(b"\0")[0]:
            found.append(path.parent.name)
    return found


def url(device, place=None, **options):
    options = {"python": sys.executable, **options}
    return f"ssh://{place or device.alias}?" + "&".join(f"{name}={value}" for name, value in options.items())


def windows(n=5):
    return np.random.default_rng(3).normal(size=(n, 8, 3)).astype(np.float32)


@pytest.mark.parametrize("place", [None, "127.0.0.1:{port}", "127.0.0.1:{port}/"])
def test_outputs_are_those_of_this_machine(device, linear_file, place):
    place = place and place.format(port=device.port)
    with (
        Model.load(linear_file, target=url(device, place, threads=2)) as there,
        Model.load(linear_file) as here,
    ):
        assert there.runtime.version == here.runtime.version
        assert there.contract == here.contract
        assert there.labels == here.labels
        np.testing.assert_array_equal(there.scores(windows()), here.scores(windows()))
        assert len(device.workers()) == 2


def test_numpy_and_a_runtime_are_enough_there(device, bare, linear_file):
    there = url(device, python=bare["litert"])
    with Model.load(linear_file, target=there) as model, Model.load(linear_file) as here:
        np.testing.assert_array_equal(model.scores(windows()), here.scores(windows()))
    assert open_target(there).latency({0: linear_file}, [windows(1)])[0] > 0


def test_packages_may_lie_in_a_folder_there(device, bare, linear_file, tmp_path):
    """As in the runtime of a release: Python itself has nothing."""
    folder = tmp_path / "a release's runtime"
    folder.mkdir()
    for package in ("numpy", "ai_edge_litert"):
        for path in Path(np.__file__).parents[1].glob(f"{package}*"):
            (folder / path.name).symlink_to(path)
    older = folder / "edge_sdk"  # what travels counts, not what lies there
    older.mkdir()
    (older / "__init__.py").write_text("raise RuntimeError('of the release')")
    there = url(device, python=bare["nothing"], packages=quote(str(folder)))
    with Model.load(linear_file, target=there) as model, Model.load(linear_file) as here:
        np.testing.assert_array_equal(model.scores(windows()), here.scores(windows()))


def test_a_file_of_several_parts_arrives_whole(device, tmp_path):
    large = write_model(tmp_path / "large.tflite", Linear(window=50_000))
    assert large.stat().st_size > 1 << 20
    with Model.load(large, target=url(device)) as there, Model.load(large) as here:
        window = np.random.default_rng(0).normal(size=(50_000, 3)).astype(np.float32)
        np.testing.assert_array_equal(there.run(window).outputs, here.run(window).outputs)


def test_a_model_without_a_contract_has_its_labels(device, tmp_path):
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(flatbuffer())
    with Model.load(bare, target=url(device)) as there, Model.load(bare) as here:
        assert there.contract is None
        assert there.labels == here.labels
        assert there.digest == here.digest


def test_latency_is_measured_there_all_models_in_one_call(device, linear_file, tmp_path):
    slower = write_model(tmp_path / "slower.tflite", Linear(window=8, channels=3))
    found = open_target(url(device)).latency({"a": linear_file, "b": slower}, [windows(1)])
    assert set(found) == {"a", "b"}
    assert all(0 < latency < 10_000 for latency in found.values())


def test_models_that_are_refused_there_do_not_spoil_the_others(device, linear_file, tmp_path):
    damaged, crasher = tmp_path / "damaged.tflite", tmp_path / "crasher.tflite"
    damaged.write_bytes(flatbuffer()[:700])
    crasher.write_bytes(flatbuffer(Linear(custom_op="Mfcc")))
    files = {0: damaged, 1: linear_file, 2: crasher, 3: linear_file}
    found = open_target(url(device)).latency(files, [windows(1)])
    assert isinstance(found[0], ModelError)
    assert isinstance(found[2], ModelError)
    assert found[1] > 0
    assert found[3] > 0


def test_wrong_golden_outputs_are_refused_there(device, tmp_path, linear_file):
    from edge_sdk import modelfile

    parts = modelfile.split(linear_file.read_bytes())
    golden = modelfile.Golden.from_bytes(parts.members[modelfile.GOLDEN])
    golden.outputs[0][...] = 0.5
    members = {**parts.members, modelfile.GOLDEN: golden.to_bytes()}
    wrong = tmp_path / "wrong.tflite"
    wrong.write_bytes(modelfile.pack(parts.flatbuffer, members))
    with pytest.raises(ModelError, match=r"wrong.tflite on pi: .*golden outputs"):
        Model.load(wrong, target=url(device))


def test_a_runtime_that_dies_there_is_one_line(device, linear_file):
    with Model.load(linear_file, target=url(device)) as model:
        worker = device.workers()[-1]
        os.kill(worker, signal.SIGSEGV)
        with pytest.raises(EdgeError, match="pi: .*signal SIGSEGV"):
            model.run(windows()[0])
        with pytest.raises(DeviceError, match="the worker has ended; load the model again"):
            model.run(windows()[0])


def test_a_worker_that_is_told_to_end_tidies_up(device, linear_file):
    with Model.load(linear_file, target=url(device)) as model:
        os.kill(device.workers()[0], signal.SIGTERM)
        wait_for(lambda: not list(device.temporary.iterdir()))
        with pytest.raises(EdgeError, match="pi: .*signal SIGTERM"):
            model.run(windows()[0])


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


def test_a_start_that_hangs_is_ended(device, tmp_path):
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 20\n")
    slow.chmod(0o755)
    started = time.monotonic()
    with pytest.raises(ChildTimeoutError, match=f"pi: the start of {slow} did not finish.*within 1 s"):
        open_target(url(device, python=slow, timeout=1)).check()
    assert time.monotonic() - started < 8
    for pid, name in processes_under(os.getpid()).items():
        if name == "sleep":
            os.kill(pid, signal.SIGKILL)


def test_a_worker_that_hangs_is_ended_there_too(device, linear_file):
    with Model.load(linear_file, target=url(device, timeout=3)) as model:
        os.kill(device.workers()[-1], signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(ChildTimeoutError, match="pi: .* did not finish.*within 3 s"):
            model.runtime.invoke([np.zeros((1, 8, 3), np.float32)])
        assert time.monotonic() - started < 8
        wait_for(lambda: not device.workers())


def test_a_request_that_nobody_reads_is_ended_too(device, linear_file):
    with Model.load(linear_file, target=url(device, timeout=3)) as model:
        for pid in device.workers():
            os.kill(pid, signal.SIGSTOP)
        stopped = device.workers()
        with pytest.raises(ChildTimeoutError, match="did not finish"):
            model.runtime.invoke([np.zeros((1, 3_000_000), np.float32)])
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def test_a_connection_that_breaks_in_mid_work_is_one_line(device, linear_file):
    with Model.load(linear_file, target=url(device)) as model:
        cut = threading.Timer(0.5, device.cut)
        cut.start()
        with pytest.raises(DeviceError, match="pi: the connection was (lost|closed)") as raised:
            model.scores(np.zeros((100_000, 8, 3), np.float32))
        cut.join()
        assert "\n" not in str(raised.value)
        wait_for(lambda: not list(device.temporary.iterdir()))


@pytest.mark.slow
def test_a_machine_that_falls_silent_is_noticed(device, linear_file):
    """As when somebody pulls its plug: nothing is closed, nothing comes any more."""
    with Model.load(linear_file, target=url(device)) as model:
        silent = sessions(device)
        for pid in silent:
            os.kill(pid, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(DeviceError, match="pi: the connection was lost"):
            model.run(windows()[0])
        assert 5 < time.monotonic() - started < 40
        for pid in silent:
            os.kill(pid, signal.SIGCONT)


def test_a_caller_that_is_killed_leaves_nothing_there(device, linear_file):
    program = (
        "import sys, time; from edge_sdk import Model\n"
        "model = Model.load(sys.argv[1], target=sys.argv[2]); print('loaded', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(linear_file), url(device)], stdout=subprocess.PIPE
    ) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == b"loaded\n"
        caller.kill()
    wait_for(lambda: not list(device.temporary.iterdir()))
    wait_for(lambda: not device.workers())
    folder = Path(os.environ["TMPDIR"])
    assert masters(folder)
    wait_for(lambda: not masters(folder), 20)
    (left,) = folder.iterdir()  # its own, and empty; nobody was left to remove it
    assert left.name.startswith("edgeml-ssh-")
    left.rmdir()


def test_a_caller_that_forgets_to_close_leaves_nothing(device, linear_file):
    program = (
        "import sys; from edge_sdk import Model\n"
        "model = Model.load(sys.argv[1], target=sys.argv[2])\n"
        "print(model.runtime.name)"
    )
    command = [sys.executable, "-c", program, str(linear_file), url(device)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "litert\n", "")


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


def test_auto_measures_on_the_device(device, linear_file, tmp_path):
    x = np.random.default_rng(0).normal(size=(300, 8, 3)).astype(np.float32)
    labels = np.array([np.argmax(Linear().expected(window)) for window in x])
    np.savez(tmp_path / "data.npz", window=x, labels=labels)
    command = [sys.executable, "-m", "edge_sdk", "convert", linear_file, "-o", tmp_path / "out.tflite"]
    options = ["--recipe", "auto", "--data", tmp_path / "data.npz", "--json", "--target", url(device)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    assert "on ssh://pi?" in done.stderr
    found = json.loads(done.stdout)
    assert all(trial["latency_us"] > 0 for trial in found["trials"] if trial["accuracy"] is not None)
    assert Model.load(tmp_path / "out.tflite", target=url(device)).close() is None


def test_auto_with_a_device_that_is_not_there_fails_with_one_line(device, linear_file, tmp_path):
    device.trust(None)
    x = np.random.default_rng(0).normal(size=(60, 8, 3)).astype(np.float32)
    np.savez(tmp_path / "data.npz", window=x, labels=np.arange(60) % 3)
    command = [sys.executable, "-m", "edge_sdk", "convert", linear_file, "-o", tmp_path / "out.tflite"]
    options = [
        "--recipe",
        "auto",
        "--data",
        tmp_path / "data.npz",
        "--max-drop",
        "90pt",
        "--target",
        url(device),
    ]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 3
    assert "the host key is not known" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out.tflite").exists()
