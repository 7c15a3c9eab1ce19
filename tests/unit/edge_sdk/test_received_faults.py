"""Predictions of firmware that are wrong, lost or late."""

import itertools
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from edge_sdk import Prediction
from edge_sdk.blocks import Block, Fault
from edge_sdk.config import From
from edge_sdk.edges import EdgeSettings, Junction
from edge_sdk.errors import SpecError
from edge_sdk.feed import Feed
from edge_sdk.inference import Inference
from edge_sdk.ledger import Samples
from edge_sdk.outlet import Outlet
from edge_sdk.pipeline import Pipeline
from edge_sdk.roster import RosterSettings
from edge_sdk.watch import SensorSettings
from tests.unit.edge_sdk.pipelines import (
    FUSSY,
    NUMBERS,
    XYZ,
    Fleet,
    blocks,
    checked,
    predictions,
)


@pytest.mark.parametrize(
    ("outputs", "found"),
    [
        ([0.5, 0.5], "2"),
        ([], "0"),
        (np.zeros((2, 3)), "6"),
        ("walk", "could not convert"),
        ([[1], [2, 3]], "setting"),
    ],
)
def test_outputs_that_are_not_the_model_s_end_the_run_in_one_line(firmware, outputs, found):
    prediction = replace(Prediction.of([0.0]), outputs=outputs)
    with pytest.raises(SpecError, match=f"linear: outputs: expected .*numbers, found {found}") as caught:
        Pipeline(firmware, [[*blocks(0), prediction]], [print]).run()
    assert checked(caught.value.report).ledger.received == Samples(1, dropped=Counter(fault=1))


def test_one_wrong_device_of_many_is_a_fault_of_that_one(firmware, said):
    good = predictions(said, 4, "good")
    bad = [Prediction.of([1.0], device="bad") for _ in range(4)]
    report = checked(
        Pipeline(firmware, [Fleet(itertools.chain(*zip(good, bad, strict=True)))], [print]).run()
    )
    assert report.ledger.faults["spec"] == 4
    assert report.ledger.received == Samples(8, 4, dropped=Counter(fault=4))


def test_what_is_no_number_is_a_fault_and_smoothing_starts_over(firmware):
    up, down = [0.9, 0.1, 0.0], [0.0, 0.1, 0.9]
    items = [Prediction.of(outputs) for outputs in (up, [np.nan, 1, 0], down)]
    first, last = Inference(firmware, FUSSY), []
    for item in items:
        last += first.receive(item)
    assert [round(p.score, 6) for p in last] == [0.9, 0.9]  # not the mean of the two
    assert first.faults == {"not_a_number": 1}
    assert first.received.balanced


def test_smoothing_spans_no_gap_that_the_source_tells(firmware):
    up, down = [0.9, 0.1, 0.0], [0.0, 0.1, 0.9]

    def scores(*between):
        items = [Prediction.of(up, device="d"), *between, Prediction.of(down, device="d")]
        return [round(p.score, 6) for p in firmware.stream(items, FUSSY)]

    assert scores() == [0.9, 0.45]
    assert scores(Fault("lost", detail="2 frames", device="d", gap=True)) == [0.9, 0.9]
    assert scores(Fault("silence", device="d")) == [0.9, 0.45]
    assert scores(Fault("lost", device="other", gap=True)) == [0.9, 0.45]


def test_a_gap_breaks_windows_too_even_when_the_fault_itself_falls_off_its_way(model):
    first, second = Block(NUMBERS[:6], 50.0, XYZ, "d"), Block(NUMBERS[6:12], 50.0, XYZ, "d")
    assert list(model.stream([first, Fault("lost", device="d", gap=True), second])) == []
    assert len(list(model.stream([first, Fault("lost", device="d"), second]))) == 2

    junction, numbers = Junction(), []

    def source():
        """Reads what it sends itself, so that the fault is the older of two when there is room for one."""
        yield first
        numbers.extend(junction.take())
        yield Fault("lost", gap=True, device="d")
        yield second
        numbers.extend(junction.take())

    feed = Feed("board", source, RosterSettings(), print)
    outlet = Outlet(feed, junction, EdgeSettings("latest"))
    feed.outlets.append(outlet)
    feed.thread.start()
    feed.thread.join(20)
    assert outlet.edge.dropped == {"overflow": 1}
    inference = Inference(model)
    assert [p for each in numbers for p in inference.push(each.item, each.number)] == []
    assert inference.samples.dropped == {"gap": 6}


class Slow:
    """A model whose answers take their time."""

    def __init__(self, model, seconds):
        self._model, self._seconds = model, seconds

    def __getattr__(self, name):
        return getattr(self._model, name)

    def interpret(self, outputs, latency_us=0.0):
        time.sleep(self._seconds)
        return self._model.interpret(outputs, latency_us)


def test_what_falls_off_its_way_is_counted_and_breaks_the_smoothing(firmware, said):
    source = From(predictions(said), policy="drop_oldest", queue=2)
    report = checked(Pipeline(Slow(firmware, 0.005), [source], [print]).run())
    received = report.ledger.received
    assert received.read == len(said)
    assert received.dropped["overflow"] > 50
    assert report.predictions == received.used


def test_a_device_too_many_is_a_counted_fault(firmware, said):
    devices = RosterSettings(limit=2)
    items = [p for name in "abc" for p in predictions(said, 3, name)]
    report = checked(Pipeline(firmware, [Fleet(items)], [print], devices=devices).run())
    assert report.ledger.received == Samples(9, 6, dropped=Counter(fault=3))
    assert report.ledger.faults["too_many_devices"] == 3
    inference = Inference(firmware, devices=devices)
    assert len([p for item in items for p in inference.receive(item)]) == 6
    assert inference.received.dropped == {"fault": 3}


def test_something_else_is_refused(firmware):
    with pytest.raises(SpecError, match="source list: expected blocks or predictions, found int"):
        Pipeline(firmware, [[3]], [print]).run()
    with pytest.raises(SpecError, match="the source: expected blocks or predictions, found int"):
        list(firmware.stream([3]))


def test_silence_ends_with_a_prediction_and_is_measured_by_the_model_s_hop(firmware, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("edge_sdk.inference.time.monotonic", lambda: clock[0])
    inference = Inference(firmware, sensor=SensorSettings(silence_s=1.0))
    list(inference.receive(Prediction.of([0.1, 0.2, 0.7], device="d")))
    clock[0] = 2.0
    inference.sweep(each_device=True)
    assert inference.troubled == {"d": "silence: no sample for 1 s"}
    (after,) = inference.receive(Prediction.of([0.1, 0.2, 0.7], device="d"))
    assert inference.troubled == {}
    assert after.fault is None
    slow = Inference(replace_rate(firmware, 0.5), sensor=SensorSettings(silence_s=1.0))
    list(slow.receive(Prediction.of([0.1, 0.2, 0.7], device="d")))  # one is due every 8 s
    clock[0] += 20.0
    slow.sweep(each_device=True)
    assert slow.troubled == {}


def replace_rate(model, rate_hz):
    class Other:
        contract = replace(model.contract, input=replace(model.contract.input, rate_hz=rate_hz))

        def __getattr__(self, name):
            return getattr(model, name)

    return Other()
