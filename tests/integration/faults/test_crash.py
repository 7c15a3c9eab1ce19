"""SIGKILL at any moment: what was committed arrives, in order, nothing invented; what is lost is known."""

import json
import os
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from edge_sdk.blocks import boottime_s
from tests.integration.broker import running_broker
from tests.integration.faults.child import Child, config
from tests.integration.faults.oracle import RATE_HZ, balanced, check_order, check_whole, firsts, kept, repeats
from tests.integration.faults.witnesses import AT_ONCE, Hook, Lines, Port, Rows, Subscriber
from tests.integration.http_server import answer
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

ROUNDS = int(os.environ.get("EDGEML_KILL_ROUNDS", "6"))
SEED = int(os.environ.get("EDGEML_KILL_SEED", random.randrange(1 << 32)))
SPEED = 2.0
#: Predictions that a sink writes at once, and may have to write again.
BATCH = {"mqtt": 64, "rows": 64, "hook": 1, "alarms": 1}
OUTBOXES = (
    {"durability": "each"},
    {"durability": "batch", "commit_s": 0.05},
    {"durability": "batch", "commit_s": 1.0, "commit_rows": 16},
    {"durability": "none", "commit_s": 0.3},
    {"durability": "batch", "commit_s": 0.2, "spill": True},
    {"durability": "batch", "commit_s": 0.1, "memory_rows": 16},
)
#: Predictions that no run makes before it is looked at.
MOST = 5000


