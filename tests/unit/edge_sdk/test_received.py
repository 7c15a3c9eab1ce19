"""Predictions that a source yields: firmware that infers by itself."""

import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_sdk import DecisionSettings, Prediction
from edge_sdk.blocks import Block, Fault
from edge_sdk.commands.run import summary
from edge_sdk.config import From
from edge_sdk.errors import ConfigError
from edge_sdk.fusion import FusionSettings
from edge_sdk.inference import Inference
from edge_sdk.ledger import Samples
from edge_sdk.openmetrics import render
from edge_sdk.pipeline import Pipeline
from edge_sdk.screen import Rates, draw
from tests.exposition import parse
from tests.moments import moment
from tests.unit.edge_sdk.pipelines import FUSSY, NUMBERS, XYZ, Board, blocks, checked, decided, predictions


def test_a_prediction_is_decided_on_as_one_of_this_machine_s(model, firmware, said):
    expected = list(model.stream([Block(NUMBERS, 50.0, XYZ, "wrist", time_s=100.0)], FUSSY))
    assert {"start", "end"} <= {p.event for p in expected}
    for each in (model, firmware):
        streamed = list(each.stream(predictions(said, device="wrist"), FUSSY))
        assert decided(streamed) == decided(expected)
        assert [p.sequence for p in streamed] == list(range(len(expected)))
        assert len({p.run_id for p in streamed}) == 1
        assert {p.model for p in streamed} == {"linear"}


def test_through_a_pipeline_with_the_books_balanced(firmware, said):
    got = []
    pipeline = Pipeline(firmware, [predictions(said)], [got.append], decision=FUSSY, device="wrist")
    report = checked(pipeline.run())
    assert decided(got) == decided(firmware.stream(predictions(said), FUSSY))
    assert {(p.device, p.run_id) for p in got} == {("wrist", report.run_id)}
    assert report.ledger.samples == Samples()
    assert report.ledger.received == Samples(len(said), len(said))
    assert report.predictions == report.ledger.delivered == len(said)
    assert report.latency_us["max"] == 0
    assert "inference" not in summary(report)  # nobody said how long it took
    assert f"received     {len(said)} predictions of firmware" in summary(report)
    assert report.as_dict()["ledger"]["received"]["used"] == len(said)


def test_the_source_s_own_predictions_stay_as_they_are(firmware, said):
    given = predictions(said, 3, latency_us=812.0)
    got = list(firmware.stream(given, FUSSY))
    assert [(p.label, p.sequence, p.run_id) for p in given] == [(None, -1, "")] * 3
    assert [p.latency_us for p in got] == [812.0] * 3


