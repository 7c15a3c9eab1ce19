"""Predictions that a source yields: firmware that infers by itself."""

import itertools
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_sdk import Config, DecisionSettings, Model, ModelFile, Prediction
from edge_sdk.blocks import Block, Fault
from edge_sdk.commands.check import describe
from edge_sdk.commands.run import summary
from edge_sdk.config import From, To
from edge_sdk.edges import EdgeSettings, Junction
from edge_sdk.errors import ConfigError, ModelError, SpecError
from edge_sdk.feed import Feed
from edge_sdk.fusion import FusionSettings
from edge_sdk.inference import Inference
from edge_sdk.ledger import Samples
from edge_sdk.openmetrics import render
from edge_sdk.outlet import Outlet
from edge_sdk.pipeline import Pipeline
from edge_sdk.roster import RosterSettings
from edge_sdk.screen import Rates, draw
from edge_sdk.watch import SensorSettings
from edge_sdk.windows import cut
from tests import kinds
from tests.exposition import parse
from tests.models import Linear, contract, write_model
from tests.moments import moment

XYZ = ("ax", "ay", "az")
NUMBERS = np.random.default_rng(3).normal(size=(400, 3)).astype(np.float32)
FUSSY = DecisionSettings(threshold=0.6, smooth=3, hold_s=0.1, release=0.4)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "m.tflite")


@pytest.fixture(scope="module")
def model(file):
    with Model.load(file) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def firmware(file):
    with Model.load(file, target="source:") as loaded:
        yield loaded


@pytest.fixture(scope="module")
def said(model):
    """What the model says about the windows of NUMBERS, at the times of a recording that begins at 100 s."""
    windows = cut(NUMBERS, model.window, model.hop)
    return [
        (model.run(window).outputs, 100 + (model.window - 1 + nth * model.hop) / 50)
        for nth, window in enumerate(windows)
    ]


def predictions(said, n=None, device="", **more):
    return [Prediction.of(outputs, device=device, time_s=at_s, **more) for outputs, at_s in said[:n]]


def blocks(n=10, size=8, device="", **more):
    return [Block(NUMBERS[i * size % 392 :][:size], 50.0, XYZ, device, **more) for i in range(n)]


def decided(found):
    return [(p.label, round(p.score, 6), p.event, round(p.time_s, 6), p.outputs.tolist()) for p in found]


def checked(report):
    assert report.ledger.balanced, report.ledger.as_dict()
    return report


class Board:
    """A source with a digest, as one that asks its firmware."""

    live = True

    def __init__(self, items, digest=None):
        self.items, self.digest = items, digest

    def __iter__(self):
        return iter(self.items)

    def close(self):
        pass


class Fleet(Board):
    many = True


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


