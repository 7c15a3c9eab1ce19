"""Whose model a prediction of firmware is, and what is known of it."""

from dataclasses import replace

import numpy as np
import pytest

from edge_sdk import Config, Model, ModelFile, Prediction
from edge_sdk.commands.check import describe
from edge_sdk.config import To
from edge_sdk.errors import ConfigError, ModelError, SpecError
from edge_sdk.ledger import Samples
from edge_sdk.pipeline import Pipeline
from tests import kinds
from tests.models import Linear, contract, write_model
from tests.unit.edge_sdk.pipelines import FUSSY, Board, blocks, checked, decided, predictions


def test_a_board_that_runs_another_model_is_an_error_of_one_line(linear_file, firmware, said):
    other = "sha256:" + "ab" * 32
    with pytest.raises(ModelError) as caught:
        Pipeline(linear_file, [Board(predictions(said), other)], [print]).run()
    assert str(caught.value) == (
        f"source Board: the firmware runs another model: expected linear, {firmware.digest[:19]}, "
        "found sha256:abababababab; flash it anew, or name the file of the model that it runs"
    )
    with pytest.raises(ModelError, match="the source: the firmware runs another model"):
        list(firmware.stream(Board(predictions(said), other)))
    # Whoever sends samples may run what it likes.
    assert checked(Pipeline(linear_file, [Board(blocks(), other)], [print]).run()).predictions == 19


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


def test_a_model_s_when_that_wants_none_of_it_counts_nothing(linear_file, said):
    report = checked(
        Pipeline(ModelFile(file=str(linear_file), when="device == 'x'"), [predictions(said)], [print]).run()
    )
    assert report.predictions == 0
    assert report.ledger.received is None


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


def test_a_target_that_runs_nothing_says_so(linear_file, tmp_path):
    for url in ("source:x", "source:?threads=2"):
        with pytest.raises(ConfigError, match="source:"):
            Model.load(linear_file, target=url)
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
