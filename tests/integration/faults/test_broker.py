"""Brokers that freeze, restart, or come back and remember nothing: all of it arrives, in order."""

from contextlib import ExitStack

import pytest

from tests.integration.broker import running_broker
from tests.integration.faults.child import Child, config
from tests.integration.faults.oracle import balanced, check_order, check_whole, firsts, repeats
from tests.integration.faults.witnesses import AT_ONCE, Lines, Subscriber
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

BATCH = 64
OUTAGES = 2


def test_three_brokers_in_trouble_at_once(story, tmp_path):
    """One freezes, one restarts, one is killed and remembers nothing; a fourth sink is a file."""
    with ExitStack() as stack:
        brokers, subscribers = {}, {}
        for name in ("freezes", "restarts", "forgets"):
            folder = tmp_path / name
            folder.mkdir()
            kept = "persistence true" if name == "restarts" else "persistence false"
            brokers[name] = stack.enter_context(
                running_broker(folder, kept, f"persistence_location {folder}/", *AT_ONCE)
            )
            subscribers[name] = stack.enter_context(Subscriber(brokers[name].port, "plant/#"))
        sinks = [
            {"name": name, "url": f"mqtt://127.0.0.1:{broker.port}/plant/{{device}}", "timeout_s": 0.5}
            for name, broker in brokers.items()
        ]
        lines = Lines(tmp_path / "all.jsonl")
        text = config(
            story, *sinks, {"url": "jsonl:all.jsonl", "sync": "none"}, outbox={"commit_s": 0.2}, speed=3
        )
        child = stack.enter_context(Child(tmp_path, text))
        for _ in range(OUTAGES):
            before = lines.count
            child.until(lambda: all(grows(child, subscriber) for subscriber in subscribers.values()))
            brokers["freezes"].freeze()
            brokers["restarts"].stop(gently=True)
            brokers["forgets"].stop()
            child.until(lambda before=before: lines.count > before + 120)  # nothing holds the file back
            brokers["freezes"].thaw()
            brokers["restarts"].start()
            come_back(child, brokers["forgets"], subscribers["forgets"])
        report = child.stop()
        ledger = balanced(report)
        made = ledger["predictions"]
        assert lines.count == made
        for name, subscriber in subscribers.items():
            wait_for(lambda subscriber=subscriber: len(numbers(subscriber, report)) == made)
            arrivals = subscriber.arrivals
            story.check(arrivals, [report["run_id"]])
            check_order(arrivals)
            check_whole(arrivals)
            assert repeats(arrivals, BATCH) <= BATCH * OUTAGES, name
            assert ledger["sinks"][name]["delivered"] == made
        assert report["retries"] >= 3 * OUTAGES


def numbers(subscriber, report):
    return firsts(subscriber.arrivals).get(report["run_id"], [])


def grows(child, subscriber):
    before = len(subscriber.arrivals)
    child.until(lambda: len(subscriber.arrivals) > before)
    return True


def come_back(child, broker, subscriber):
    """A broker without its sessions has nobody to keep messages for until somebody subscribes again."""
    child.freeze()
    broker.start()
    assert subscriber.subscribed.wait(10)
    child.thaw()