def test_no_runtime_is_loaded(file):
    code = (
        "import sys; from edge_sdk import Model, Prediction\n"
        f"with Model.load({str(file)!r}, target='source:') as model:\n"
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


def test_a_source_that_only_predicts_needs_no_runtime_and_a_mixed_pipeline_one(file):
    class Watch(Board):
        predicts = True

    def runtime(*sources):
        (loaded,) = Pipeline(file, sources, [print]).load()
        with loaded:
            return loaded.runtime.name

    assert runtime(Watch([])) == runtime(Watch([]), Watch([])) == "firmware"
    assert runtime(Watch([]), "stdin:") == runtime([]) == "litert"


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


def test_a_board_that_runs_another_model_is_an_error_of_one_line(file, firmware, said):
    other = "sha256:" + "ab" * 32
    with pytest.raises(ModelError) as caught:
        Pipeline(file, [Board(predictions(said), other)], [print]).run()
    assert str(caught.value) == (
        f"source Board: the firmware runs another model: expected linear, {firmware.digest[:19]}, "
        "found sha256:abababababab; flash it anew, or name the file of the model that it runs"
    )
    with pytest.raises(ModelError, match="the source: the firmware runs another model"):
        list(firmware.stream(Board(predictions(said), other)))
    # Whoever sends samples may run what it likes.
    assert checked(Pipeline(file, [Board(blocks(), other)], [print]).run()).predictions == 19


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two models of one interface that say unlike things."""
    folder = tmp_path_factory.mktemp("pair")
    other = write_model(folder / "other.tflite", Linear(window=10), name="other")
    return [str(write_model(folder / "one.tflite", name="one")), str(other)]


def test_the_digest_says_which_of_several_models_it_is(pair, said):
    digests = [Model.load(each, target="source:").digest for each in pair]
    got = []
    sources = [Board(predictions(said, 5, f"board-{n}"), digest) for n, digest in enumerate(digests)]
    report = checked(Pipeline(pair, sources, [got.append]).run())
    assert {(p.device, p.model) for p in got} == {("board-0", "one"), ("board-1", "other")}
    assert report.ledger.received == Samples(10, 10)
    assert set(report.ledger.models) == {"one", "other"}


def test_of_several_models_a_prediction_s_name_or_a_when_says_whose_it_is(pair, said):
    got = []
    named = [*predictions(said, 3, "a", model="other"), *predictions(said, 2, "a", model="one")]
    mixed = [named[i] for i in (0, 3, 1, 4, 2)]
    checked(Pipeline(pair, [mixed], [got.append], decision=FUSSY).run())
    assert sorted((p.model, p.sequence) for p in got) == [
        *(("one", n) for n in range(2)),
        *(("other", n) for n in range(3)),
    ]
    alone = list(Model.load(pair[1], target="source:").stream(predictions(said, 3, "a"), FUSSY))
    assert decided(p for p in got if p.model == "other") == decided(alone)  # no gap between them

    got.clear()
    files = [ModelFile(file=pair[0], when="device == 'b'"), ModelFile(file=pair[1], when="device != 'b'")]
    checked(Pipeline(files, [predictions(said, 3, "a")], [got.append]).run())
    assert {p.model for p in got} == {"other"}

    with pytest.raises(SpecError, match="expected one, other, found third"):
        Pipeline(pair, [predictions(said, 3, model="third")], [print]).run()
    with pytest.raises(ConfigError, match="may be of more than one model: expected one, found one, other"):
        Pipeline(pair, [predictions(said, 3)], [print]).run()


def test_a_model_s_when_that_wants_none_of_it_counts_nothing(file, said):
    report = checked(
        Pipeline(ModelFile(file=str(file), when="device == 'x'"), [predictions(said)], [print]).run()
    )
    assert report.predictions == 0
    assert report.ledger.received is None


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


def test_once_takes_one_and_counts_the_rest(firmware, said):
    got = []
    report = checked(Pipeline(firmware, [predictions(said)], [got.append]).run(once=True))
    assert len(got) == report.predictions == report.ledger.received.used == 1


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


def test_outputs_of_a_model_with_several_may_come_all_together(tmp_path):
    net = kinds.Net()
    x = net.input("x", [1, 3])
    net.output("middle", kinds.mean(net, x, net.constant(np.array([1], np.int32)), [1, 1], keep=True))
    net.output("off", net.op("SUB", [x, net.constant(np.ones(3, np.float32))], [1, 3]))
    path = kinds.write(tmp_path / "two.tflite", net.flatbuffer())
    with Model.load(path) as model, Model.load(path, target="source:") as firmware:
        assert len(model.outputs) > 1
        assert (firmware.inputs, firmware.outputs) == (model.inputs, model.outputs)
        window = np.random.default_rng(1).normal(size=model.input_shape).astype(np.float32)
        expected = model.run(window)
        every = np.concatenate([part.ravel() for part in model.run_all(window).values()])
        assert every.size > expected.outputs.size
        for each in (model, firmware):
            for outputs in (expected.outputs, every):
                (found,) = each.stream([Prediction.of(outputs)])
                assert (found.label, found.value) == (expected.label, expected.value)
                assert found.outputs.tolist() == expected.outputs.tolist()


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


CONTRACT = """
[contract]
name = "gesture"
task = "classification"
input = {channels = [{name = "ax"}], rate_hz = 50, window = 100, hop = 50}
output = {labels = ["rest", "wave"]}
decision = {threshold = 0.7, background = ["rest"]}

[[source]]
url = "stdin:"
"""


def test_a_contract_alone_is_a_model_in_firmware():
    config = Config.parse(CONTRACT)
    assert config.model == (ModelFile(target="source:"),)
    assert Config.parse(config.to_toml()) == config
    pipeline = Pipeline.from_config(config)
    preview = pipeline.preview()
    assert preview["model"]["labels"] == ["rest", "wave"]
    assert "model    gesture    firmware" in describe(preview)
    assert pipeline.config == config
    got = []
    outputs = [[0.9, 0.1], [0.2, 0.8], [0.8, 0.2]]
    pipeline = Pipeline(
        ModelFile(target="source:", contract=dict(config.contract)),
        [[Prediction.of(each) for each in outputs]],
        [To(got.append, when="event == 'start' and label == 'wave'")],
    )
    assert checked(pipeline.run()).predictions == 3
    assert [(p.label, p.sequence) for p in got] == [("wave", 1)]


def test_a_regression_s_contract_alone(said):
    facts = replace(contract(), task="regression", output=replace(contract().output, labels=()), tensors=())
    with Model.load("", target="source:", contract=facts) as model:
        (one,) = model.stream([Prediction.of([36.6])])
    assert one.value == pytest.approx(36.6)
    assert one.label is None


@pytest.mark.parametrize(
    "text",
    [
        '[model]\ntarget = "source:"\n[[source]]\nurl = "stdin:"\n',
        '[model]\nname = "m"\n[[source]]\nurl = "stdin:"\n' + CONTRACT.partition("[[source]]")[0],
    ],
)
def test_a_model_without_a_file_says_what_is_missing(text):
    with pytest.raises(ConfigError, match=r"a model without a file: expected file = .*\[contract\]"):
        Config.parse(text)
    with pytest.raises(ConfigError, match="a model without a file"):
        Pipeline(ModelFile(target="source:"), ["stdin:"]).load()


def test_a_target_that_runs_nothing_says_so(file, tmp_path):
    for url in ("source:x", "source:?threads=2"):
        with pytest.raises(ConfigError, match="source:"):
            Model.load(file, target=url)
    with pytest.raises(ConfigError, match="expected file = 'model.tflite', or a"):
        Model.load("", target="source:")
    for name, content in (("missing.tflite", None), ("text.tflite", b"no model, but text of some length")):
        if content:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match=name):
            Model.load(tmp_path / name, target="source:")
    from edge_sdk.targets import open_target

    target = open_target("source:")
    target.check()
    with pytest.raises(ConfigError, match="such as host:"):
        target.latency({}, [])


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