def test_no_runtime_is_loaded(linear_file):
    code = (
        "import sys; from edge_sdk import Model, Prediction\n"
        f"with Model.load({str(linear_file)!r}, target='source:') as model:\n"
        "    (one,) = model.stream([Prediction.of([0.1, 0.2, 0.7])])\n"
        "print(one.label, model.runtime.name, [n for n in sys.modules if 'litert' in n or 'tflite' in n])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "z firmware []\n"


def test_samples_for_a_model_in_firmware_are_refused_in_one_line(firmware):
    with pytest.raises(
        ConfigError, match="model linear runs in firmware: expected a source that yields"
    ) as e:
        Pipeline(firmware, [blocks()], [print]).run()
    checked(e.value.report)


def test_a_source_that_only_predicts_needs_no_runtime_and_a_mixed_pipeline_one(linear_file):
    class Watch(Board):
        predicts = True

    def runtime(*sources):
        (loaded,) = Pipeline(linear_file, sources, [print]).load()
        with loaded:
            return loaded.runtime.name

    assert runtime(Watch([])) == runtime(Watch([]), Watch([])) == "firmware"
    assert runtime(Watch([]), "stdin:") == runtime([]) == "litert"


def test_one_board_predicts_and_another_sends_samples(model, said):
    got = []
    report = checked(
        Pipeline(
            model,
            [predictions(said, device="clever"), blocks(40, device="plain")],
            [got.append],
            decision=FUSSY,
        ).run()
    )
    by_device = {name: [p for p in got if p.device == name] for name in ("clever", "plain")}
    assert decided(by_device["clever"]) == decided(model.stream(predictions(said), FUSSY))
    assert [p.outputs.tolist() for p in by_device["plain"]] == [
        p.outputs.tolist() for p in model.stream(blocks(40), FUSSY)
    ]
    assert report.ledger.samples.read == 320
    assert report.ledger.received.used == len(said)
    assert report.predictions == len(got)


def test_beside_sensors_that_are_joined_predictions_pass(model, said):
    got = []
    halves = [
        [Block(NUMBERS[:80, :2], 50.0, XYZ[:2], time_s=100.0)],
        [Block(NUMBERS[:80, 2:], 50.0, XYZ[2:], time_s=100.0)],
    ]
    sources = [From(part, name=f"s{n}") for n, part in enumerate([*halves, predictions(said, 5)])]
    fusion = FusionSettings(clock="s0")
    checked(Pipeline(model, sources, [got.append], fusion=fusion, device="hub").run())
    assert [p.sequence for p in got if p.device == "hub-3"] == list(range(5))


def test_once_takes_one_and_counts_the_rest(firmware, said):
    got = []
    report = checked(Pipeline(firmware, [predictions(said)], [got.append]).run(once=True))
    assert len(got) == report.predictions == report.ledger.received.used == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_in_batches_and_one_by_one_predictions_keep_their_place(model, said, data):
    one, many = (Inference(model, DecisionSettings(smooth=2), run_id="r") for _ in range(2))
    expected, got = [], []
    for nth in range(data.draw(st.integers(1, 30))):
        device = data.draw(st.sampled_from(["a", "b"]))
        kind = data.draw(st.sampled_from(["block", "prediction", "nan", "fault"]))
        if kind == "fault":
            fault = Fault("lost", data.draw(st.integers(0, 2)), device=device, gap=data.draw(st.booleans()))
            one.fault(fault)
            many.fault(fault)
        elif kind == "block":
            block = Block(NUMBERS[nth : nth + 20], 50.0, XYZ, device, time_s=float(nth))
            expected += one.push(block)
            got += many.gather(block)
        else:
            outputs = said[nth][0] if kind == "prediction" else np.full(3, np.nan)
            prediction = Prediction.of(outputs, device=device, time_s=float(nth))
            expected += one.receive(prediction)
            got += many.receive(prediction)
        assert many.samples.balanced
        assert many.received.balanced
        if data.draw(st.booleans()):
            got += many.flush()
    got += many.flush()
    for name in ("a", "b"):
        mine, theirs = ([p for p in found if p.device == name] for found in (got, expected))
        assert [p.sequence for p in mine] == list(range(len(mine)))
        assert [(p.label, p.event, p.time_s) for p in mine] == [(p.label, p.event, p.time_s) for p in theirs]
    assert many.received == one.received
    assert many.samples == one.samples


def test_it_is_shown_and_measured():
    now = moment()
    assert b"edgeml_received" not in render(now)
    now.ledger.received = Samples(10, 7, 1, Counter(overflow=2))
    told = parse(render(now).decode())
    assert told["edgeml_received_predictions"].value() == 10
    assert told["edgeml_received_predictions_dropped"].value(reason="overflow") == 2
    assert now.ledger.balanced
    rates = Rates()
    rates.look(now, 1.0)
    text = "\n".join("".join(span for span, _ in line) for line in draw(now, rates, [], 100, 60))
    assert "RECEIVED     10 predictions of firmware = 7 decided + 1 pending + 2 dropped" in text
    now.ledger.received.used += 1
    assert not now.ledger.balanced


def test_a_snapshot_in_the_middle_of_a_run_balances(firmware, said):
    seen = []

    def look(prediction):
        seen.append(pipeline.snapshot())

    pipeline = Pipeline(firmware, [predictions(said, 20)], [look])
    checked(pipeline.run())
    assert all(now.ledger.balanced for now in seen)
    assert all(now.models[0].received <= now.models[0].windows <= 20 for now in seen)
    assert json.dumps(seen[-1].ledger.as_dict())
