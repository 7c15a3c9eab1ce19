"""Whatever breaks while something is deployed: what ran before runs on, and the next attempt works."""

import contextlib
import json
import os
import signal
from pathlib import Path

import pytest

from edge_sdk.deploy import release
from edge_sdk.errors import DeviceError
from tests.integration.deploy.conftest import APPS, is_whole
from tests.integration.deploy.waiting import read_until, wait_for

pytestmark = pytest.mark.integration


def masters(desk):
    """The ssh processes that hold connections to the machine of a desk, by their ids."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = file.read_bytes().split(b"\0")
            if str(desk.machine.config).encode() in words and b"-M" in words:
                found.append(int(file.parent.name))
    return found


def cut_connection(desk):
    for pid in wait_for(lambda: masters(desk)):
        os.kill(pid, signal.SIGKILL)


def contents(desk):
    """Sizes of all that came whole."""
    whole = f"-path '*/??/{'?' * 64}' -printf '%s\\n'"
    said = desk.machine.ask(f"find /var/lib/edgeml/contents {whole}", check=False)  # it may not be there yet
    return [int(size) for size in said.split()]


def is_unlocked(desk):
    return desk.machine.run(f"flock --nonblock {APPS}/{desk.name}/lock true").returncode == 0


def ended(process, status):
    out, err = process.communicate(timeout=1200)
    assert process.returncode == status, out + err
    assert "Traceback" not in err
    return json.loads(out)


def test_a_connection_that_is_cut_while_contents_are_sent(desk):
    """The machine is as good as new, so that a whole runtime is on its way."""
    with desk.start(*desk.words()) as process:
        wait_for(lambda: len(contents(desk)) > 100)
        cut_connection(desk)
        told = ended(process, 3)
    assert "device" in told["error"]
    assert desk.name not in desk.edgeml("status", desk.machine.url).stdout
    there = sum(contents(desk))
    second = desk.deploy("--version", "2")
    sent, total = (int(words.split()[0].replace(",", "")) for words in second["sent"].split(" of "))
    assert sent <= total - there
    assert desk.serves("2")


PHASES = ["verifying the signature", "installing beside", "trying it out", "switching", "watching"]


@pytest.mark.parametrize("phase", PHASES)
def test_a_connection_that_is_cut_later(serving, phase):
    with serving.start(*serving.words("--version", "cut", window=2)) as process:
        read_until(process, phase)
        cut_connection(serving)
        told = ended(process, 3)
    assert told["remedy"]
    wait_for(lambda: is_unlocked(serving))  # what tried itself out there ends, and nobody hears of it
    wait_for(lambda: serving.status()["on_trial"] is False)
    assert is_whole(serving)
    if phase == "watching":  # it goes on by itself
        assert serving.running() == "cut"
    if serving.running() == "cut":
        assert PHASES.index(phase) >= PHASES.index("trying it out")
        assert serving.serves("cut")
        serving.edgeml("rollback", serving.machine.url, serving.name)
    wait_for(lambda: serving.serves("old"))


def test_only_one_deploys_at_a_time(serving):
    machine = serving.machine
    machine.ask(f"systemd-run --quiet --unit=other flock {APPS}/{serving.name}/lock sleep infinity")
    try:
        wait_for(lambda: not is_unlocked(serving))
        told = serving.deploy("--version", "second", status=3)
    finally:
        machine.ask("systemctl stop other")
    assert "another deployment goes on here" in told["error"]
    assert serving.serves("old")


def test_two_that_send_the_agent_at_the_same_time_do_not_meet(serving):
    serving.machine.ask("rm /var/lib/edgeml/agent.pyz")
    with contextlib.ExitStack() as stack:
        asked = [
            stack.enter_context(serving.start("status", serving.machine.url, "--json")) for _ in range(3)
        ]
        told = [ended(process, 0) for process in asked]
    assert told[0] == told[1] == told[2]
    assert not serving.machine.ask("find /var/lib/edgeml -maxdepth 1 -name '*.part'")


@contextlib.contextmanager
def mounted(machine, command):
    machine.ask(f"mount {command}")
    try:
        yield
    finally:
        machine.ask("umount -l /var/lib/edgeml")


def test_a_full_disk_is_said_before_and_while_contents_come(serving):
    with mounted(serving.machine, "-t tmpfs -o size=48m none /var/lib/edgeml"):
        told = serving.deploy("--version", "large", status=1)
        assert told["error"].endswith("disk")
        with serving.remote() as remote:
            store = release.host_store()
            wish = release.Wish(serving.config, serving.name, "large", 1)
            made = release.make(wish, remote.platform, store, lambda _: None)
            with pytest.raises(DeviceError, match="too little room.*what runs now was not touched"):
                remote.send(made, store, lambda sent, total: None)
    assert serving.serves("old")


@pytest.mark.parametrize("status", [1, 3], ids=["known to the agent", "before there is an agent"])
def test_a_read_only_root(serving, status):
    machine, agent = serving.machine, "/var/lib/edgeml/agent.pyz"
    with mounted(machine, "--bind /var/lib/edgeml /var/lib/edgeml"):
        machine.ask(f"rm {agent}" if status == 3 else "true")
        machine.ask("mount -o remount,ro,bind /var/lib/edgeml")
        told = serving.deploy("--version", "stuck", status=status)
        assert "read-only" in told["found"].lower()
        assert "remount" in told["remedy"]
    assert serving.serves("old")


def test_a_user_who_cannot_become_root(serving):
    machine = serving.machine
    machine.ask(
        "useradd --create-home guest && cp -r /home/pi/.ssh /home/guest/ && chown -R guest /home/guest"
    )
    told = json.loads(serving.edgeml("status", "ssh://guest@device", "--json", status=3).stdout)
    assert "password is required" in told["found"]
    assert "sudo visudo" in told["remedy"]


def test_a_machine_without_python(serving):
    machine = serving.machine
    machine.ask("mv /usr/bin/python3 /usr/bin/python3.away")
    try:
        told = json.loads(serving.edgeml("status", machine.url, "--json", status=3).stdout)
    finally:
        machine.ask("mv /usr/bin/python3.away /usr/bin/python3")
    assert told["found"] == "no program 'python3'"
    assert "apt install python3" in told["remedy"]


#: What takes the place of an old Python: it says that it is one, and runs what it is given.
OLD_PYTHON = """#!/bin/sh
shift
exec /usr/bin/python3 -I -c 'import runpy, sys
sys.version_info, sys.argv = (3, 9, 2), sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")' "$@"
"""


def test_a_machine_with_an_old_python(serving):
    machine, place = serving.machine, "/usr/local/bin/python3"
    machine.put(place, OLD_PYTHON)
    machine.ask(f"chmod 755 {place}")
    try:
        told = serving.deploy("--version", "modern", status=3)
    finally:
        machine.ask(f"rm {place}")
    assert told["error"].endswith("this device's Python is too old")
    assert (told["found"], "bookworm" in told["remedy"]) == ("3.9", True)
    assert serving.serves("old")


def test_a_group_that_is_missing_is_a_note_and_no_service_is_needed(desk):
    desk.write('url = "iio:accel"')
    told = desk.deploy("--service", "none")
    assert any("group iio" in note or "iio" in note for note in told["notes"]), told["notes"]
    assert "python3 -m edge_sdk run" in told["run"]
    assert desk.machine.ask(f"systemctl is-active {desk.unit}", check=False).strip() == "inactive"
