"""Power cuts at any moment: what was committed is there, in order, and nothing that was not put.

``EDGEML_POWER_CUTS=N`` for more of them.
"""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from edge_sdk.outbox import Outbox, OutboxSettings
from tests.powercut import disks
from tests.powercut.writing import NAMES

pytestmark = pytest.mark.integration

CUTS = int(os.environ.get("EDGEML_POWER_CUTS", "90"))
FAST = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@pytest.fixture(scope="module")
def recorder(tmp_path_factory):
    return disks.recorder(tmp_path_factory.mktemp("recorder"))


@pytest.fixture
def place():
    folder = Path(tempfile.mkdtemp(prefix="powercut", dir=FAST))
    yield folder
    shutil.rmtree(folder)


def record(recorder, place, mode, seed=0):
    folder = place / "written"
    folder.mkdir()
    environment = {
        **os.environ,
        "LD_PRELOAD": str(recorder),
        "POWERCUT_FOLDER": str(folder),
        "POWERCUT_LOG": str(place / "log"),
    }
    command = [sys.executable, "-m", "tests.powercut.writing", str(folder), mode, str(seed)]
    subprocess.run(command, env=environment, check=True, cwd=Path(__file__).parents[2], timeout=60)
    return disks.read_log(place / "log", folder)


class Promises:
    """What the process had said when the power went, and what its syncs oblige the disk to."""

    def __init__(self):
        self.put, self.acked = {}, {name: set() for name in NAMES}
        self.safe_below = 0  # sequences that must be there, unless acknowledged
        self.books = b""
        self._put_at_sync = self._logged = 0

    def follow(self, operation):
        if operation.kind == disks.WRITE and operation.name == "oracle":
            for line in operation.data.decode().splitlines():
                self._hear(*line.split())
        elif operation.name == "o.db-wal":
            if operation.kind == disks.WRITE:
                self._logged += operation.length
            elif operation.kind == disks.SYNC and self._logged >= 4096:
                # It was gathered after the commit before it: all that was put by then is in it.
                self.safe_below = max(self.safe_below, self._put_at_sync)
                self._put_at_sync, self._logged = len(self.put), 0

    def _hear(self, word, value, *names):
        if word == "put":
            self.put[int(value)] = names
        elif word == "acked":
            self.acked[names[0]].add(int(value))
        elif word in {"synced", "closed"}:
            self.safe_below = max(self.safe_below, int(value) + 1)
        else:
            self.books = bytes.fromhex(value)


def violations(folder, promises, each=False):
    """What the promise is broken by on one disk."""
    found = []
    database = folder / "o.db"
    with Outbox(OutboxSettings(database), NAMES) as outbox:
        if outbox.recovered.quarantined:
            return ["corrupt"]
        for lane in outbox.lanes:
            waiting = []
            while letters := lane.take(64, timeout_s=0.0):
                waiting += [letter.prediction.sequence for letter in letters]
            if waiting != sorted(set(waiting)):
                found.append(f"{lane.name}: order")
            wanted = {i for i, names in promises.put.items() if lane.name in names}
            newest = max(promises.put, default=-1)
            if [i for i in waiting if i not in wanted and i <= newest] or (
                waiting and max(waiting) > newest + 2
            ):
                found.append(f"{lane.name}: invented")
            safe = {i for i in wanted if each or i < promises.safe_below}
            missing = safe - promises.acked[lane.name] - set(waiting)
            if missing:
                found.append(f"{lane.name}: {len(missing)} lost")
            if lane.account.dropped or not lane.account.balanced:
                found.append(f"{lane.name}: books {lane.account}")
    connection = sqlite3.connect(database)
    if connection.execute("PRAGMA integrity_check").fetchone() != ("ok",):
        found.append("integrity")
    connection.close()
    return found


def cuts(operations, place, count, seed, each=False):
    """Violations of each of many cuts."""
    chance = random.Random(seed)
    moments = sorted(chance.randrange(1, len(operations)) for _ in range(count))
    disk, promises, done = disks.Disk(), Promises(), 0
    for number, moment in enumerate(moments):
        for operation in operations[done:moment]:
            promises.follow(operation)
            disk.apply(operation)
        done = moment
        folder = place / f"cut{number}"
        folder.mkdir()
        disk.after_cut(folder, chance, keep=chance.choice([0.0, 0.5, 0.9, 1.0]))
        books = folder / "o.db.books"  # written through mmap: any of its states may be on the disk
        books.write_bytes(chance.choice([b"", bytes(12288), promises.books]))
        if chance.random() < 0.2:
            books.unlink()
        yield moment, violations(folder, promises, each)
        shutil.rmtree(folder)


@pytest.mark.parametrize("mode", ["batch", "each"])
def test_a_power_cut_loses_at_most_the_last_commit_window(recorder, place, mode):
    operations = record(recorder, place, mode)
    assert sum(o.kind == disks.SYNC and o.name == "o.db-wal" for o in operations) > 20
    assert sum(o.kind == disks.SYNC and o.name == "o.db" for o in operations) > 2, "checkpoints"
    broken = {
        moment: found for moment, found in cuts(operations, place, CUTS // 2, 1, mode == "each") if found
    }
    assert not broken


def test_without_forcing_commits_the_outbox_is_older_but_whole(recorder, place):
    operations = record(recorder, place, "none")
    found = [word for _, words in cuts(operations, place, 15, 2) for word in words]
    assert not [word for word in found if "lost" not in word]


def test_these_tests_can_fail(recorder, place):
    """SQLite that syncs nothing breaks the promise, and the recorder shows it."""
    operations = record(recorder, place, "off")
    assert any(found for _, found in cuts(operations, place, 60, 3))
