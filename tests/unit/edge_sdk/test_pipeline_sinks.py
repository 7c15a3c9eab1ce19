"""Sinks that fail: what was read is in the books, and the others get what is theirs."""

import time

from edge_sdk.config import To
from edge_sdk.errors import DeviceError, Fatal, Rejected, Retry
from edge_sdk.pipeline import Pipeline
from tests.unit.edge_sdk.pipelines import Plugin, Sensor, blocks, checked, failing


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
