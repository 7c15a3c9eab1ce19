"""A database server that crashes, restarts and freezes: every row is there, once."""

import signal

import pytest

from tests.integration.faults.child import Child, config
from tests.integration.faults.oracle import balanced, check_order, check_whole, repeats
from tests.integration.faults.witnesses import Lines, Rows

pytestmark = pytest.mark.integration

BATCH = 64


def test_a_server_that_crashes_restarts_and_freezes(story, tmp_path, database):
    rows = Rows(database, "trouble")
    lines = Lines(tmp_path / "all.jsonl")
    text = config(
        story,
        {"name": "rows", **rows.options, "timeout_s": 0.5},
        {"url": "jsonl:all.jsonl", "sync": "none"},
        outbox={"commit_s": 0.2},
        speed=2,
    )
    with Child(tmp_path, text) as child:
        for stop, start in (
            (lambda: database.stop(signal.SIGQUIT), database.start),  # a crash
            (lambda: database.stop(signal.SIGINT), database.start),
            (database.freeze, database.thaw),
        ):
            before = rows.count
            child.until(lambda before=before: rows.count > before)
            stop()
            try:
                before = lines.count
                child.until(lambda before=before: lines.count > before + 80)  # nothing holds the file back
            finally:
                start()
        before = rows.count
        child.until(lambda: rows.count > before)
        report = child.stop()
    ledger = balanced(report)
    arrivals = rows.arrivals
    story.check(arrivals, [report["run_id"]])
    check_order(arrivals)
    check_whole(arrivals)
    assert repeats(arrivals, BATCH) <= 3 * BATCH
    assert rows.count == lines.count == ledger["predictions"] == ledger["sinks"]["rows"]["delivered"]
    assert report["retries"] >= 3
