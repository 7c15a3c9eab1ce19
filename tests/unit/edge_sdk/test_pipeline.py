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
from edge_sdk.errors import ConfigError, DeviceError, Fatal, Rejected, Retry, SpecError
from edge_sdk.pipeline import Pipeline
from edge_sdk.recordings import Signal
from tests.models import contract, write_model

XYZ = ("ax", "ay", "az")
NUMBERS = np.random.default_rng(3).normal(size=(400, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    with Model.load(write_model(tmp_path_factory.mktemp("model") / "m.tflite")) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "walk.csv"
    recordings.write(path, Signal(NUMBERS, 50.0, XYZ))
    return path


def blocks(n=10, size=8, device="", **more):
    return [Block(NUMBERS[i * size % 392 :][:size], 50.0, XYZ, device, **more) for i in range(n)]


def checked(report):
    assert report.ledger.balanced, report.ledger.as_dict()
    assert report.predictions == report.ledger.predictions
    return report


def failing(pipeline, error, **more):
    with pytest.raises(error) as caught:
        pipeline.run(**more)
    return caught.value, checked(caught.value.report)


class Plugin:
    """A sink whose writes do what a list says: None stores, an exception is raised, a number is slept."""

    delivery = "direct"

    def __init__(self, *verdicts):
        self.verdicts, self.got = list(verdicts), []

    def write(self, predictions):
        verdict = self.verdicts.pop(0) if self.verdicts else None
        if isinstance(verdict, Exception):
            raise verdict
        if verdict:
            time.sleep(verdict)
        self.got += [(p.device, p.sequence) for p in predictions]

    def close(self):
        pass


class Sensor:
    """A live source that sends until it is closed."""

    live = True

    def __init__(self, rate_hz=2000.0):
        self.rate_hz, self.closed, self.sent = rate_hz, threading.Event(), 0

    def __iter__(self):
        for _ in ticks(self.rate_hz):
            if self.closed.is_set():
                return
            self.sent += 1
            yield Block(NUMBERS[:1], 50.0, XYZ)

    def close(self):
        self.closed.set()


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
        for _ in ticks(2000.0):  # so many that a busy machine gets to enough of them
            yield Block(NUMBERS[:1], 50.0, XYZ)

    sink = Plugin()
    report = checked(Pipeline(model, [endless()], [sink]).run(duration_s=0.6))
    assert 0.6 <= report.duration_s < 3.0
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


def test_several_devices_and_sources_keep_their_own_windows(model):
    pairs = zip(blocks(10, device="a"), blocks(10, device="b"), strict=True)
    mixed = [block for pair in pairs for block in pair]
    sink = Plugin()
    report = checked(Pipeline(model, [mixed, blocks(10), blocks(10)], [sink], device="hub").run())
    assert {device for device, _ in sink.got} == {"a", "b", "hub-2", "hub-3"}
    for device in ("a", "b", "hub-2", "hub-3"):
        assert [number for name, number in sink.got if name == device] == list(range(19))
    assert report.predictions == 4 * 19


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


class Slow:
    """A model that takes its time."""

    def __init__(self, model, seconds):
        self._model, self._seconds = model, seconds

    def __getattr__(self, name):
        return getattr(self._model, name)

    def run(self, window, state=None):
        time.sleep(self._seconds)
        return self._model.run(window)


# --- sinks that fail ---------------------------------------------------------------------------------------


def test_a_sink_that_recovers_gets_everything_once(model):
    sink = Plugin(Retry("busy"), None, Retry("busy"), Retry("busy"))
    report = checked(Pipeline(model, [blocks()], [sink]).run())
    assert [number for _, number in sink.got] == list(range(19))
    assert report.retries >= 1


def test_what_a_destination_refuses_is_lost_and_counted_one_by_one(model):
    class Picky(Plugin):
        def write(self, predictions):
            if any(p.sequence % 5 == 0 for p in predictions):
                raise Rejected("no fives")
            super().write(predictions)

    sink = Picky()
    report = checked(Pipeline(model, [blocks()], [sink, Plugin()]).run())
    assert len(sink.got) == 15
    assert report.ledger.sinks["Picky"].dropped == {"rejected": 4}
    assert report.ledger.lost == 4
    assert report.ledger.delivered == 15


def test_a_fatal_sink_ends_the_run_and_the_others_get_what_was_read(model):
    other = Plugin()
    error, report = failing(Pipeline(model, [Sensor()], [Plugin(None, Fatal("disk on fire")), other]), Fatal)
    assert str(error) == "disk on fire"
    assert report.ledger.sinks["Plugin#1"].dropped["failed"] >= 1
    assert report.ledger.sinks["Plugin#2"].delivered == report.predictions == len(other.got)


def test_a_bug_in_a_sink_ends_the_run_in_one_line(model):
    def buggy(prediction):
        raise ZeroDivisionError("division by zero")

    error, _ = failing(Pipeline(model, [Sensor()], [buggy]), DeviceError)
    assert "buggy failed unexpectedly: found ZeroDivisionError: division by zero" in str(error)
    assert error.exit_code == 3
    assert isinstance(error.__cause__, ZeroDivisionError)


def test_a_dead_sink_holds_back_nobody_behind_a_live_source(model, monkeypatch):
    monkeypatch.setattr("edge_sdk.running.DRAIN_S", 0.5)
    dead, alive = Plugin(*[Retry("no network")] * 1000), Plugin()
    pipeline = Pipeline(model, [Sensor()], [To(dead, queue=5), alive])
    report = checked(pipeline.run(duration_s=1.5))
    assert report.ledger.sinks["Plugin#2"].delivered == report.predictions > 20
    assert report.ledger.sinks["Plugin#1"].dropped["overflow"] > 0
    assert report.ledger.queued + report.ledger.lost == report.predictions


def test_a_sink_that_hangs_does_not_hang_the_shutdown(model, monkeypatch):
    monkeypatch.setattr("edge_sdk.running.DRAIN_S", 0.5)
    hung, alive = Plugin(3600), Plugin()
    report = checked(Pipeline(model, [blocks()], [hung, alive]).run())
    assert report.duration_s < 5
    account = report.ledger.sinks["Plugin#1"]
    assert account.queued == account.offered == 19
    assert report.ledger.queued == 19
    assert len(alive.got) == 19


def test_a_hung_sink_with_a_full_queue_does_not_hang_the_shutdown_either(model, monkeypatch):
    monkeypatch.setattr("edge_sdk.running.DRAIN_S", 0.5)
    pipeline = Pipeline(model, [Sensor()], [To(Plugin(3600), policy="block", queue=2)])
    report = checked(pipeline.run(duration_s=0.3))
    assert report.duration_s < 6


def test_an_old_prediction_is_dropped_where_its_sink_says_so(model):
    def slow(prediction):
        time.sleep(0.3)

    report = checked(Pipeline(model, [blocks()], [To(slow, max_age_s=0.1)]).run())
    (account,) = report.ledger.sinks.values()
    assert account.dropped == {"max_age": account.offered - account.delivered}
    assert account.dropped["max_age"] > 10


# --- sources that fail -------------------------------------------------------------------------------------


def test_a_generator_that_hangs_does_not_hang_the_shutdown(model):
    release = threading.Event()

    def hangs():
        yield from blocks(3)
        release.wait(60)

    report = checked(Pipeline(model, [hangs()], [Plugin()]).run(duration_s=0.2))
    release.set()
    assert report.duration_s < 4
    assert report.predictions == 5


def test_a_bug_in_a_source_ends_the_run_in_one_line_after_the_drain(model):
    def buggy():
        yield from blocks(3)
        raise KeyError("register 7")

    error, report = failing(Pipeline(model, [buggy()], [Plugin()]), DeviceError)
    assert "buggy failed unexpectedly: found KeyError: 'register 7'" in str(error)
    assert report.ledger.delivered == report.predictions == 5


def test_something_else_than_a_block_is_named(model):
    error, _ = failing(Pipeline(model, [[1, 2]], [Plugin()]), SpecError)
    assert "expected blocks or predictions, found int" in str(error)


def test_blocks_of_other_channels_end_the_run_with_a_balanced_ledger(model):
    wrong = [Block(NUMBERS[:8, :2], 50.0, ("gx", "gy"))]
    error, report = failing(Pipeline(model, [[*blocks(2), *wrong, *blocks(2)]], [Plugin()]), SpecError)
    assert "expected ax, ay, az" in str(error)
    assert report.ledger.samples.dropped["fault"] == 8
    assert report.ledger.samples.read == 40


def test_faults_are_counted_with_their_samples(model):
    report = checked(
        Pipeline(model, [[*blocks(2), Fault("garbage", samples=2), *blocks(2)]], [Plugin()]).run()
    )
    assert report.ledger.faults == {"garbage": 1}
    assert report.ledger.samples.read == 34


def test_a_source_that_breaks_is_opened_again_and_the_break_is_a_gap(model, monkeypatch):
    from edge_sdk.sources import replay

    opened = []

    class Loose(replay.Source):
        def __iter__(self):
            opened.append(self)
            yield from blocks(2, size=6)
            if len(opened) < 3:
                raise Retry("loose contact")

    monkeypatch.setattr(replay, "Source", Loose)
    report = checked(Pipeline(model, ["replay:README.md"], [Plugin()]).run())
    assert len(opened) == 3
    assert report.ledger.faults == {"retry": 2}
    assert report.predictions == 6  # of 12 samples each: windows at 0 and 4
    assert report.ledger.samples.read == 36


def test_an_open_source_that_breaks_cannot_be_opened_again(model):
    def loose():
        yield from blocks(1)
        raise Retry("unplugged")

    error, _ = failing(Pipeline(model, [loose()], [Plugin()]), Fatal)
    assert "cannot be opened again: found unplugged" in str(error)


def test_a_bug_in_the_model_ends_the_run_and_the_books_balance(model):
    class Broken(Slow):
        def run(self, window, state=None):
            raise RuntimeError("delegate failed")

    error, report = failing(Pipeline(Broken(model, 0), [Sensor()], [Plugin()]), DeviceError)
    assert "model linear failed unexpectedly: found RuntimeError: delegate failed" in str(error)
    assert report.ledger.samples.read > 0


# --- how it is put together --------------------------------------------------------------------------------


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
