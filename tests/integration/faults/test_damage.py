"""The outbox is damaged, between runs and during one: no run fails for it, and what is gone is counted."""

import shutil
from contextlib import ExitStack

import pytest

from tests.integration.broker import running_broker
from tests.integration.faults.child import Child, config, together
from tests.integration.faults.oracle import balanced, check_order, firsts, kept, repeats
from tests.integration.faults.witnesses import AT_ONCE, Hook, Subscriber
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

GARBAGE = bytes(range(256)) * 16


def overwrite(path, at, data=GARBAGE):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def header(outbox, letters):
    overwrite(outbox, 0, GARBAGE[:100])


def place_of(outbox, letters):
    """Where in the file the prediction in the middle has its outputs."""
    return outbox.read_bytes().index(letters[len(letters) // 2].fields["outputs"].tobytes())


def page(outbox, letters):
    overwrite(outbox, place_of(outbox, letters) // 4096 * 4096)


def truncated(outbox, letters):
    with outbox.open("r+b") as file:
        file.truncate(outbox.stat().st_size // 2 // 4096 * 4096)


def emptied(outbox, letters):
    outbox.write_bytes(b"")


def row(outbox, letters):
    """One bit of one prediction: SQLite does not notice."""
    at = place_of(outbox, letters)
    overwrite(outbox, at, bytes([outbox.read_bytes()[at] ^ 1]))


def books(outbox, letters):
    """Not the outbox itself, but what says after a crash how far its sinks were."""
    overwrite(outbox.with_name(outbox.name + ".books"), 4096, GARBAGE * 2)


#: How many of so many predictions may be gone then.
BETWEEN = {
    header: lambda gone, held: gone == held,
    page: lambda gone, held: 0 < gone <= held,
    truncated: lambda gone, held: 0 < gone <= held,
    emptied: lambda gone, held: gone == held,
    row: lambda gone, held: gone == 1,
    books: lambda gone, held: gone == 0,
}


def test_between_two_runs(story, tmp_path):
    """A run leaves a backlog, which six others find in six states."""
    with ExitStack() as stack:
        broker = stack.enter_context(running_broker(tmp_path, "persistence false", *AT_ONCE))
        broker.stop()

        def text(name):
            sink = {"name": "broker", "url": f"mqtt://127.0.0.1:{broker.port}/{name}", "timeout_s": 1}
            return config(story, sink, outbox={"commit_s": 0.05})

        first = tmp_path / "first"
        first.mkdir()
        with Child(first, text("first")) as child:
            child.until(lambda: len(kept(child.outbox).owed.get("broker", ())) > 100)
            before = child.stop()
        held = balanced(before)["queued"]
        letters = kept(child.outbox).owed["broker"]
        assert len(letters) == held == before["predictions"]
        broker.start()

        def damaged(damage):
            name = damage.__name__
            folder = shutil.copytree(first, tmp_path / name)
            damage(folder / child.outbox.name, letters)
            with Subscriber(broker.port, name, name) as subscriber, Child(folder, text(name)) as after:
                after.until(lambda: set(firsts(subscriber.arrivals)) - {before["run_id"]})
                report = after.stop()
                account = balanced(report)["sinks"]["broker"]
                wait_for(lambda: len(subscriber.arrivals) == account["delivered"])
            story.check(subscriber.arrivals, [before["run_id"], report["run_id"]])
            check_order(subscriber.arrivals)
            assert repeats(subscriber.arrivals, at_once=0) == 0
            came = firsts(subscriber.arrivals)
            assert came[report["run_id"]] == list(range(report["predictions"]))
            gone = held - len(came.get(before["run_id"], ()))
            assert BETWEEN[damage](gone, held), gone
            assert account["carried"] == held
            assert account["dropped"] == ({"corrupt": gone} if gone else {})
            moved = after.outbox.with_name(f"{after.outbox.name}.corrupt-1")
            assert moved.exists() == (damage in {header, page, truncated}), "a person may mend it"
            assert not moved.exists() or "mend it with: edgeml outbox repair" in after.said
            return f"{name}: {gone} of {held} gone"

        print("; ".join(together(damaged, BETWEEN)))


def deleted(outbox):
    outbox.unlink()


def replaced(outbox):
    """Somebody put an older copy in its place."""
    shutil.copyfile(outbox, outbox.with_name("older"))
    outbox.with_name("older").rename(outbox)


def log_overwritten(outbox):
    log = outbox.with_name(outbox.name + "-wal")
    overwrite(log, 4096, GARBAGE * (log.stat().st_size // 4096 - 2))


def log_cut(outbox):
    with outbox.with_name(outbox.name + "-wal").open("r+b") as file:
        file.truncate(8192)


def all_overwritten(outbox):
    overwrite(outbox, 0, GARBAGE * max(1, outbox.stat().st_size // 4096))
    log_overwritten(outbox)


def count(witness):
    return len(witness.arrivals)


def test_during_a_run(story, tmp_path):
    """A backlog lies on disk, more of it than memory holds, when the file breaks."""

    def damaged(damage):
        folder = tmp_path / damage.__name__
        folder.mkdir()
        beside = tmp_path / f"{damage.__name__} broker"
        beside.mkdir()
        with running_broker(beside, "persistence false", *AT_ONCE) as broker, Hook() as hook:
            broker.stop()
            place = f"mqtt://127.0.0.1:{broker.port}/alarms"
            text = config(
                story,
                {"name": "broker", "url": place, "timeout_s": 1},
                {"name": "hook", "url": hook.url},
                outbox={"commit_s": 0.05, "memory_rows": 32},
            )
            with Child(folder, text) as child:
                child.until(lambda: len(kept(child.outbox).owed.get("broker", ())) > 80)
                damage(child.outbox)
                before = len(hook.arrivals)
                child.until(lambda: len(hook.arrivals) > before + 60)
                broker.start()
                with Subscriber(broker.port, "alarms") as subscriber:
                    child.until(lambda: subscriber.arrivals)
                    before = len(hook.arrivals)
                    child.until(lambda: len(hook.arrivals) > before + 20)
                    report = child.stop()
                    made = balanced(report)["predictions"]
                    accounts = report["ledger"]["sinks"]
                    arrived = {"broker": subscriber, "hook": hook}
                    wait_for(lambda: all(count(arrived[n]) == accounts[n]["delivered"] for n in arrived))
        missing = {}
        for name, witness in arrived.items():
            arrivals = witness.arrivals
            story.check(arrivals, [report["run_id"]])
            check_order(arrivals)
            assert repeats(arrivals, at_once=0) == 0
            missing[name] = set(range(made)) - {arrival.sequence for arrival in arrivals}
            assert len(missing[name]) == sum(accounts[name]["dropped"].values())
            assert set(accounts[name]["dropped"]) <= {"corrupt", "overflow"}
            assert accounts[name]["queued"] == 0
            assert arrivals[-1].sequence == made - 1, "it goes on"
        assert report["ledger"]["lost"] == len(missing["broker"] | missing["hook"])
        return f"{damage.__name__}: {len(missing['broker'])} of {made} gone"

    cases = [deleted, replaced, log_overwritten, log_cut, all_overwritten]
    print("; ".join(together(damaged, cases)))
