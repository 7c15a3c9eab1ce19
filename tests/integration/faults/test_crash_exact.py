"""SIGKILL while nothing moves: what is lost is known to the last prediction, and the next run says so."""

import pytest

from tests.integration.broker import running_broker
from tests.integration.faults.child import Child, config, together
from tests.integration.faults.oracle import balanced, check_whole, firsts, kept, repeats
from tests.integration.faults.witnesses import AT_ONCE, Hook, Lines, Subscriber
from tests.integration.http_server import hang
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

MADE = 25


#: How each outbox commits, and how much it has committed of what was made.
OUTBOXES = {
    "batch": ({"durability": "batch", "commit_s": 3600, "commit_rows": 10}, 20),
    "none": ({"durability": "none", "commit_s": 3600, "commit_rows": 10}, 20),
    "each": ({"durability": "each"}, MADE),
    "spill": ({"spill": True, "commit_s": 3600}, 0),
}


def test_what_a_crash_loses_is_counted(story, tmp_path):
    together(lambda name: crash(story, tmp_path / name, *OUTBOXES[name]), OUTBOXES)


def crash(story, folder, outbox, committed):
    """One destination is away, one has a prediction and does not answer, one has everything."""
    folder.mkdir()
    lines = Lines(folder / "all.jsonl")
    with running_broker(folder, "persistence false", *AT_ONCE) as broker, Hook() as mute, Hook() as works:
        broker.stop()
        mute.usual = hang
        place = f"mqtt://127.0.0.1:{broker.port}/alarms"
        sinks = (
            {"name": "away", "url": place, "timeout_s": 1},
            {"name": "mute", "url": mute.url, "timeout_s": 60},
            {"name": "works", "url": works.url},
            {"url": "jsonl:all.jsonl"},
        )
        text = config(story, *sinks, outbox=outbox, fed=True)
        with Child(folder, text) as child:
            for first in range(0, MADE, 5):  # one group is committed after the other
                child.feed(story.lines(first, 5))
                child.until(lambda first=first: lines.count == first + 5)
            child.until(lambda: child.account("works", "delivered") == MADE)
            child.until(lambda: mute.met == 1)
            child.until(lambda: len(kept(child.outbox).owed.get("away", ())) == committed)
            child.kill()
        held = kept(child.outbox)
        assert [arrival.sequence for arrival in held.owed["mute"]] == list(range(committed))
        broker.start()
        mute.usual = None
        with Subscriber(broker.port, "alarms") as subscriber, Child(folder, text) as child:
            child.feed(story.lines(0, 1))
            child.until(lambda: len(subscriber.arrivals) == committed + 1)
            report = child.stop()
        wait_for(lambda: len(mute.arrivals) == committed + 1)
        ledger = balanced(report)
        lost = MADE - committed
        assert ledger["lost_in_crash"] == ({"away": lost, "mute": lost} if lost else {})
        assert [ledger["sinks"][name]["carried"] for name in ("away", "mute", "works")] == [
            committed,
            committed,
            0,
        ]
        for arrivals in (subscriber.arrivals, mute.arrivals, works.arrivals):
            story.check(arrivals)
            check_whole(arrivals)
            assert repeats(arrivals, at_once=0) == 0
        (before,) = {arrival.run_id for arrival in works.arrivals} - {report["run_id"]}
        assert len(firsts(works.arrivals)[before]) == MADE
        assert len(firsts(mute.requests).get(before, ())) == max(committed, 1)
