"""Sinks that are away, and what waits for them."""

import time

from edge_sdk.config import To
from edge_sdk.errors import Rejected
from edge_sdk.pipeline import Pipeline
from tests.unit.edge_sdk.pipelines import Away, blocks, checked


def test_what_a_sink_missed_is_delivered_by_the_next_run_in_order_and_once(model, tmp_path):
    file = tmp_path / "p.outbox"
    first = Away(fails=10_000)
    report = checked(Pipeline(model, [blocks()], [first], outbox={"file": str(file)}).run())
    assert first.got == []
    made = report.predictions
    assert report.ledger.queued == made > 0
    assert report.ledger.sinks["Away"].queued == made
    second = Away()
    again = checked(Pipeline(model, [blocks(2)], [second], outbox={"file": str(file)}).run())
    assert again.ledger.sinks["Away"].carried == made
    assert again.ledger.queued == 0
    assert again.ledger.delivered == again.predictions
    ids = [(run_id, sequence) for _, run_id, sequence in second.got]
    assert ids == [(report.run_id, i) for i in range(made)] + [
        (again.run_id, i) for i in range(again.predictions)
    ]


def test_an_outbox_that_was_given_no_place_leaves_nothing_behind(model, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    sink = Away()
    report = checked(Pipeline(model, [blocks()], [sink], device="a b/c").run())
    assert len(sink.got) == report.predictions
    assert list((tmp_path / "edgeml").iterdir()) == []
    away = Away(fails=10_000)
    checked(Pipeline(model, [blocks()], [away], device="a b/c").run())
    assert {path.name for path in (tmp_path / "edgeml").iterdir()} >= {"a_b_c.outbox"}


def test_without_an_outbox_what_waits_is_lost_at_the_end_and_counted(model, monkeypatch):
    monkeypatch.setattr("edge_sdk.running.DRAIN_S", 0.5)
    report = checked(Pipeline(model, [blocks()], [Away(fails=10_000)], outbox=False).run())
    assert report.ledger.queued == report.predictions


def test_a_prediction_that_one_sink_lost_and_another_owes_is_lost_once(model, tmp_path):
    class Refuses:
        delivery = "direct"

        def write(self, predictions):
            raise Rejected("never")

        def close(self):
            pass

    pipeline = Pipeline(
        model,
        [blocks()],
        [Refuses(), To(Away(fails=10_000), when="sequence < 5")],
        outbox={"file": str(tmp_path / "p.outbox")},
    )
    report = checked(pipeline.run())
    assert report.ledger.lost == report.predictions
    assert (report.ledger.queued, report.ledger.delivered) == (0, 0)
    assert report.ledger.sinks["Away"].queued == 5


def test_two_outbox_sinks_each_get_what_they_want(model, tmp_path):
    one, other = Away(name="one"), Away(fails=3, name="other")
    report = checked(
        Pipeline(
            model,
            [blocks(20)],
            [To(one, when="sequence < 7"), other],
            outbox={"file": str(tmp_path / "p.outbox")},
        ).run()
    )
    assert [sequence for *_, sequence in one.got] == list(range(7))
    assert [sequence for *_, sequence in other.got] == list(range(report.predictions))


def test_what_is_too_old_for_a_sink_is_a_dead_letter_and_no_delivery(model, tmp_path):
    file = tmp_path / "p.outbox"
    first = checked(Pipeline(model, [blocks()], [Away(fails=10_000)], outbox={"file": str(file)}).run())
    time.sleep(0.3)
    late = Away()
    again = checked(
        Pipeline(model, [blocks(1)], [To(late, max_age_s=0.25)], outbox={"file": str(file)}).run()
    )
    account = again.ledger.sinks["Away"]
    assert account.carried == first.predictions == account.dropped["max_age"]
    assert {run_id for _, run_id, _ in late.got} == {again.run_id}
