"""Signals in the middle of an outage: what waits stays, and a new configuration takes it over."""

import signal
from contextlib import contextmanager

import pytest

from tests.integration.broker import running_broker
from tests.integration.faults.child import Child, config, together
from tests.integration.faults.oracle import balanced, check_order, check_whole, firsts, kept, repeats
from tests.integration.faults.witnesses import AT_ONCE, Hook, Lines, Subscriber
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

BACKLOG = 50


def owed(child):
    return kept(child.outbox).owed.get("broker", [])


def test_a_run_that_is_ended_or_reloaded_in_an_outage(story, tmp_path):
    together(lambda scenario: scenario(story, tmp_path / scenario.__name__), [ended, reloaded, not_reloaded])


def ended(story, folder):
    """SIGTERM: exit 0 at once, everything kept; the next run delivers it."""
    with outage(folder) as (broker, sinks):
        text = config(
            story,
            *sinks,
            {"url": "jsonl:all.jsonl", "sync": "none"},
            outbox={"commit_s": 60, "commit_rows": 1000},
        )
        with Child(folder, text) as child:
            lines = Lines(folder / "all.jsonl")
            child.until(lambda: lines.count > BACKLOG)
            report = child.stop(seconds=15)
        ledger = balanced(report)
        made = ledger["predictions"]
        assert lines.count == made == ledger["queued"] == ledger["sinks"]["broker"]["queued"]
        assert [arrival.sequence for arrival in owed(child)] == list(range(made))
        story.check(owed(child), [report["run_id"]])
        broker.start()
        with Subscriber(broker.port, "alarms") as subscriber, Child(folder, text) as child:
            child.until(lambda: len(subscriber.arrivals) > made)
            after = child.stop()
            wait_for(lambda: len(subscriber.arrivals) == made + after["predictions"])
        ledger = balanced(after)
        assert (ledger["sinks"]["broker"]["carried"], ledger["lost_in_crash"]) == (made, {})
        story.check(subscriber.arrivals, [report["run_id"], after["run_id"]])
        check_whole(subscriber.arrivals)
        assert repeats(subscriber.arrivals, at_once=0) == 0
        assert subscriber.arrivals[made - 1].run_id == report["run_id"], "the older ones first"


def reloaded(story, folder):
    """SIGHUP with a configuration that is good: a further sink, and nothing lost on the way."""
    with outage(folder) as (broker, sinks), Hook() as hook:
        with Child(folder, config(story, *sinks)) as child:
            child.until(lambda: len(owed(child)) > BACKLOG)
            more = config(story, *sinks, {"name": "hook", "url": hook.url})
            (folder / "edgeml.toml").write_text(more)
            child.signal(signal.SIGHUP)
            child.until(lambda: len(hook.arrivals) > 20)
            before = len(owed(child))
            assert before > BACKLOG
            broker.start()
            with Subscriber(broker.port, "alarms") as subscriber:
                child.until(lambda: len(firsts(subscriber.arrivals)) == 2)
                report = child.stop()
                account = balanced(report)["sinks"]["broker"]
                total = account["carried"] + report["predictions"]
                wait_for(lambda: len(subscriber.arrivals) == total == account["delivered"])
        assert "the configuration was read again" in child.said
        story.check(subscriber.arrivals)
        check_whole(subscriber.arrivals)
        check_order(hook.arrivals)
        assert repeats(subscriber.arrivals, at_once=0) == 0
        old, new = firsts(subscriber.arrivals)
        assert new == report["run_id"]
        assert f"run {old} made {account['carried']} predictions" in child.said
        assert firsts(hook.arrivals) == {new: list(range(report["predictions"]))}


def not_reloaded(story, folder):
    """SIGHUP with one that is not: the run goes on as it was."""
    with outage(folder) as (broker, sinks):
        good = config(story, *sinks)
        with Child(folder, good) as child:
            child.until(lambda: len(owed(child)) > BACKLOG)
            for bad in (
                "no toml at all",
                good.replace("mqtt:", "mqqt:"),
                good.replace("[outbox]", "[outbux]"),
            ):
                said = len(child.said)
                (folder / "edgeml.toml").write_text(bad)
                child.signal(signal.SIGHUP)
                child.until(lambda said=said: "the old configuration runs on" in child.said[said:])
            broker.start()
            with Subscriber(broker.port, "alarms") as subscriber:
                before = len(owed(child))
                child.until(lambda: len(subscriber.arrivals) > before)
                report = child.stop()
                wait_for(lambda: len(subscriber.arrivals) == report["predictions"])
        balanced(report)
        story.check(subscriber.arrivals, [report["run_id"]])
        check_whole(subscriber.arrivals)
        assert "did you mean" in child.said


@contextmanager
def outage(folder):
    """A broker that is down, and the sink that leads to it.

    It knows the subscriber already, and keeps for it what comes before that one is back.
    """
    folder.mkdir()
    beside = folder.with_name(f"{folder.name} broker")
    beside.mkdir()
    kept = ("persistence true", f"persistence_location {beside}/")
    with running_broker(beside, *kept, *AT_ONCE) as broker:
        with Subscriber(broker.port, "alarms"):
            pass
        broker.stop(gently=True)
        place = f"mqtt://127.0.0.1:{broker.port}/alarms"
        yield broker, [{"name": "broker", "url": place, "timeout_s": 1}]
