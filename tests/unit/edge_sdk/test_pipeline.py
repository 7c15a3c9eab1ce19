"""Pipelines: runs that end as they should, with the books balanced."""

import gc
import queue
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_sdk import Model, recordings
from edge_sdk.blocks import Block, Fault, ticks
from edge_sdk.config import From, To
from edge_sdk.errors import ConfigError, DeviceError, Fatal, Rejected, Retry
from edge_sdk.pipeline import Pipeline
from edge_sdk.recordings import Signal
from tests.models import contract
from tests.unit.edge_sdk.pipelines import (
    NUMBERS,
    XYZ,
    Plugin,
    Sensor,
    Slow,
    blocks,
    checked,
)


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "walk.csv"
    recordings.write(path, Signal(NUMBERS, 50.0, XYZ))
    return path


def test_every_sample_and_prediction_is_accounted_for_and_the_same_as_in_a_stream(model, walk):
    got = []
    pipeline = Pipeline(model, [f"replay:{walk}?speed=max"], [got.append, Plugin()], device="wrist")
    report = checked(pipeline.run())
    streamed = list(model.stream([Block(NUMBERS, 50.0, XYZ)]))
    assert [p.label for p in got] == [p.label for p in streamed]
    assert np.array_equal([p.outputs for p in got], [p.outputs for p in streamed])
    assert [p.sequence for p in got] == list(range(99))
    assert {(p.device, p.run_id) for p in got} == {("wrist", report.run_id)}
    assert report.ledger.as_dict()["sinks"]["Plugin"]["delivered"] == 99
    assert report.latency_us["p50"] > 0
    assert report.block_to_sink_us["p50"] >= report.latency_us["p50"]


def test_two_runs_of_one_pipeline_never_share_a_run_id(model):
    pipeline = Pipeline(model, [blocks()], [Plugin()])
    assert checked(pipeline.run()).run_id != checked(pipeline.run()).run_id


def test_a_generator_is_a_source_and_duration_ends_one_that_never_ends(model):
    def endless():
        yield Block(NUMBERS, 50.0, XYZ)  # enough for a machine that gets to nothing else
        for _ in ticks(2000.0):
            yield Block(NUMBERS[:1], 50.0, XYZ)

    sink = Plugin()
    report = checked(Pipeline(model, [endless()], [sink]).run(duration_s=0.6))
    assert 0.6 <= report.duration_s < 10.0
    assert report.ledger.delivered == len(sink.got) == report.predictions > 3


def test_once_delivers_exactly_one(model, walk):
    got = []
    report = checked(Pipeline(model, [f"replay:{walk}?speed=max&block=100"], [got.append]).run(once=True))
    assert len(got) == report.predictions == 1


def test_once_waits_for_a_prediction_that_a_sink_wants(model, walk):
    got = []
    pipeline = Pipeline(model, [f"replay:{walk}?speed=max"], [To(got.append, when="sequence >= 5")])
    checked(pipeline.run(once=True))
    assert [p.sequence for p in got] == [5]


def test_when_picks_what_each_sink_gets(model):
    everything, some = Plugin(), Plugin()
    report = checked(Pipeline(model, [blocks()], [everything, To(some, when="label in ('x', 'y')")]).run())
    assert 0 < len(some.got) < len(everything.got)
    assert report.ledger.sinks["Plugin#2"].offered == len(some.got)
    with pytest.raises(ConfigError, match="label is never 'w'"):
        Pipeline(model, [blocks()], [To(some, when="label == 'w'")]).run()


def test_stop_from_another_thread_and_from_a_signal_handler_drains(model):
    for stop in ("thread", "signal"):
        sensor, sink = Sensor(), Plugin()
        pipeline = Pipeline(model, [sensor], [sink])
        if stop == "thread":
            threading.Timer(0.2, pipeline.stop).start()
        else:
            before = signal.signal(signal.SIGALRM, lambda *_, it=pipeline: it.stop())
            signal.setitimer(signal.ITIMER_REAL, 0.2)
        try:
            report = checked(pipeline.run(duration_s=20))
        finally:
            if stop == "signal":
                signal.signal(signal.SIGALRM, before)
        assert report.duration_s < 5
        assert sensor.closed.is_set()
        assert report.ledger.samples.read == sensor.sent
        assert report.ledger.queued == report.ledger.lost == 0


