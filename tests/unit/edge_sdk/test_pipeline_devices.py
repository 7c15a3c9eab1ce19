"""Many devices: each with windows of its own, and a fair share."""

import itertools
import threading
import time

import numpy as np

from edge_sdk.blocks import Block
from edge_sdk.config import From, To
from edge_sdk.pipeline import Pipeline
from tests.unit.edge_sdk.pipelines import NUMBERS, XYZ, Fleet, Plugin, blocks, checked


def test_several_devices_and_sources_keep_their_own_windows(model):
    pairs = zip(blocks(10, device="a"), blocks(10, device="b"), strict=True)
    mixed = [block for pair in pairs for block in pair]
    sink = Plugin()
    report = checked(Pipeline(model, [mixed, blocks(10), blocks(10)], [sink], device="hub").run())
    assert {device for device, _ in sink.got} == {"a", "b", "hub-2", "hub-3"}
    for device in ("a", "b", "hub-2", "hub-3"):
        assert [number for name, number in sink.got if name == device] == list(range(19))
    assert report.predictions == 4 * 19


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
