"""The outbox on a real disk, with real kills, full disks and damaged files."""

import contextlib
import json
import os
import random
import resource
import sqlite3
import stat
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edge_sdk.errors import Fatal, Retry
from edge_sdk.outbox import Outbox, OutboxSettings
from edge_sdk.prediction import Prediction

pytestmark = pytest.mark.integration

NAMES = ("mqtt", "http")


def prediction(sequence, size=3):
    return Prediction("walk", 0.5, None, np.full(size, sequence, np.float32), "d", "run", sequence)


def opened(folder, sinks=NAMES, on_lost=lambda count: None, **options):
    options = {"commit_s": 0.02, **options}
    return Outbox(OutboxSettings(folder / "o.db", **options), sinks, on_lost)


def everything(lane):
    found = []
    while letters := lane.take(64, timeout_s=0.5 if len(lane) else 0.0):
        found += [letter.prediction.sequence for letter in letters]
        lane.acknowledge(letters)
    return found


def filled(folder, count, **options):
    """An outbox that was closed with predictions for both sinks in it."""
    with opened(folder, **options) as outbox:
        for sequence in range(count):
            outbox.put(prediction(sequence), 0.0, outbox.lanes)


def until(condition, timeout_s=10.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path):
    with opened(tmp_path), pytest.raises(Retry, match="another process uses it"):
        opened(tmp_path)
    opened(tmp_path).close()


def test_the_start_does_not_grow_with_the_file(tmp_path):
    filled(tmp_path, 20_000, max_bytes=1 << 30)
    steps = []
    sqlite3_connect = sqlite3.connect

    def counted(*args, **kwargs):
        connection = sqlite3_connect(*args, **kwargs)
        connection.set_progress_handler(lambda: steps.append(1), 1000)
        return connection

    sqlite3.connect = counted
    try:
        outbox = opened(tmp_path)
    finally:
        sqlite3.connect = sqlite3_connect
    assert outbox.recovered.carried == dict.fromkeys(NAMES, 20_000)
    assert len(steps) < 10, "thousands of SQLite's steps"
    assert everything(outbox.lanes[0]) == list(range(20_000))
    outbox.close()


