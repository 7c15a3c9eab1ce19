"""SIGKILL at any moment, and an oracle outside the process. ``EDGEML_KILLS=N`` for more of them."""

import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

from edge_sdk.outbox import Outbox, OutboxSettings
from tests.powercut.writing import NAMES

pytestmark = pytest.mark.integration

KILLS = int(os.environ.get("EDGEML_KILLS", "3"))


class Oracle:
    """What the process said before it was killed."""

    def __init__(self, folder):
        self.file = folder / "oracle"
        self.heard = 0
        self.putting, self.put = set(), set()
        self.synced = -1
        self.dropped = set()
        self.got, self.acked, self.lost = defaultdict(list), defaultdict(set), defaultdict(int)

    def size(self):
        return self.file.stat().st_size if self.file.exists() else 0

    def listen(self):
        text = self.file.read_text()
        for line in text[self.heard :].splitlines():
            word, *more = line.split()
            if word == "got":
                self.got[more[0]].append(int(more[1]))
            elif word == "dropped":
                self.dropped.add(tuple(more))
            elif word == "acked":
                self.acked[more[0]].update(map(int, more[1:]))
            elif word == "lost":
                self.lost[more[0]] += int(more[1])
            elif word == "synced":
                self.synced = int(more[0])
            else:
                getattr(self, word).add(int(more[0]))
        self.heard = len(text)


def kill_after_a_while(folder, oracle, seed, durability, chance):
    """Run it and kill it; returns what it had committed of its own."""
    first = max(oracle.putting, default=-1) + 1
    command = [sys.executable, "-m", "tests.powercut.killed", folder, str(seed), str(first), durability]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    try:
        enough, deadline = oracle.size() + chance.randrange(500, 8000), time.monotonic() + 30
        while oracle.size() < enough:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.001)
    finally:
        process.kill()
        process.wait()
    oracle.listen()
    return {i for i in oracle.put if first <= i <= oracle.synced}


@pytest.mark.parametrize("durability", ["batch", "each"])
def test_kills_lose_nothing_that_was_committed_and_invent_nothing(tmp_path, durability):
    oracle, chance, synced = Oracle(tmp_path), random.Random(KILLS), set()
    for seed in range(KILLS):
        synced |= kill_after_a_while(tmp_path, oracle, seed, durability, chance)
    with Outbox(OutboxSettings(tmp_path / "o.db"), NAMES) as outbox:
        for lane in outbox.lanes:
            oracle.lost[lane.name] += outbox.recovered.lost_in_crash.get(lane.name, 0)
            while letters := lane.take(64, timeout_s=1.0 if len(lane) else 0.0):
                oracle.got[lane.name] += [letter.prediction.sequence for letter in letters]
                oracle.acked[lane.name].update(oracle.got[lane.name][-len(letters) :])
                lane.acknowledge(letters)
            assert lane.account.balanced
            assert not lane.account.dropped
    assert not oracle.dropped
    for name in NAMES:
        delivered = set(oracle.got[name])
        assert delivered <= oracle.putting, "nothing invented"
        firsts = list(dict.fromkeys(oracle.got[name]))
        assert firsts == sorted(firsts), "in order"
        assert synced <= delivered, "what was committed came"
        missing = oracle.put - delivered
        assert not (missing and durability == "each")
        # Exact: what came and was not acknowledged counts as lost, and so may what was being put just then.
        unacknowledged = oracle.put - oracle.acked[name]
        assert len(missing) <= oracle.lost[name] <= len(unacknowledged) + KILLS
