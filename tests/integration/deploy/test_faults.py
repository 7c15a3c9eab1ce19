"""Whatever breaks while something is deployed: what ran before runs on, and the next attempt works."""

import contextlib
import fcntl
import hashlib
import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from edge_sdk.deploy import release
from edge_sdk.errors import DeviceError

pytestmark = pytest.mark.integration
CUTS = int(os.environ.get("EDGEML_POWER_CUTS", "3"))


def wait_for(condition, timeout_s=300):
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def read_until(process, text):
    """Lines that it says until one has the text."""
    for line in process.stderr:
        if text in line:
            return
    pytest.fail(f"it ended before it said {text!r}")


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
    return list((desk.machine.root / "var/lib/edgeml/contents").glob("??/" + "[0-9a-f]" * 64))


def is_unlocked(desk):
    with (desk.machine.root / "var/lib/edgeml/apps" / desk.name / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def ended(process, status):
    out, err = process.communicate(timeout=300)
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
    there = sum(path.stat().st_size for path in contents(desk))
    second = desk.deploy("--version", "2")
    sent, total = (int(words.split()[0].replace(",", "")) for words in second["sent"].split(" of "))
    assert sent <= total - there
    assert desk.serves("2")


@pytest.mark.parametrize("phase", ["trying it out", "watching"])
def test_a_connection_that_is_cut_later(serving, phase):
    with serving.start(*serving.words("--version", "cut", window=3)) as process:
        read_until(process, phase)
        cut_connection(serving)
        told = ended(process, 3)
    assert told["remedy"]
    wait_for(lambda: is_unlocked(serving))  # what tried itself out there ends, and nobody hears of it
    if phase == "watching":  # it goes on by itself
        wait_for(lambda: serving.status()["on_trial"] is False)
        assert serving.serves("cut")
        serving.edgeml("rollback", serving.machine.url, serving.name)
    wait_for(lambda: serving.serves("old"))


def test_only_one_deploys_at_a_time(serving):
    lock = serving.machine.root / "var/lib/edgeml/apps" / serving.name / "lock"
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        told = serving.deploy("--version", "second", status=3)
    assert "another deployment goes on here" in told["error"]
    assert serving.serves("old")


def test_two_that_send_the_agent_at_the_same_time_do_not_meet(serving):
    (serving.machine.root / "var/lib/edgeml/agent.pyz").unlink()
    with contextlib.ExitStack() as stack:
        asked = [
            stack.enter_context(serving.start("status", serving.machine.url, "--json")) for _ in range(3)
        ]
        told = [ended(process, 0) for process in asked]
    assert told[0] == told[1] == told[2]
    assert not list((serving.machine.root / "var/lib/edgeml").glob("*.part"))


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


def test_a_read_only_root(serving):
    with mounted(serving.machine, "--bind /var/lib/edgeml /var/lib/edgeml"):
        serving.machine.ask("mount -o remount,ro,bind /var/lib/edgeml")
        told = serving.deploy("--version", "stuck", status=1)
        assert "read-only" in told["found"]
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


def test_a_group_that_is_missing_is_a_note_and_no_service_is_needed(desk):
    desk.write('url = "iio:accel"')
    told = desk.deploy("--service", "none")
    assert any("group iio" in note or "iio" in note for note in told["notes"]), told["notes"]
    assert "python3 -m edge_sdk run" in told["run"]
    assert desk.machine.ask(f"systemctl is-active {desk.unit}", check=False).strip() == "inactive"


def is_whole(desk):
    """Whether every file of what runs is as its manifest says."""
    slot = desk.machine.root / "var/lib/edgeml/apps" / desk.name / "current"
    slot = slot.parent / slot.readlink()
    facts = json.loads((slot / "manifest.json").read_bytes())
    tree = desk.machine.root / "var/lib/edgeml/trees" / facts["runtime"]
    listing = desk.machine.root / "var/lib/edgeml/contents" / facts["runtime"][:2] / facts["runtime"]
    files = [(slot / "app", entry) for entry in facts["files"]]
    files += [(tree, entry) for entry in json.loads(listing.read_bytes())]
    return all(
        hashlib.sha256((folder / path).read_bytes()).hexdigest() == digest
        for folder, (path, digest, _, _) in files
    )


@pytest.mark.parametrize("cut", range(CUTS))
def test_a_power_cut_leaves_exactly_one_whole_release(serving, cut):
    """The first ones in a phase each, the others whenever it happens."""
    machine, version = serving.machine, f"cut-{cut}"
    before = serving.running()
    phases = ["installing beside what runs", "switching", "watching"]
    with serving.start(*serving.words("--version", version, window=4)) as process:
        if cut < len(phases):
            read_until(process, phases[cut])
        else:
            read_until(process, "verifying")
            time.sleep(random.Random(cut).uniform(0, 12))
        machine.cut_power()
        process.communicate(timeout=300)
    machine.boot()
    wait_for(lambda: serving.serves(before) or serving.serves(version))
    wait_for(lambda: serving.status()["on_trial"] is False)
    now = serving.running()
    assert now in (before, version)
    assert serving.serves(now)
    assert is_whole(serving)
    if cut < len(phases):
        assert now == before
    assert not list((machine.root / "var/lib/edgeml/apps").rglob("*.part"))
