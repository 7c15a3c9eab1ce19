"""A worker on another machine that dies, hangs or cannot be reached any more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edge_sdk import Model
from edge_sdk.errors import ChildTimeoutError, DeviceError, EdgeError
from edge_sdk.targets import open_target
from tests.integration.ssh_server import processes_under
from tests.integration.target_ssh.reach import masters, sessions, url, windows
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


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