def test_a_dropped_block_is_a_gap_that_no_window_spans(model):
    """A sensor that is faster than the model: overflow is counted, and windows start over after it."""
    slow = Slow(model, 0.01)
    sink = Plugin()
    source = From(blocks(60, size=4), policy="drop_oldest", queue=2)
    report = checked(Pipeline(slow, [source], [sink]).run())
    dropped = report.ledger.samples.dropped
    assert dropped["overflow"] > 100
    assert report.ledger.samples.read == 240
    assert report.predictions < 30


def test_what_is_no_source_or_sink_is_refused_at_once(model):
    for sources, sinks, message in (
        ([], [print], "without a source"),
        ([42], [print], "source int: expected a URL"),
        ([blocks()], [42], "sink int: expected a URL"),
        ("stdin:", [print], r"sources: expected a list.*sources=\[…\]"),
        (["stdin:"], "stdout:", r"sinks: expected a list"),
    ):
        with pytest.raises(ConfigError, match=message):
            Pipeline(model, sources, sinks)


def test_a_sink_that_cannot_work_is_found_before_anything_is_read(model, tmp_path):
    read = []

    def source():
        read.append(True)
        yield from blocks()

    with pytest.raises(Fatal, match="no such folder"):
        Pipeline(model, [source()], [f"sqlite:{tmp_path}/nowhere/p.db"]).run()
    assert not read


def test_a_password_in_a_url_is_not_in_the_report():
    from edge_sdk.assembly import name_of

    assert name_of("serial://user:secret@host/port?x=1") == "serial://host/port"


def test_nothing_is_left_frozen_and_no_thread_is_left_behind(model):
    before = threading.active_count()
    Pipeline(model, [blocks()], [Plugin()]).run()
    assert gc.get_freeze_count() == 0
    deadline = time.monotonic() + 2
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_one_block_a_millisecond_reaches_a_sink_and_none_is_missing(model):
    loaded = replace(contract(), input=replace(contract().input, hop=1))
    fast = Model.__new__(Model)
    fast.__dict__.update(model.__dict__, contract=loaded)
    got = queue.SimpleQueue()
    source = (Block(NUMBERS[:1], 50.0, XYZ) for _ in ticks(1000.0, limit=1000))
    report = checked(Pipeline(fast, [source], [got.put]).run())
    assert report.predictions == got.qsize() == 993
    assert 0 < report.block_to_sink_us["p50"] <= report.block_to_sink_us["max"]


verdicts = st.lists(
    st.sampled_from([None, None, None, Retry("r"), Rejected("no"), Fatal("f"), ValueError("bug")]), max_size=8
)
streams = st.lists(
    st.one_of(
        st.builds(
            lambda n, device, gap: Block(NUMBERS[:n], 50.0, XYZ, device, gap=gap),
            st.integers(1, 20),
            st.sampled_from("ab"),
            st.booleans(),
        ),
        st.builds(lambda n: Fault("garbage", samples=n), st.integers(0, 3)),
        st.builds(lambda: Block(np.full((3, 3), np.nan, np.float32), 50.0, XYZ, "a")),
    ),
    max_size=15,
)
policies = st.sampled_from(["block", "drop_oldest", "drop_newest", "latest"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(streams, verdicts, policies, policies)
def test_the_ledger_balances_whatever_happens(model, stream, failures, before, after):
    sink, other = Plugin(*failures), Plugin()
    pipeline = Pipeline(
        model, [From(stream, policy=before, queue=3)], [To(sink, policy=after, queue=2), other]
    )
    try:
        report = checked(pipeline.run())
    except (Fatal, DeviceError) as error:
        report = checked(error.report)
    assert report.ledger.sinks["Plugin#1"].delivered == len(sink.got)
    assert report.ledger.sinks["Plugin#2"].delivered == len(other.got)
    assert report.ledger.queued == 0
