"""What models of other tasks say: several labels, values, anomalies; and their events in a stream."""

from dataclasses import replace

import numpy as np
import pytest

from edge_sdk import Block, ContractError, DecisionSettings, Pipeline, SpecError
from edge_sdk.contract import Channel, Output, Tensor
from edge_sdk.inference import Inference
from edge_sdk.schema import parse_contract
from tests import kinds
from tests.kinds import Net, contract, write

NAMES = ("ax", "ay")


@pytest.fixture(scope="module")
def loaded():
    with kinds.loading() as loaded:
        yield loaded


def facts(task, output, outputs, decision=None):
    made = contract(NAMES, 4, Tensor("input", "x", "float32", (1, 4, 2)), hop=4)
    made.tensors = (*made.tensors, Tensor("output", "y", "float32", (1, outputs)))
    return replace(made, task=task, output=output, decision=decision or DecisionSettings())


def means(outputs=2):
    """y: the mean of each channel over time, or of the first alone."""
    net = Net()
    x = net.input("x", [-1, 4, 2])
    each = kinds.mean(net, x, net.constant(np.array([1], np.int32)), [-1, 2])
    if outputs == 1:
        begin, size = (net.constant(np.array(v, np.int32)) for v in ([0, 0], [-1, 1]))
        each = net.op("SLICE", [each, begin, size], [-1, 1])
    net.output("y", each)
    return net.flatbuffer()


@pytest.fixture
def model(loaded, tmp_path):
    return lambda outputs, made: loaded(write(tmp_path / "m.tflite", means(outputs), made))


MULTILABEL = facts("multilabel", Output(("fan", "mixer")), 2)
ANOMALY = facts("anomaly", Output(("normal", "anomaly"), "value"), 1, DecisionSettings(threshold=0.6))
VALUES = Output(scores="value", values=(Channel("flow", "l/min"), Channel("level", "m")))


def window(*levels):
    return np.tile(np.array(levels, np.float32), (4, 1))


def test_of_several_labels_the_highest_leads_and_all_above_are_had(model):
    it = model(2, MULTILABEL)
    prediction = it.run(window(0.7, 0.9))
    assert (prediction.label, prediction.value) == ("mixer", None)
    assert prediction.score == pytest.approx(0.9)
    assert list(it.above(prediction)) == ["mixer", "fan"]
    assert it.above(prediction, 0.8) == {"mixer": pytest.approx(0.9)}
    assert it.above(it.run(window(0.1, 0.2))) == {}


def test_a_stream_has_a_prediction_for_each_event_of_a_window(model):
    it = model(2, MULTILABEL)
    levels = [(0.1, 0.1), (0.7, 0.9), (0.7, 0.1), (0.1, 0.1)]
    samples = np.concatenate([window(*pair) for pair in levels])
    found = list(it.stream([Block(samples, 50.0, NAMES, "kitchen")]))
    assert [(p.sequence, p.label, p.event) for p in found] == [
        (0, "fan", None),
        (1, "mixer", "start"),
        (2, "fan", "start"),
        (3, "mixer", "end"),
        (4, "fan", "end"),
    ]
    assert found[1].time_s == found[2].time_s


def test_the_books_hold_when_a_window_has_several_events(model, tmp_path):
    model(2, MULTILABEL)
    samples = np.concatenate([window(0.1, 0.1), window(0.7, 0.9), window(0.1, 0.1)])
    taken = []
    report = Pipeline(
        str(tmp_path / "m.tflite"), sources=[[Block(samples, 50.0, NAMES, "k")]], sinks=[taken.append]
    ).run()
    assert report.ledger.balanced
    assert report.ledger.predictions == len(taken) == 5


def test_batches_tell_the_same_events(model):
    it = model(2, MULTILABEL)
    samples = np.concatenate([window(0.1, 0.1), window(0.7, 0.9), window(0.1, 0.1)])
    block = Block(samples, 50.0, NAMES, "k")
    one, many = Inference(it), Inference(it)
    pushed = list(one.push(block))
    gathered = [*many.gather(block), *many.flush()]
    told = [[(p.sequence, p.label, p.event) for p in each] for each in (pushed, gathered)]
    assert told[0] == told[1]
    assert len(told[0]) == 5


def test_an_anomaly_is_a_value_and_a_label(model):
    it = model(1, ANOMALY)
    assert it.labels == ("normal", "anomaly")
    for level, label in ((0.59, "normal"), (0.7, "anomaly")):
        prediction = it.run(window(level, 0))
        assert (prediction.label, prediction.score) == (label, None)
        assert prediction.value == pytest.approx(level)
    assert str(it.run(window(0.7, 0))).endswith("0.7")
    assert [p.label for p in it.run_batch(np.stack([window(0.1, 0), window(0.9, 0)]))] == [
        "normal",
        "anomaly",
    ]


def test_alarms_are_events_at_the_threshold_of_whoever_runs_it(model):
    it = model(1, ANOMALY)
    samples = np.concatenate([window(level, 0) for level in (0.1, 0.7, 0.7, 0.2)])
    events = [(p.label, p.event) for p in it.stream([Block(samples, 50.0, NAMES, "motor")])]
    assert events == [("normal", None), ("anomaly", "start"), ("anomaly", None), ("anomaly", "end")]
    lenient = DecisionSettings(threshold=0.8)
    assert all(p.event is None for p in it.stream([Block(samples, 50.0, NAMES, "motor")], lenient))


def test_the_first_value_leads_and_all_are_there(model):
    prediction = model(2, facts("regression", VALUES, 2)).run(window(30, 0.5))
    assert (prediction.label, prediction.score, prediction.value) == (None, None, 30)
    assert prediction.outputs.tolist() == [30, 0.5]


def test_outputs_that_are_not_those_of_the_task_are_refused(model):
    with pytest.raises(SpecError, match="an anomaly detector: expected one score"):
        model(2, replace(ANOMALY, tensors=facts("anomaly", Output(), 2).tensors))
    with pytest.raises(SpecError, match="labels: expected 1, one for each output, found 2"):
        model(1, facts("multilabel", Output(("fan", "mixer")), 1))


@pytest.mark.parametrize(
    ("task", "output", "message"),
    [
        ("multilabel", {}, "output.labels: expected at least one label"),
        ("anomaly", {"labels": ["normal"]}, "output.labels: expected what is normal and what is not"),
        ("classification", {"labels": ["a"], "values": [{"name": "x"}]}, "output.values: expected none"),
        ("regression", {"values": [{"name": "x"}, {"name": "x"}]}, "output.values: expected unlike names"),
        ("segmentation", {}, "task"),
    ],
)
def test_a_contract_that_contradicts_its_task_is_refused(task, output, message):
    plain = facts("regression", Output(), 1).as_dict() | {"task": task, "output": output}
    with pytest.raises(ContractError, match=message):
        parse_contract(plain)


def test_values_come_back_with_their_units():
    made = facts("regression", VALUES, 2)
    assert parse_contract(made.to_json()).output == VALUES
    assert b"values" not in facts("regression", Output(), 1).to_json()
