"""Pipelines of many: devices, sources that are joined, models, and sinks of every kind."""

import itertools
import threading
import time

import numpy as np
import pytest

from edge_sdk import Model
from edge_sdk.blocks import Block, ticks
from edge_sdk.config import From, ModelFile, To
from edge_sdk.errors import ConfigError, Rejected, Retry
from edge_sdk.pipeline import Pipeline
from tests.models import write_model

XYZ = ("ax", "ay", "az")
NUMBERS = np.random.default_rng(3).normal(size=(400, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "m.tflite")


@pytest.fixture(scope="module")
def model(file):
    with Model.load(file) as loaded:
        yield loaded


def blocks(n=10, size=8, device="", **more):
    return [Block(NUMBERS[i * size % 392 :][:size], 50.0, XYZ, device, **more) for i in range(n)]


def checked(report):
    assert report.ledger.balanced, report.ledger.as_dict()
    return report


class Away:
    """A sink behind a network: it is away for the first `fails` writes."""

    delivery = "outbox"

    def __init__(self, fails=0, name="Away"):
        self.fails, self.got, self.name = fails, [], name

    def write(self, predictions):
        if self.fails:
            self.fails -= 1
            raise Retry("it is away")
        self.got += [(p.device, p.run_id, p.sequence) for p in predictions]

    def close(self):
        pass


class Fleet:
    """A live source of many devices that names them itself."""

    live = many = True

    def __init__(self, items):
        self.items = items

    def __iter__(self):
        return iter(self.items)

    def close(self):
        pass


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


class Valve:
    """An actuator that writes down what it is told."""

    delivery = "actuator"

    def __init__(self, *verdicts):
        self.verdicts, self.log = list(verdicts), []

    def write(self, predictions):
        verdict = self.verdicts.pop(0) if self.verdicts else None
        if verdict:
            raise verdict
        self.log += [p.sequence for p in predictions]

    def safe(self):
        self.log.append("safe")

    def close(self):
        self.log.append("closed")


def test_an_actuator_is_made_safe_when_nothing_comes_any_more_and_at_the_end(model):
    def sensor():
        yield from blocks(2)
        time.sleep(0.5)
        yield from blocks(1)

    valve = Valve()
    report = checked(Pipeline(model, [sensor()], [To(valve, max_age_s=0.2)]).run())
    assert report.ledger.delivered == report.predictions
    numbers = [entry for entry in valve.log if entry not in ("safe", "closed")]
    assert numbers == list(range(report.predictions))
    assert valve.log.index("safe") < valve.log.index(report.predictions - 1)
    assert valve.log[-1] == "safe"


def test_what_an_actuator_missed_is_never_done_later(model):
    released = threading.Event()

    class Stuck(Valve):
        def write(self, predictions):
            released.wait(5)
            super().write(predictions)

    def sensor():
        yield from blocks(1)
        time.sleep(0.05)
        yield from blocks(6)
        time.sleep(0.4)
        released.set()
        time.sleep(0.1)
        yield from blocks(1)

    valve = Stuck()
    report = checked(Pipeline(model, [sensor()], [To(valve, max_age_s=0.2)]).run())
    account = next(iter(report.ledger.sinks.values()))
    assert account.dropped["max_age"] >= 10
    assert account.delivered + account.dropped["max_age"] == report.predictions
    assert report.predictions - 1 in valve.log


def test_an_actuator_that_fails_is_made_safe(model):
    valve = Valve(None, Retry("it is stuck"))

    def sensor():
        yield from blocks(1)
        time.sleep(0.3)
        yield from blocks(1)

    checked(Pipeline(model, [sensor()], [To(valve, max_age_s=0.15)]).run())
    assert "safe" in valve.log


def test_several_models_see_the_same_samples_and_keep_their_own_books(file):
    got = []
    report = checked(
        Pipeline(
            [
                ModelFile(file=str(file), name="a"),
                ModelFile(file=str(file), name="b", when="device == 'two'"),
            ],
            [blocks(5, device="one") + blocks(5, device="two")],
            [got.append, To(Away(name="only"), when="model == 'b'")],
            outbox=False,
        ).run()
    )
    by_model = {name: [p for p in got if p.model == name] for name in "ab"}
    assert {p.device for p in by_model["a"]} == {"one", "two"}
    assert {p.device for p in by_model["b"]} == {"two"}
    assert len({p.run_id for p in got}) == 2
    assert len({(p.device, p.run_id, p.sequence) for p in got}) == len(got) == report.predictions
    assert report.ledger.models["a"].read == 80
    assert report.ledger.models["b"].read == 40
    assert report.ledger.sinks["only"].delivered == len(by_model["b"])


def test_two_models_of_one_name_are_refused(file):
    with pytest.raises(ConfigError, match="two models of one name"):
        Pipeline([str(file), str(file)], [blocks()]).run()


def test_each_model_may_decide_otherwise(file):
    strict = ModelFile(file=str(file), name="strict", decision={"threshold": 0.99})
    pipeline = Pipeline(
        [strict, ModelFile(file=str(file), name="lax")], [blocks()], [], decision={"hold_s": 2.0}
    )
    a, b = pipeline.load()
    assert (pipeline.settings(a).threshold, pipeline.settings(a).hold_s) == (0.99, 2.0)
    assert (pipeline.settings(b).threshold, pipeline.settings(b).hold_s) == (b.decision.threshold, 2.0)


def test_two_sensors_are_joined_onto_one_clock(model):
    time_s = 1000.0

    def imu():
        for i in range(40):
            yield Block(NUMBERS[i : i + 4, :2], 50.0, XYZ[:2], time_s=time_s + i * 0.08)
            time.sleep(0.005)

    def thermometer():
        for i in range(20):
            yield Block(NUMBERS[i : i + 1, 2:], 10.0, XYZ[2:], time_s=time_s - 0.2 + i * 0.2)

    got = []
    report = checked(
        Pipeline(
            model,
            [From(imu(), name="imu"), From(thermometer(), name="thermo")],
            [got.append],
            device="press-7",
            fusion={"clock": "imu", "max_age_s": 5.0},
        ).run()
    )
    assert {p.device for p in got} == {"press-7"}
    assert report.ledger.fusion is not None
    assert report.ledger.fusion.read == 180
    assert len(got) == report.predictions >= 30


def test_a_device_of_other_channels_harms_no_other(model):
    good = blocks(4, device="good")
    wrong = [Block(NUMBERS[:8, :2], 50.0, ("ax", "temp"), "wrong")]
    fast = [Block(NUMBERS[:8], 400.0, XYZ, "fast")]
    got = []
    report = checked(Pipeline(model, [Fleet(wrong + good[:2] + fast + good[2:])], [got.append]).run())
    assert {p.device for p in got} == {"good"}
    assert report.ledger.faults == {"spec": 2}
    assert report.ledger.samples.dropped["fault"] == 16


def test_a_thousand_devices_one_of_which_floods_share_fairly(model, monkeypatch):
    entered, release = threading.Event(), threading.Event()

    def slow(prediction):
        entered.set()
        release.wait(20)

    def fleet():
        for i in range(3):
            for device in range(1000):
                yield Block(NUMBERS[i * 8 :][:8], 50.0, XYZ, f"device-{device:04d}")
        for _ in range(20_000):
            yield Block(NUMBERS[:8], 50.0, XYZ, "flood")
        release.set()

    seen = []
    source = Fleet(fleet())
    report = checked(
        Pipeline(
            model,
            [From(source, queue=4000)],
            [To(slow, when="device == 'device-0000' and sequence == 0"), lambda p: seen.append(p.device)],
        ).run()
    )
    counts = {device: len(list(group)) for device, group in itertools.groupby(sorted(seen))}
    assert all(counts.get(f"device-{d:04d}", 0) == 5 for d in range(1000)), "a quiet device lost a window"
    dropped = report.ledger.samples.dropped["overflow"]
    assert dropped > 0
    assert counts["flood"] > 0


def test_while_a_flood_is_looked_at_nobody_waits_for_all_of_it(model):
    """Blocks that hold many windows are not taken by the hundred."""
    begun, made = threading.Event(), []
    large = np.tile(NUMBERS, (2, 1))

    def fleet():
        for _ in range(200):
            yield Block(large, 50.0, XYZ, "flood")
        begun.wait(20)
        yield Block(NUMBERS[:8], 50.0, XYZ, "quiet")

    def note(prediction):
        begun.set()
        if prediction.device == "quiet":
            made.append(pipeline.snapshot().ledger.predictions)

    pipeline = Pipeline(model, [Fleet(fleet())], [note])
    report = checked(pipeline.run())
    assert report.predictions == 200 * 200  # the last one is the quiet one's
    assert made[0] < 30_000


def test_before_a_slow_sink_a_flood_takes_no_room_from_the_others(model):
    release, seen, all_of_them = threading.Event(), [], []
    flood = [Block(NUMBERS[:8], 50.0, XYZ, "flood") for _ in range(500)]
    quiet = [Block(NUMBERS[:8], 50.0, XYZ, f"device-{d:02d}") for d in range(60)]

    def slow(prediction):
        release.wait(20)
        seen.append((prediction.device, prediction.sequence))

    def fast(prediction):
        all_of_them.append(prediction)
        if len(all_of_them) == 999 + 60:  # the model has made all that there is
            release.set()

    source = From(Fleet(flood[:250] + quiet + flood[250:]), queue=1000)
    report = checked(Pipeline(model, [source], [To(slow, queue=100, name="slow"), fast]).run())
    assert {device for device, _ in seen} == {"flood", *(block.device for block in quiet)}
    assert report.ledger.sinks["slow"].dropped["overflow"] == 999 + 60 - len(seen) > 800
    of_the_flood = [sequence for device, sequence in seen if device == "flood"]
    assert of_the_flood == sorted(of_the_flood)


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
