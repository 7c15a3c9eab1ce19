"""Web servers that fail, hang, hang up, put off and refuse: each prediction is taken once they can."""

from contextlib import ExitStack

import pytest

from tests.integration.faults.child import Child, config
from tests.integration.faults.oracle import balanced, check_order, check_whole, firsts, kept, repeats
from tests.integration.faults.witnesses import Hook, Lines
from tests.integration.http_server import (
    answer,
    cut_at_once,
    cut_in_body,
    cut_in_chunks,
    drip,
    hang,
    hang_after_head,
    hang_in_head,
    reset,
)
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

PUT_OFF_S = 1
TROUBLES = {
    "fails": [answer(500, b"no"), answer(502), answer(503), answer(500)],
    "hangs": [hang, hang_in_head, hang_after_head, drip(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n" * 99)],
    "cuts": [cut_in_body, cut_in_chunks, cut_at_once, reset, cut_in_body],
    "puts_off": [answer(429, Retry_After=str(PUT_OFF_S)), answer(503, Retry_After=str(PUT_OFF_S))],
    "refuses": [answer(422, b"not that one")],
}


def test_five_servers_in_trouble_at_once(story, tmp_path):
    """A sixth sink, a file, gets everything meanwhile."""
    with ExitStack() as stack:
        hooks = {name: stack.enter_context(Hook()) for name in TROUBLES}
        sinks = [{"name": name, "url": hook.url, "timeout_s": 0.4} for name, hook in hooks.items()]
        lines = Lines(tmp_path / "all.jsonl")
        text = config(story, *sinks, {"url": "jsonl:all.jsonl", "sync": "none"}, outbox={"commit_s": 0.1})
        child = stack.enter_context(Child(tmp_path, text))
        child.until(lambda: all(len(hook.arrivals) > 10 for hook in hooks.values()))
        for name, hook in hooks.items():
            hook.then(*TROUBLES[name])
        child.until(lambda: all(hook.met == len(TROUBLES[name]) for name, hook in hooks.items()))
        before = lines.count
        child.until(lambda: lines.count > before + 50)
        report = child.stop()
        ledger = balanced(report)
        made = ledger["predictions"]
        assert lines.count == made
        refused = hooks["refuses"].refused[0].sequence
        for name, hook in hooks.items():
            lost = int(name == "refuses")
            wait_for(lambda hook=hook, lost=lost: len(numbers(hook, report)) == made - lost)
            story.check(hook.requests, [report["run_id"]])
            check_order(hook.requests)
            check_whole(hook.arrivals, lambda n, name=name: name != "refuses" or n != refused)
            assert repeats(hook.requests, at_once=1) <= len(TROUBLES[name]), name
            assert all(len(keys) == 1 for keys in hook.keys.values()), (
                "a repeat has the key of the first time"
            )
            assert ledger["sinks"][name]["dropped"] == ({"rejected": 1} if lost else {})
        assert ledger["lost"] == 1
        assert kept(child.outbox).dead == 1
        assert patience_s(hooks["puts_off"]) >= PUT_OFF_S


def numbers(hook, report):
    return firsts(hook.arrivals).get(report["run_id"], [])


def patience_s(hook):
    """The shortest time from a refusal to the next request."""
    requests = hook.requests
    after = [requests[requests.index(refused) + 1] for refused in hook.refused]
    return min(then.at_s - refused.at_s for refused, then in zip(hook.refused, after, strict=True))
