"""Sinks that take a hundred times as long as predictions take to come hold back nobody else."""

from contextlib import ExitStack

import numpy as np
import pytest

from edge_sdk.blocks import boottime_s
from tests.integration.broker import running_broker
from tests.integration.faults.child import Child, config
from tests.integration.faults.oracle import HOP, RATE_HZ, balanced, check_order, check_whole, firsts, repeats
from tests.integration.faults.witnesses import AT_ONCE, Hook, Lines, Subscriber
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

SLOW_S = 100 * HOP / RATE_HZ
#: Of each phase.
PREDICTIONS = 120
#: Reads a line, keeps it, and says so; takes its time while there is a file of that name.
COMMAND = 'while read -r line; do [ -e slow ] && sleep 1; echo "$line" >> command.jsonl; echo ok; done'


def test_slow_sinks_beside_fast_ones(story, tmp_path):
    """The fast ones get theirs as soon as they did before; the slow ones get theirs, or it is counted."""
    with ExitStack() as stack:
        broker = stack.enter_context(running_broker(tmp_path, "persistence false", *AT_ONCE))
        subscriber = stack.enter_context(Subscriber(broker.port, "alarms"))
        slow, fast = stack.enter_context(Hook()), stack.enter_context(Hook())
        command = {
            "name": "command",
            "url": "exec:sh",
            "args": ["-c", COMMAND],
            "folder": str(tmp_path),
            "mode": "lines",
            "answers": True,
            "policy": "drop_oldest",
            "queue": 8,
        }
        text = config(
            story,
            {"name": "slow", "url": slow.url},
            command,
            {"name": "broker", "url": f"mqtt://127.0.0.1:{broker.port}/alarms"},
            {"name": "fast", "url": fast.url},
            outbox={"commit_s": 0.2},
        )
        child = stack.enter_context(Child(tmp_path, text))
        fast_ones = {"broker": subscriber, "fast": fast}
        child.until(lambda: len(fast.arrivals) > 20)  # warm
        before = latencies(child, fast_ones)
        slow.slow_s = SLOW_S
        (tmp_path / "slow").touch()
        held_back = len(slow.arrivals) + 1
        child.until(lambda: len(slow.arrivals) >= held_back)
        after = latencies(child, fast_ones)
        assert len(slow.arrivals) <= held_back + PREDICTIONS * HOP / RATE_HZ / SLOW_S + 5, "it was not slow"
        slow.slow_s = 0.0
        (tmp_path / "slow").unlink()
        report = child.stop()
        made = balanced(report)["predictions"]
        wait_for(lambda: all(complete(each, report) == made for each in (*fast_ones.values(), slow)))
        for arrivals in (subscriber.arrivals, fast.arrivals, slow.arrivals):
            story.check(arrivals, [report["run_id"]])
            check_whole(arrivals)
            assert repeats(arrivals, at_once=0) == 0
        commanded = Lines(tmp_path / "command.jsonl").arrivals
        story.check(commanded, [report["run_id"]])
        check_order(commanded)
        account = report["ledger"]["sinks"]["command"]
        assert account["dropped"]["overflow"] > PREDICTIONS / 2
        assert len(commanded) == account["delivered"] == made - account["dropped"]["overflow"]
        for name in fast_ones:
            said = f"{name}: {before[name] * 1e3:.1f} ms before, {after[name] * 1e3:.1f} ms beside slow ones"
            print(said)
            assert after[name] < before[name] + SLOW_S / 4, said


def complete(witness, report):
    return len(firsts(witness.arrivals).get(report["run_id"], ()))


def latencies(child, witnesses):
    """From the last sample of a window to its prediction's arrival, of nine in ten, from now on, s."""
    begun_s = boottime_s()
    found = {}
    for name, witness in witnesses.items():

        def fresh(witness=witness):
            return [each for each in witness.arrivals if each.fields["time_s"] > begun_s]

        child.until(lambda fresh=fresh: len(fresh()) >= PREDICTIONS)
        taken = [each.at_s - each.fields["time_s"] - 1 / RATE_HZ for each in fresh()]
        assert min(taken) > -0.001
        found[name] = float(np.quantile(taken, 0.9))
    return found
