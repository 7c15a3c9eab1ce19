"""An outbox with no room: a full disk, a quota, and predictions that grew too old."""

import contextlib
import random
import resource
import threading
import time

import pytest

from edge_sdk.errors import Retry
from tests.integration.outboxes import NAMES, everything, filled, opened, prediction
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


@contextlib.contextmanager
def full_disk(bytes_left):
    """As if no file could become larger."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def test_a_full_disk_is_waited_for_in_memory_and_said(tmp_path):
    outbox = opened(tmp_path, memory_rows=100)
    with full_disk(40_000):
        for sequence in range(60):
            outbox.put(prediction(sequence, 400), 0.0, outbox.lanes)
        wait_for(lambda: outbox.state().problem is not None)
        with pytest.raises(Retry, match="cannot be written"):
            outbox.sync()
        assert everything(outbox.lanes[0]) == list(range(60)), "delivery goes on from memory"
        for sequence in range(60, 200):
            outbox.put(prediction(sequence, 400), 0.0, outbox.lanes)
        assert outbox.lanes[1].account.dropped["overflow"] > 0
        assert outbox.lost() == outbox.lanes[1].account.dropped["overflow"]
    wait_for(lambda: outbox.state().problem is None, 30)
    rest = everything(outbox.lanes[1])
    assert rest == list(range(200))[-len(rest) :]
    assert all(lane.account.balanced for lane in outbox.lanes)
    outbox.close()
    with opened(tmp_path) as again:
        assert set(again.recovered.carried) == set(NAMES)


def test_a_full_disk_under_a_backlog_and_a_sink_that_hangs_gives_up_each_once(tmp_path):
    """Rows on the disk, then letters that a sink works on, then those that memory has no room for."""
    filled(tmp_path, 100)
    outbox = opened(tmp_path, memory_rows=10)
    mqtt, http = outbox.lanes
    with full_disk(1):
        everything(http)
        for sequence in range(100, 110):
            outbox.put(prediction(sequence), 0.0, outbox.lanes)
        hung = http.take(1)
        assert [letter.prediction.sequence for letter in hung] == [100]
        for sequence in range(110, 150):
            outbox.put(prediction(sequence), 0.0, outbox.lanes)
        for lane in outbox.lanes:
            assert lane.account.dropped == {"overflow": 40}
            assert lane.account.balanced
        assert (outbox.lost(), outbox.owed()) == (40, 10)
    assert everything(mqtt) == [*range(101), *range(141, 150)]
    http.acknowledge(hung)
    assert everything(http) == list(range(141, 150))
    assert (len(mqtt), len(http), outbox.lost(), outbox.owed()) == (0, 0, 40, 0)
    outbox.sync()
    assert outbox.state().rows == 0
    outbox.close()


def test_what_cannot_be_saved_at_the_end_is_lost_in_the_books(tmp_path):
    lost = []
    outbox = opened(tmp_path, on_lost=lost.append, commit_s=60)
    with full_disk(1):
        for sequence in range(10):
            outbox.put(prediction(sequence), 0.0, outbox.lanes)
        outbox.close()
    for lane in outbox.lanes:
        assert lane.account.dropped == {"failed": 10}
        assert lane.account.balanced
    assert (sum(lost), outbox.owed()) == (10, 0)


def test_the_byte_quota_drops_what_waited_longest(tmp_path):
    lost = []
    outbox = opened(tmp_path, on_lost=lost.append, max_bytes=200_000, memory_rows=100)
    for sequence in range(3000):
        outbox.put(prediction(sequence), 0.0, outbox.lanes)
    outbox.sync()
    assert outbox.state().bytes <= 200_000
    found = everything(outbox.lanes[0])
    assert found == list(range(3000))[-len(found) :]
    account = outbox.lanes[0].account
    assert account.dropped == {"quota": 3000 - len(found)}
    assert account.balanced
    assert sum(lost) == outbox.lost() == 3000 - len(found)
    assert (tmp_path / "o.db").stat().st_size < 400_000
    outbox.close()


def test_a_full_outbox_refuses_or_waits_as_it_was_told(tmp_path):
    newest, block = tmp_path / "newest", tmp_path / "block"
    newest.mkdir()
    block.mkdir()
    lost = []
    outbox = opened(newest, ["mqtt"], lost.append, max_bytes=100_000, when_full="drop_newest", memory_rows=50)
    letters = [outbox.put(prediction(sequence), 0.0, outbox.lanes) for sequence in range(1500)]
    kept = [i for i, letter in enumerate(letters) if letter]
    assert 0 < len(kept) < 1500
    assert everything(outbox.lanes[0]) == kept
    assert outbox.lanes[0].account.dropped == {"quota": 1500 - len(kept)}
    assert outbox.lanes[0].account.balanced
    assert sum(lost) == 1500 - len(kept)
    outbox.close()

    outbox = opened(block, ["mqtt"], max_bytes=100_000, when_full="block", memory_rows=50)
    putting = threading.Thread(
        target=lambda: [outbox.put(prediction(sequence), 0.0, outbox.lanes) for sequence in range(1500)]
    )
    putting.start()
    time.sleep(0.2)
    assert putting.is_alive(), "it waits"
    found = []
    while len(found) < 1500:
        found += everything(outbox.lanes[0])
    putting.join(10)
    assert found == list(range(1500))
    assert not outbox.lanes[0].account.dropped
    outbox.close()


def test_what_is_too_old_is_dropped_by_the_outboxs_own_clock(tmp_path):
    filled(tmp_path, 20)
    time.sleep(0.3)
    outbox = opened(tmp_path, max_age_s=0.3)
    outbox.put(prediction(20), 0.0, outbox.lanes)
    wait_for(lambda: outbox.lanes[0].account.dropped["max_age"] >= 20)
    wait_for(lambda: outbox.lanes[0].account.dropped["max_age"] == 21)
    assert (len(outbox.lanes[0]), outbox.owed(), outbox.lost()) == (0, 0, 1)
    outbox.close()


def serve_badly(lane, seed, got):
    """Takes, fails, acknowledges a part, rejects."""
    chance = random.Random(seed)
    while letters := lane.take(chance.randrange(1, 50)):
        if chance.random() < 0.7:
            part = letters[: chance.randrange(len(letters)) + 1]
            time.sleep(0.001 * seed)
            lane.acknowledge(part)
            got += [letter.prediction.sequence for letter in part]
            if len(part) < len(letters) and chance.random() < 0.1:
                lane.reject(letters[len(part)], "rejected", "no")
        lane.rewind()


@pytest.mark.parametrize("when_full", ["drop_oldest", "drop_newest", "block"])
def test_fast_models_slow_sinks_and_a_tiny_quota_add_up(tmp_path, when_full):
    """Two models put, two sinks take, fail and take again, rows are dropped under them all the time."""
    lost, got, firsts, puts = [], {name: [] for name in NAMES}, (0, 1_000_000), 1500
    outbox = opened(
        tmp_path, on_lost=lost.append, when_full=when_full, max_bytes=80_000, memory_rows=40, commit_s=0.002
    )

    def put(first):
        for sequence in range(first, first + puts):
            outbox.put(prediction(sequence), 0.0, outbox.lanes)

    sinks = [
        threading.Thread(target=serve_badly, args=[lane, n, got[lane.name]])
        for n, lane in enumerate(outbox.lanes, 1)
    ]
    models = [threading.Thread(target=put, args=[first]) for first in firsts]
    for thread in [*sinks, *models]:
        thread.start()
    for thread in models:
        thread.join(60)
    for lane in outbox.lanes:
        lane.close()
    for thread in sinks:
        thread.join(60)
    for lane in outbox.lanes:
        account, delivered = lane.account, got[lane.name]
        assert (account.offered, account.queued, account.balanced) == (2 * puts, 0, True)
        assert len(delivered) == len(set(delivered)) == account.delivered
        for first in firsts:
            mine = [i for i in delivered if first <= i < first + puts]
            assert mine == sorted(mine)
        assert set(account.dropped) <= {"rejected"} | (
            set() if when_full == "block" else {"quota", "overflow"}
        )
    assert outbox.owed() == 0
    assert sum(lost) == outbox.lost() == 2 * puts - len(set(got["mqtt"]) & set(got["http"]))
    outbox.sync()
    assert outbox.state().rows == 0
    outbox.close()
