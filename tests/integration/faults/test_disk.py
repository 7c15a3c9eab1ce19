"""The disk is full while the network is down: memory takes over, and what does not fit is counted."""

import os
import subprocess
from contextlib import ExitStack, contextmanager, suppress

import pytest

from tests.integration.broker import running_broker
from tests.integration.faults.child import Child, config, together
from tests.integration.faults.oracle import balanced, check_order, check_whole, firsts, kept, repeats
from tests.integration.faults.witnesses import AT_ONCE, Hook, Subscriber
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


class Limit:
    """No file of the process may grow any more."""

    def __init__(self, child, folder):
        self._child = child

    def fill(self):
        sizes = [path.stat().st_size for path in self._child.folder.iterdir() if path.is_file()]
        self._child.limit_files(max(sizes))

    def free(self):
        self._child.limit_files(None)


class Ballast:
    """A file system that is full."""

    def __init__(self, child, folder):
        self._file = folder / "ballast"

    def fill(self):
        with self._file.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        assert not os.statvfs(self._file).f_bavail

    def free(self):
        self._file.unlink()


class Place:
    """A pipeline to a broker that is down and to a web server that gets everything."""

    def __init__(self, story, folder, disk, stack, **outbox):
        self.story = story
        folder.mkdir(exist_ok=True)
        beside = folder.with_name(f"{folder.name} broker")
        beside.mkdir()
        self.broker = stack.enter_context(running_broker(beside, "persistence false", *AT_ONCE))
        self.broker.stop()
        self.hook = stack.enter_context(Hook())
        place = f"mqtt://127.0.0.1:{self.broker.port}/alarms"
        self.text = config(
            story,
            {"name": "broker", "url": place, "timeout_s": 1},
            {"name": "hook", "url": self.hook.url},
            outbox={"commit_s": 0.1, **outbox},
        )
        self.child = stack.enter_context(Child(folder, self.text))
        self.child.until(lambda: len(self.owed()) > 50)
        self.disk = disk(self.child, folder)
        self.disk.fill()
        self.child.until(lambda: "kept in memory, trying again" in self.child.said)
        self.on_disk = len(self.owed())
        self.more(100)
        assert len(self.owed()) == self.on_disk

    def owed(self):
        return kept(self.child.outbox).owed.get("broker", [])

    def more(self, count):
        before = len(self.hook.arrivals)
        self.child.until(lambda: len(self.hook.arrivals) >= before + count)

    def reconnect(self, stack):
        self.broker.start()
        return stack.enter_context(Subscriber(self.broker.port, "alarms"))

    def end(self, *subscribers):
        report = self.child.stop()
        balanced(report)
        wait_for(lambda: len(firsts(self.hook.arrivals)[report["run_id"]]) == delivered(report, "hook"))
        for arrivals in (self.hook.arrivals, *(each.arrivals for each in subscribers)):
            self.story.check(arrivals)
            check_order(arrivals)
            assert repeats(arrivals, at_once=0) == 0
        return report


def delivered(report, sink):
    return report["ledger"]["sinks"][sink]["delivered"]


def heals(story, folder, disk=Limit):
    """First the disk, then the network: all of it arrives."""
    with ExitStack() as stack:
        place = Place(story, folder, disk, stack)
        place.disk.free()
        place.child.until(lambda: "written again" in place.child.said)
        place.child.until(lambda: len(place.owed()) > place.on_disk + 100)
        subscriber = place.reconnect(stack)
        place.child.until(lambda: len(subscriber.arrivals) > place.on_disk + 100)
        report = place.end(subscriber)
        wait_for(lambda: len(subscriber.arrivals) == report["predictions"] == delivered(report, "hook"))
        check_whole(subscriber.arrivals)
        check_whole(place.hook.arrivals)


def overflows(story, folder, disk=Limit):
    """The network first, and memory was too small: what was nowhere but there is lost, oldest first."""
    with ExitStack() as stack:
        place = Place(story, folder, disk, stack, memory_rows=32)
        subscriber = place.reconnect(stack)
        place.child.until(lambda: len(subscriber.arrivals) > place.on_disk + 50)
        report = place.end(subscriber)
        wait_for(lambda: len(subscriber.arrivals) == delivered(report, "broker"))
        assert 50 < accounted(report, "broker", subscriber.arrivals) <= report["ledger"]["lost"]
        # So may the hook have missed some, if it was slow for a moment.
        accounted(report, "hook", place.hook.arrivals)
        (numbers,) = firsts(subscriber.arrivals).values()
        assert numbers[: place.on_disk] == list(range(place.on_disk))


def accounted(report, sink, arrivals):
    """How many a sink did not get: each is missing in its sequence, and each was counted as an overflow."""
    dropped = report["ledger"]["sinks"][sink]["dropped"]
    lost = sum(dropped.values())
    assert dropped == ({"overflow": lost} if lost else {})
    (numbers,) = firsts(arrivals).values()
    assert len(numbers) + lost == report["predictions"]
    return lost


def ends(story, folder, disk=Limit):
    """It ends while both are away: what is on disk arrives with the next run, the rest is counted."""
    with ExitStack() as stack:
        place = Place(story, folder, disk, stack)
        report = place.end()
        check_whole(place.hook.arrivals)
        assert delivered(report, "hook") == report["predictions"]
        account = report["ledger"]["sinks"]["broker"]
        held = place.owed()
        assert account["queued"] == len(held) == place.on_disk
        assert account["dropped"] == {"failed": report["predictions"] - place.on_disk}
        subscriber = place.reconnect(stack)
        with Child(folder, place.text) as child:
            child.until(lambda: len(subscriber.arrivals) > place.on_disk)
            after = balanced(child.stop())
        assert after["sinks"]["broker"]["carried"] == place.on_disk
        assert after["lost_in_crash"] == {}
        story.check(subscriber.arrivals)
        check_whole(subscriber.arrivals)
        assert firsts(subscriber.arrivals)[report["run_id"]] == list(range(place.on_disk))


def test_no_file_may_grow_while_the_network_is_down(story, tmp_path):
    together(lambda scenario: scenario(story, tmp_path / scenario.__name__), [heals, overflows, ends])


def test_a_full_file_system_while_the_network_is_down(story, tmp_path):
    with small_file_system(tmp_path / "small") as folder:
        heals(story, folder, Ballast)


@contextmanager
def small_file_system(folder):
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs root and mount: run as root, outside a restricted container")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
