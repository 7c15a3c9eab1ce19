"""The outbox on a real disk: what is kept, and for whom."""

import json
import sqlite3
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edge_sdk.errors import Retry
from edge_sdk.outbox import OutboxSettings
from edge_sdk.prediction import Prediction
from tests.integration.outboxes import NAMES, everything, filled, opened, prediction
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


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
    wait_for(lambda: outbox.state().rows == 100)
    assert everything(outbox.lanes[0]) == list(range(500, 600))
    wait_for(lambda: outbox.state().rows == 0)
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
    wait_for(lambda: outbox.state().dead == 1)
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
