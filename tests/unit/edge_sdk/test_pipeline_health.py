"""What a pipeline tells of itself while it runs."""

import threading
import time

import pytest

from edge_sdk.blocks import Block, ticks
from edge_sdk.pipeline import Pipeline
from tests.unit.edge_sdk.pipelines import NUMBERS, XYZ, Away, Fleet, blocks, checked


def test_a_source_that_goes_silent_is_noticed_and_one_that_hangs_too(model):
    class Hangs:
        live = True

        def __init__(self):
            self.closed = threading.Event()

        def __iter__(self):
            yield from blocks(1)
            self.closed.wait(20)

        def close(self):
            self.closed.set()

    pipeline = Pipeline(model, [Hangs()], [lambda p: None], sensor={"silence_s": 0.5})
    seen = []

    def look():
        while not seen:
            now = pipeline.snapshot()
            if now is not None and now.problems:
                seen.append((now.uptime_s, now.problems, now.health))
                pipeline.stop()
            time.sleep(0.02)

    looking = threading.Thread(target=look)
    looking.start()
    report = checked(pipeline.run(duration_s=20))
    looking.join()
    uptime_s, problems, health = seen[0]
    assert uptime_s < 3.0
    assert "no sample for" in problems[0]
    assert health == "degraded"
    assert report.ledger.faults["silence"] == 1


@pytest.mark.parametrize("many", [False, True])
def test_no_window_spans_a_silence_that_was_counted_unless_it_may_be_the_way_that_was_silent(model, many):
    class Pauses(Fleet):
        def __iter__(self):
            yield from blocks(1, 6)
            while not pipeline.snapshot().ledger.faults["silence"]:
                time.sleep(0.05)
            yield from blocks(1, 6)

    Pauses.many = many
    got = []
    pipeline = Pipeline(model, [Pauses([])], [got.append], sensor={"silence_s": 0.5, "jitter_s": 0.3})
    report = checked(pipeline.run(duration_s=20))
    assert [prediction.fault for prediction in got] == (["jitter", "jitter"] if many else [])
    assert report.ledger.faults == {"silence": 1, "jitter": 1} if many else {"silence": 1}


def test_a_snapshot_is_true_at_any_moment(model):
    def sensor():
        for _ in ticks(500.0):
            yield Block(NUMBERS[:4], 50.0, XYZ)

    pipeline = Pipeline(model, [sensor()], [lambda p: None, Away(fails=3)], outbox=False)
    running = threading.Thread(target=pipeline.run)
    running.start()
    looks = []
    while len(looks) < 50 or looks[-1].models[0].windows <= 100 or looks[-1].sinks[1].retries < 3:
        now = pipeline.snapshot()
        if now is not None and now.models:
            looks.append(now)
        time.sleep(0.01)
    pipeline.stop()
    running.join()
    assert looks[-1].ready
    assert [now.progress for now in looks] == sorted(now.progress for now in looks)
    assert looks[-1].progress > looks[0].progress
    assert looks[-1].models[0].windows > 100
    assert all(now.ledger.balanced and now.ledger.delivered >= 0 for now in looks)
    assert looks[-1].sinks[1].retries == 3


def test_a_model_that_hangs_makes_no_progress(model, monkeypatch):
    hang = threading.Event()
    real = model.run

    def run(window, state=None):
        hang.wait(20)
        return real(window)

    monkeypatch.setattr(model, "run", run)

    def sensor():
        yield from blocks(1)
        hang.wait(20)

    pipeline = Pipeline(model, [sensor()], [lambda p: None])
    running = threading.Thread(target=pipeline.run)
    running.start()
    while pipeline.snapshot() is None or not pipeline.snapshot().ledger.samples.read:
        time.sleep(0.01)
    pipeline.snapshot()
    progress = {pipeline.snapshot().progress for _ in range(5)}
    hang.set()
    running.join(20)
    assert len(progress) == 1