def test_a_full_disk_is_waited_for_in_memory_and_said(tmp_path):
    outbox = opened(tmp_path, memory_rows=100)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        for sequence in range(60):
            outbox.put(prediction(sequence, 400), 0.0, outbox.lanes)
        until(lambda: outbox.state().problem is not None)
        with pytest.raises(Retry, match="cannot be written"):
            outbox.sync()
        assert everything(outbox.lanes[0]) == list(range(60)), "delivery goes on from memory"
        for sequence in range(60, 200):
            outbox.put(prediction(sequence, 400), 0.0, outbox.lanes)
        assert outbox.lanes[1].account.dropped["overflow"] > 0
        assert outbox.lost() == outbox.lanes[1].account.dropped["overflow"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    until(lambda: outbox.state().problem is None, 30)
    rest = everything(outbox.lanes[1])
    assert rest == list(range(200))[-len(rest) :]
    assert all(lane.account.balanced for lane in outbox.lanes)
    outbox.close()
    with opened(tmp_path) as again:
        assert set(again.recovered.carried) == set(NAMES)


@contextlib.contextmanager
def full_disk(bytes_left):
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


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
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        for sequence in range(10):
            outbox.put(prediction(sequence), 0.0, outbox.lanes)
        outbox.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    for lane in outbox.lanes:
        assert lane.account.dropped == {"failed": 10}
        assert lane.account.balanced
    assert (sum(lost), outbox.owed()) == (10, 0)


def cut_to_nothing(database):
    database.write_bytes(b"")


def garbage_header(database):
    with database.open("r+b") as file:
        file.write(os.urandom(200))


def flipped_pages(database):
    content = bytearray(database.read_bytes())
    for page in range(1, len(content) // 4096):
        content[page * 4096 : page * 4096 + 8] = b"\xff" * 8
    database.write_bytes(content)


def cut_short(database):
    content = database.read_bytes()
    database.write_bytes(content[: len(content) // 2])


def all_garbage(database):
    database.write_bytes(os.urandom(50_000))


def removed(database):
    database.unlink()


DAMAGES = [cut_to_nothing, garbage_header, flipped_pages, cut_short, all_garbage, removed]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_file_is_put_aside_and_counted(tmp_path, damage):
    filled(tmp_path, 500)
    damage(tmp_path / "o.db")
    outbox = opened(tmp_path)
    outbox.put(prediction(500), 0.0, outbox.lanes)
    for lane in outbox.lanes:
        found = everything(lane)
        assert found[-1:] == [500]
        assert lane.account.carried == 500
        assert lane.account.dropped["corrupt"] == 501 - len(found)
        assert lane.account.balanced
    outbox.close()
    assert (outbox.owed(), outbox.lost()) == (0, 0)
    if damage not in {cut_to_nothing, removed}:
        assert list(tmp_path.glob("o.db.corrupt-1"))
    with opened(tmp_path) as again:
        assert again.recovered.carried == dict.fromkeys(NAMES, 0)
        assert again.recovered.quarantined is None


@pytest.mark.parametrize("damage", [garbage_header, flipped_pages, cut_to_nothing, removed])
def test_a_file_that_breaks_while_it_is_used_is_begun_anew_from_memory(tmp_path, damage):
    lost = []
    outbox = opened(tmp_path, on_lost=lost.append, memory_rows=50)
    for sequence in range(300):
        outbox.put(prediction(sequence), 0.0, outbox.lanes)
    outbox.sync()
    outbox._writer.store._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damage(tmp_path / "o.db")
    for sequence in range(300, 400):
        outbox.put(prediction(sequence), 0.0, outbox.lanes)
    found = [everything(lane) for lane in outbox.lanes]
    until(lambda: outbox.state().problem is None)
    for lane, delivered in zip(outbox.lanes, found, strict=True):
        assert delivered == sorted(set(delivered))
        assert delivered[-50:] == list(range(350, 400))
        assert lane.account.balanced
        assert lane.account.dropped["corrupt"] == 400 - len(delivered)
    assert sum(lost) == outbox.lost() == len(set(range(400)) - (set(found[0]) & set(found[1])))
    assert outbox.owed() == 0
    outbox.close()


def test_a_row_that_does_not_hold_is_never_delivered(tmp_path):
    filled(tmp_path, 100)
    connection = sqlite3.connect(tmp_path / "o.db")
    connection.execute("UPDATE letters SET body = zeroblob(40) WHERE id = 7")
    connection.execute("UPDATE letters SET wanted = 1 WHERE id = 9")
    connection.commit()
    connection.close()
    outbox = opened(tmp_path)
    for lane in outbox.lanes:
        assert everything(lane) == [i for i in range(100) if i not in {6, 8}]
        assert lane.account.dropped == {"corrupt": 2}
        assert lane.account.balanced
    outbox.sync()
    assert outbox.state().rows == 0
    assert outbox.state().dead == 3, "one of them could not be told from one for mqtt alone"
    outbox.close()


def test_a_lost_log_costs_what_was_in_it_and_is_counted(tmp_path):
    outbox = opened(tmp_path)
    for sequence in range(100):
        outbox.put(prediction(sequence), 0.0, outbox.lanes)
    outbox.sync()
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("o.db", "o.db.books"):
        (copy / name).write_bytes((tmp_path / name).read_bytes())
    outbox.close()
    with opened(copy) as again:
        carried, lost = again.recovered.carried["mqtt"], again.recovered.lost_in_crash.get("mqtt", 0)
        assert carried + lost == 100
        assert len(everything(again.lanes[0])) == carried
        assert again.lanes[0].account.balanced


def test_somebody_elses_database_is_left_alone(tmp_path):
    with sqlite3.connect(tmp_path / "o.db") as connection:
        connection.execute("CREATE TABLE photos (name TEXT)")
    connection.close()
    before = (tmp_path / "o.db").read_bytes()
    with pytest.raises(Fatal, match="somebody else's database"):
        opened(tmp_path)
    assert (tmp_path / "o.db").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["o.db"]


def test_no_folder_and_no_permission_say_what_to_do(tmp_path):
    with pytest.raises(Fatal, match="mkdir -p"):
        opened(tmp_path / "nowhere")
    (tmp_path / "o.db").mkdir()
    with pytest.raises(Fatal, match="a folder"):
        opened(tmp_path)
    if os.geteuid() != 0:
        tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
        with pytest.raises(Fatal, match="cannot be written"):
            opened(tmp_path)


def test_a_locked_database_is_waited_for(tmp_path):
    outbox = opened(tmp_path)
    other = sqlite3.connect(tmp_path / "o.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    outbox.put(prediction(0), 0.0, outbox.lanes)
    until(lambda: "another program holds it" in (outbox.state().problem or ""))
    other.execute("ROLLBACK")
    other.close()
    until(lambda: outbox.state().problem is None)
    outbox.close()


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
    until(lambda: outbox.lanes[0].account.dropped["max_age"] >= 20)
    until(lambda: outbox.lanes[0].account.dropped["max_age"] == 21)
    assert (len(outbox.lanes[0]), outbox.owed(), outbox.lost()) == (0, 0, 1)
    outbox.close()


def test_a_sink_that_is_gone_keeps_its_rows_and_holds_back_nobody(tmp_path):
    filled(tmp_path, 50)
    with opened(tmp_path, ["mqtt", "new"]) as outbox:
        assert outbox.recovered.carried == {"mqtt": 50, "http": 50, "new": 0}
        outbox.put(prediction(50), 0.0, outbox.lanes)
        assert everything(outbox.lanes[0]) == list(range(51))
        assert everything(outbox.lanes[1]) == [50]
        outbox.sync()
        assert outbox.state().rows == 50
    with opened(tmp_path, ["http"]) as outbox:
        assert everything(outbox.lanes[0]) == list(range(50))
    with opened(tmp_path, ["http"]) as outbox:
        assert outbox.recovered.carried == {"http": 0}


def test_nothing_is_written_while_sinks_keep_up_with_spill(tmp_path):
    outbox = opened(tmp_path, ["mqtt"], spill=True, commit_s=0.2)
    for sequence in range(500):
        outbox.put(prediction(sequence), 0.0, outbox.lanes)
        outbox.lanes[0].acknowledge(outbox.lanes[0].take())
    time.sleep(0.5)
    assert outbox.state().written_bytes == 0
    for sequence in range(500, 600):
        outbox.put(prediction(sequence), 0.0, outbox.lanes)
    until(lambda: outbox.state().rows == 100)
    assert everything(outbox.lanes[0]) == list(range(500, 600))
    until(lambda: outbox.state().rows == 0)
    outbox.close()


def test_an_empty_outbox_leaves_no_file_where_it_was_only_for_one_run(tmp_path):
    outbox = opened(tmp_path)
    outbox.put(prediction(0), 0.0, outbox.lanes[:1])
    everything(outbox.lanes[0])
    outbox.close(discard_empty=True)
    assert not list(tmp_path.iterdir())
    outbox = opened(tmp_path)
    outbox.put(prediction(0), 0.0, outbox.lanes[:1])
    outbox.close(discard_empty=True)
    assert (tmp_path / "o.db").exists()


def test_rejected_predictions_are_kept_for_a_person(tmp_path):
    outbox = opened(tmp_path)
    letter = outbox.put(prediction(3), 0.0, outbox.lanes)
    (taken,) = outbox.lanes[0].take()
    outbox.lanes[0].reject(taken, "rejected", "no such topic")
    assert (outbox.owed(), outbox.lost(), letter.lost) == (0, 1, True)
    assert not outbox.note_lost(letter), "counted once"
    everything(outbox.lanes[1])
    until(lambda: outbox.state().dead == 1)
    outbox.close()
    row = sqlite3.connect(tmp_path / "o.db")
    assert row.execute("SELECT sink, reason, detail FROM dead").fetchall() == [
        ("mqtt", "rejected", "no such topic")
    ]
    row.close()


def test_take_waits_and_ends_when_the_lane_is_closed(tmp_path):
    outbox = opened(tmp_path)
    lane, got = outbox.lanes[0], []
    reader = threading.Thread(target=lambda: got.append(lane.take()))
    reader.start()
    outbox.put(prediction(0), 0.0, [lane])
    reader.join(5)
    assert [letter.prediction.sequence for letter in got[0]] == [0]
    reader = threading.Thread(target=lambda: got.append(lane.take()))
    reader.start()
    lane.close()
    reader.join(5)
    assert got[1] == []
    outbox.put(prediction(1), 0.0, [lane])
    assert len(lane.take()) == 1, "a lane that drains gives what there is"
    lane.close(drain=False)
    assert lane.take() == []
    outbox.close()


def test_names_that_are_not_text_and_numbers_of_numpy_survive(tmp_path):
    odd = Prediction("l\udcff", np.float32(0.5), float("nan"), np.ones((2, 3), np.float32), "d\ud800", "r", 0)
    with opened(tmp_path) as outbox:
        outbox.put(odd, 0.0, outbox.lanes)
    with opened(tmp_path) as outbox:
        (letter,) = outbox.lanes[0].take()
        back = letter.prediction
        assert (back.score, back.outputs.shape, back.device) == (0.5, (2, 3), "d\\ud800")
        assert json.dumps(back.as_dict())
        assert (letter.current, letter.arrived_s) == (False, None)


def test_the_documented_example_and_settings_hold(tmp_path, monkeypatch):
    import re
    import tomllib

    page = (Path(__file__).parents[2] / "docs" / "outbox.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "outbox.md", "exec"), {})
    (table,) = re.findall(r"^```toml\n(.*?)^```", page, re.M | re.S)
    options = tomllib.loads(table)["outbox"]
    chosen = OutboxSettings(**{**options, "file": Path(options["file"])})
    assert chosen == OutboxSettings(Path("press-7.outbox")), "the defaults, as the page says"


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
