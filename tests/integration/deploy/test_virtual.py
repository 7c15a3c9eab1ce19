"""The story of a Raspberry Pi on a whole computer: its own kernel, another processor, a disk, and a plug.

What is tested in the container (bad releases, faults, trust, the walk) runs on this machine, too, with
EDGEML_MACHINE=vm; here is what every run of the tests sees of it, and what only it can show. Told of a board
with a 32-bit system with EDGEML_MACHINE=vm32, and vm32on64 where its kernel has 64 bits.
"""

import json

import pytest

from tests.integration.deploy.conftest import full, is_whole, sitting
from tests.integration.deploy.emulated import BOOTED
from tests.integration.deploy.waiting import read_until, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]
LARGEST_MB = {"arm64": 130, "armhf": 30}


@pytest.fixture
def desk(virtual, signing_key, tmp_path):
    """At a machine to which nothing was ever deployed."""
    virtual.resume(BOOTED)
    with sitting(virtual, signing_key, tmp_path / "pipeline", "press-7") as desk:
        yield desk


def test_from_nothing_to_a_service_that_outlives_bad_releases_and_power_cuts(desk):
    """On a board without a clock that a battery keeps: it is 1970 until the first reboot."""
    machine = desk.machine
    machine.ask("date --set '1970-01-01 00:10'")
    with desk.start(*desk.words("--version", "good")) as process:
        read_until(process, "device: clock: ")
        said = process.communicate(timeout=1200)[0]
    assert json.loads(said).get("state") == "it works", said
    largest_mb = LARGEST_MB[machine.board.architecture.name]
    assert int(machine.ask("du -sm /var/lib/edgeml").split()[0]) <= largest_mb

    desk.write('url = "synthetic:sine"\nspeed = 1\nseconds = 1')
    told = desk.deploy("--version", "short", status=1, window=60)
    assert told["found"].startswith("it ended")
    assert told["remedy"] == "good runs again"

    desk.write(version="2")
    with desk.start(*desk.words("--version", "cut", window=60)) as process:
        read_until(process, "watching")
        machine.cut_power()
        process.communicate(timeout=1200)
    machine.boot()
    wait_for(lambda: desk.serves("good"))
    assert is_whole(desk)
    known = {each["version"]: each["verdict"] for each in desk.status()["releases"]}
    assert known.pop("good") in ("proving", "good")  # watched once more, it is all that is kept
    assert set(known.values()) <= {"refused"}


@full
def test_a_power_cut_while_the_first_runtime_is_sent(desk):
    """What had come whole before, and whose name was on the disk, is not sent again."""
    machine = desk.machine
    contents = "find /var/lib/edgeml/contents -type f -size +1M ! -name '*.part' -printf '%s\\n'"
    with desk.start(*desk.words("--version", "1")) as process:
        wait_for(lambda: len(machine.ask(contents, check=False).split()) > 1)
        machine.ask("sync")
        machine.cut_power()
        process.communicate(timeout=1200)
    machine.boot()
    there = sum(int(size) for size in machine.ask(contents).split())
    assert there > 0
    told = desk.deploy("--version", "2")
    sent, total = (int(words.split()[0].replace(",", "")) for words in told["sent"].split(" of "))
    assert sent <= total - there
    assert desk.serves("2")
    assert is_whole(desk)