class Line:
    """Runs of one pipeline, killed one after the other, with its destinations and its outbox."""

    def __init__(self, story, database, folder, name, stack):
        self.story, self.folder = story, folder
        folder.mkdir()
        self.random = random.Random(f"{SEED} {name}")
        self.broker = stack.enter_context(running_broker(folder, "persistence false", *AT_ONCE))
        self.hook, self.alarm = stack.enter_context(Hook()), stack.enter_context(Hook())
        subscriber = stack.enter_context(Subscriber(self.broker.port, "alarms/#"))
        self.port = Port(folder / "tty")
        stack.callback(self.port.close)
        rows = Rows(database, f"line_{name}")
        self.witnesses = {"mqtt": subscriber, "rows": rows, "hook": self.hook, "alarms": self.alarm}
        self.lines = Lines(folder / "all.jsonl")
        place = f"mqtt://127.0.0.1:{self.broker.port}/alarms/all"
        self.sinks = (
            {"name": "mqtt", "url": place, "timeout_s": 1},
            {"name": "rows", **rows.options},
            {"name": "hook", "url": self.hook.url},
            {"name": "alarms", "url": self.alarm.url, "when": "label == 'x'"},
            {"name": "tty", "url": f"serial:{folder}/tty", "safe_line": "STOP"},
            {"url": "jsonl:all.jsonl", "sync": "none"},
        )
        #: Of each run that was killed: what its outbox held, and the bounds of what it made.
        self.killed = {}
        #: By the run before, what a run says was lost when that one was killed.
        self.lost = {}
        self.runs, self.breaks = [], 0

    def wanted(self, name):
        return (lambda number: self.story.label(number) == "x") if name == "alarms" else (lambda _: True)

    def start(self):
        text = config(self.story, *self.sinks, outbox=self.random.choice(OUTBOXES), speed=SPEED)
        return Child(self.folder, text)

    def first(self, child):
        """Wait for the first prediction of a run; returns its id."""
        child.until(self.new_runs)
        (run_id,) = self.new_runs()
        self.runs.append(run_id)
        return run_id

    def new_runs(self):
        """Runs whose first prediction is in the file."""
        return {arrival.run_id for arrival in self.lines.arrivals[-MOST:]} - set(self.runs)

    def hurt(self):
        """Some destinations are away; returns how to have them back."""
        back = []
        if self.random.random() < 0.4:
            self.broker.freeze()
            back.append(self.broker.thaw)
        if self.random.random() < 0.4:
            self.hook.usual = answer(503)
            back.append(lambda: setattr(self.hook, "usual", None))
        return back

    def kill_one(self):
        """One run, killed while it starts or at any moment after that."""
        before = self.runs[-1] if self.runs else None
        back = self.hurt() if self.random.random() < 0.5 else []
        self.breaks += 1 + len(back)
        child = self.start()
        with child:
            if self.random.random() < 0.2:
                pause(self.random.uniform(0.3, 1.2))
                child.kill()
                self.lost[before] = None  # it may have said so, to nobody
                self.note_unseen(child)
            else:
                run_id = self.first(child)
                self.lost[before] = {
                    labels["sink"]: int(count)
                    for labels, count in child.metric("edgeml_crash_lost_predictions")
                }
                pause(self.random.uniform(0, 0.7))
                if back and self.random.random() < 0.3:
                    self.heal(back)
                pause(self.random.uniform(0, 0.7))
                dead_s = child.kill()
                self.note_killed(run_id, child, dead_s)
        self.heal(back)

    def heal(self, back):
        while back:
            back.pop()()

    def note_unseen(self, child):
        """It may have made a few and told nobody, or only some."""
        for run_id in self.new_runs():
            self.runs.append(run_id)
            self.note_killed(run_id, child, boottime_s())
            return
        self.runs.append(f"unseen {len(self.runs)}")

    def note_killed(self, run_id, child, dead_s):
        mine = [arrival for arrival in self.lines.arrivals if arrival.run_id == run_id]
        begun_s = mine[0].fields["time_s"] - (self.story.ends_at(0) - 1) / RATE_HZ
        most = self.story.made_by((dead_s - begun_s + 0.001) * SPEED * RATE_HZ)
        held = kept(child.outbox)
        assert "tty" not in held.owed, "an actuator's predictions wait for nobody"
        self.killed[run_id] = (
            {
                name: [arrival for arrival in held.owed.get(name, ()) if arrival.run_id == run_id]
                for name in self.witnesses
            },
            (len(mine), most),
        )
        self.story.check(arrival for owed in held.owed.values() for arrival in owed)

    def finish(self):
        """Runs that end well deliver all there is; one is enough where the machine has time."""
        for _ in range(5):
            with self.start() as child:
                before = self.runs[-1]
                self.first(child)
                child.until(lambda child=child: all(child.account(name, "queued") < 64 for name in BATCH))
                report = child.stop()
            ledger = balanced(report)
            self.lost[before] = ledger["lost_in_crash"]
            accounts = [ledger["sinks"][name] for name in self.witnesses]
            assert not any(account["dropped"] for account in accounts), ledger
            if not any(account["queued"] for account in accounts):
                break
        assert ledger["queued"] == 0, ledger
        wait_for(lambda: self.complete(report))

    def complete(self, report):
        for name, witness in self.witnesses.items():
            numbers = firsts(witness.arrivals).get(report["run_id"], ())
            if len(numbers) < report["ledger"]["sinks"][name]["offered"]:
                return False
        return True

    def check(self):
        """The oracle's word about all runs of this line."""
        self.story.check(self.lines.arrivals, self.runs)
        check_order(self.lines.arrivals)
        exact, again = 0, 0
        for name, witness in self.witnesses.items():
            arrivals = witness.arrivals
            self.story.check(arrivals)
            check_whole(arrivals, self.wanted(name))
            twice = repeats(arrivals, BATCH[name])
            assert twice <= BATCH[name] * self.breaks
            again += twice
            there = {arrival.name for arrival in arrivals}
            for owed, _ in self.killed.values():
                missing = {arrival.name for arrival in owed[name]} - there
                assert not missing, f"{name}: committed and never arrived: {sorted(missing)[:5]}"
        for run_id in self.killed:
            if self.lost.get(run_id) is not None:
                exact += self.check_made(run_id)
        self.check_port()
        arrived = sum(len(numbers) for numbers in firsts(self.witnesses["mqtt"].arrivals).values())
        lost = sum(lost["mqtt"] for lost in self.lost.values() if lost and "mqtt" in lost)
        return Counter(kills=share(), exact=exact, arrived=arrived, again=again, lost=lost)

    def check_made(self, run_id):
        """How many it made: each sink's figures, the file and the clock must agree on one number.

        What arrived without having been acknowledged or committed counts as lost, so a sink leaves as many
        numbers open as it writes at once; the one that writes one at a time leaves two.
        """
        owed, (least, most) = self.killed[run_id]
        numbers = range(least, most + 1)
        for name, witness in self.witnesses.items():
            came = firsts(witness.arrivals).get(run_id, [])
            lost = self.lost[run_id].get(name, 0)
            slack = 0 if owed[name] and owed[name][-1].sequence == max(came) else BATCH[name]
            wanted = self.wanted(name)
            numbers = [
                number
                for number in numbers
                if len(came) + lost - slack <= sum(map(wanted, range(number))) <= len(came) + lost
            ]
        assert numbers, (run_id, least, most, self.lost[run_id])
        return len(numbers) == 1

    def check_port(self):
        """An actuator hears of each prediction once, of this run only, and first that nothing may happen."""
        runs, last = [], -1
        for _, line in self.port.lines:
            if not line.startswith("{"):
                continue
            fields = json.loads(line) if line.endswith("}") else None
            if fields is None:
                continue  # torn by the kill
            if fields["run_id"] not in runs:
                runs.append(fields["run_id"])
                last = -1
            assert fields["run_id"] == runs[-1], "a prediction of an earlier run"
            assert fields["sequence"] > last, "twice, or backwards"
            last = fields["sequence"]
        starts = [line for _, line in self.port.lines if line == "STOP"]
        assert len(starts) >= len(runs)
        assert self.port.lines[0][1] == "STOP"


def share():
    """Kills of each of two pipelines."""
    return -(-ROUNDS // 2)


def pause(seconds):
    """The moment of a kill is the one thing here that is not waited for."""
    time.sleep(seconds)


def test_a_kill_at_any_moment(story, database, tmp_path):
    """Several destinations at once, some of them away; two pipelines beside each other."""
    print(f"EDGEML_KILL_SEED={SEED}")
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        lines = [Line(story, database, tmp_path / name, name, stack) for name in ("a", "b")]

        def live(line):
            for _ in range(share()):
                line.kill_one()
            line.finish()
            return line.check()

        print(dict(sum(pool.map(live, lines), Counter())))
