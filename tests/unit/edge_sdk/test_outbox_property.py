"""An outbox against a model of a few lists: order, at least once, nothing invented, books that balance."""

import os
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge_sdk.outbox import Outbox, OutboxSettings
from edge_sdk.prediction import Prediction

NAMES = ("mqtt", "http")
#: In memory where there is such a folder: what a disk does is tested elsewhere.
FAST = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def prediction(sequence):
    return Prediction("walk", 0.5, None, np.array([sequence], np.float32), "d", "run", sequence)


class AnOutbox(RuleBasedStateMachine):
    """Puts, sinks, crashes and restarts in any order; the disk works and is large."""

    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="outbox", dir=FAST))
        self.folder = self.root / "0"
        self.folder.mkdir()
        self.outbox = None
        self.sequence = 0
        self.lost = 0
        self.put_here = set()
        self.owed = {name: [] for name in NAMES}  # sequences, oldest first
        self.taken = {name: [] for name in NAMES}  # letters
        self.committed = set()

    @initialize(
        durability=st.sampled_from(["none", "batch", "each"]),
        spill=st.booleans(),
        memory_rows=st.sampled_from([4, 12, 1000]),
    )
    def start(self, durability, spill, memory_rows):
        self.options = {"durability": durability, "spill": spill, "memory_rows": memory_rows}
        self.open()

    def open(self):
        choice = OutboxSettings(self.folder / "o.db", commit_s=3600.0, commit_rows=1_000_000, **self.options)
        self.lost = 0
        self.outbox = Outbox(choice, NAMES, self.note_lost)
        self.lanes = dict(zip(NAMES, self.outbox.lanes, strict=True))
        self.put_here = set()
        self.taken = {name: [] for name in NAMES}

    def note_lost(self, count):
        self.lost += count

    @rule(wanted=st.sampled_from([NAMES, NAMES[:1], NAMES[1:]]), count=st.integers(1, 12))
    def put(self, wanted, count):
        for _ in range(count):
            letter = self.outbox.put(prediction(self.sequence), 1.0, [self.lanes[name] for name in wanted])
            assert letter.current
            for name in wanted:
                self.owed[name].append(self.sequence)
            self.put_here.add(self.sequence)
            self.sequence += 1

    @rule(name=st.sampled_from(NAMES), limit=st.integers(1, 9))
    def take(self, name, limit):
        held = len(self.taken[name])
        letters = self.lanes[name].take(limit, timeout_s=0.0)
        expected = self.owed[name][held : held + limit]
        got = [letter.prediction.sequence for letter in letters]
        assert got == expected[: len(got)], "order, and nothing invented"
        assert bool(got) == bool(expected)
        assert all(letter.prediction.outputs == [letter.prediction.sequence] for letter in letters)
        assert all(letter.current == (letter.prediction.sequence in self.put_here) for letter in letters)
        self.taken[name] += letters

    @precondition(lambda self: any(self.taken.values()))
    @rule(name=st.sampled_from(NAMES), count=st.integers(1, 9))
    def acknowledge(self, name, count):
        letters, self.taken[name] = self.taken[name][:count], self.taken[name][count:]
        self.lanes[name].acknowledge(letters)
        del self.owed[name][: len(letters)]

    @precondition(lambda self: any(self.taken.values()))
    @rule(name=st.sampled_from(NAMES))
    def reject(self, name):
        if self.taken[name]:
            self.lanes[name].reject(self.taken[name].pop(0), "rejected", "no such device")
            del self.owed[name][0]

    @rule(name=st.sampled_from(NAMES))
    def rewind(self, name):
        self.lanes[name].rewind()
        self.taken[name] = []

    @rule()
    def sync(self):
        self.outbox.sync()
        self.committed = {sequence for owed in self.owed.values() for sequence in owed}

    @rule()
    def reopen(self):
        self.outbox.close()
        self.open()
        self.committed = {sequence for owed in self.owed.values() for sequence in owed}
        assert self.outbox.recovered.carried == {name: len(owed) for name, owed in self.owed.items()}
        assert not self.outbox.recovered.lost_in_crash

    @rule()
    def kill(self):
        """What is on the disk and in the page cache when nothing is running any more."""
        memory, folder = self.outbox._memory, self.root / f"{self.folder.name}1"
        while True:
            with memory.lock:
                if memory.bell._asleep:  # the writer is between transactions
                    shutil.copytree(self.folder, folder)
                    break
            time.sleep(0.001)
        held = {name: len(letters) for name, letters in self.taken.items()}
        self.outbox.close()
        self.folder = folder
        before = {name: list(owed) for name, owed in self.owed.items()}
        self.open()
        recovered = self.outbox.recovered
        for name, lane in self.lanes.items():
            waiting = self.everything(lane)
            assert waiting == sorted(set(waiting)), "order, once"
            assert set(waiting) <= set(before[name]), "nothing invented, nothing acknowledged comes again"
            assert set(before[name]) & self.committed <= set(waiting), "what was committed is there"
            if self.options["durability"] == "each":
                assert waiting == before[name]
            assert recovered.carried[name] == len(waiting)
            assert recovered.lost_in_crash.get(name, 0) == len(before[name]) - len(waiting)
            assert recovered.redelivering.get(name, 0) == min(held[name], len(waiting))
            self.owed[name] = waiting

    def everything(self, lane):
        found = []
        while letters := lane.take(64, timeout_s=0.0):
            found += [letter.prediction.sequence for letter in letters]
        lane.rewind()
        return found

    @invariant()
    def adds_up(self):
        if self.outbox is None:
            return
        owed = set()
        for name, lane in self.lanes.items():
            assert lane.account.balanced
            assert lane.account.queued == len(lane) == len(self.owed[name])
            owed |= set(self.owed[name])
        rejected = sum((lane.account.dropped for lane in self.lanes.values()), Counter())
        assert set(rejected) <= {"rejected"}
        memory = self.outbox._memory
        assert self.lost == self.outbox.lost() <= rejected.total()
        assert self.outbox.owed() == len(owed & self.put_here) - len(memory._lost_ids)
        assert len(memory.fresh) + len(memory.kept) <= self.options["memory_rows"] + 1
        assert self.outbox.state().problem is None

    def teardown(self):
        if self.outbox is not None:
            for name, lane in self.lanes.items():
                lane.rewind()
                assert self.everything(lane) == self.owed[name]
                letters = lane.take(10_000, timeout_s=0.0)
                while letters:
                    lane.acknowledge(letters)
                    letters = lane.take(10_000, timeout_s=0.0)
                assert not len(lane)
            self.outbox.sync()
            assert not self.outbox.state().rows
            self.outbox.close()
        shutil.rmtree(self.root)


AnOutbox.TestCase.settings = settings(
    max_examples=30, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestOutbox = AnOutbox.TestCase
