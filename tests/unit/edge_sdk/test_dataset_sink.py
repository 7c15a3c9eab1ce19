import itertools
import json

import numpy as np
import pytest

from edge_sdk.blocks import Block
from edge_sdk.config import To
from edge_sdk.dataset import Dataset
from edge_sdk.errors import ConfigError, Fatal, Rejected
from edge_sdk.pipeline import Pipeline
from edge_sdk.prediction import Prediction
from edge_sdk.sinks.dataset import Sink

XYZ = ("ax", "ay", "az")
NUMBERS = np.random.default_rng(3).normal(size=(400, 3)).astype(np.float32)


def blocks(n=10, size=20, **more):
    return [
        Block(NUMBERS[i * size % 380 :][:size], 50.0, XYZ, time_s=i * size / 50, **more) for i in range(n)
    ]


def said(folder):
    return [json.loads(line) for line in (folder / "captured.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("batched", [False, True])
def test_windows_as_the_model_saw_them(model, tmp_path, batched):
    folder, seen = tmp_path / "captured", []
    given = blocks(1, 200) if not batched else blocks(40, 8, device="press-7")
    pipeline = Pipeline(model, [given], [f"dataset:{folder}", seen.append], device="press-7")
    report = pipeline.run()
    assert report.ledger.balanced
    dataset = Dataset.load(folder)
    assert dataset.rate_hz == model.contract.input.rate_hz
    assert [channel.name for channel in dataset.channels] == list(XYZ)
    lines = said(folder)
    assert len(lines) == len(dataset.recordings) == report.predictions > 3
    for line, prediction in zip(lines, seen, strict=True):
        recording = next(each for each in dataset.recordings if each.file == line["file"])
        assert recording.label is None
        window = dataset.read(recording).samples
        assert model.run(window).outputs.tolist() == prediction.outputs.tolist()
        assert (line["run_id"], line["sequence"]) == (prediction.run_id, prediction.sequence)


def test_only_what_is_asked_for(model, tmp_path):
    seen = []
    sink = To(f"dataset:{tmp_path / 'captured'}?label=odd&group=anna", when="sequence == 2")
    Pipeline(model, [blocks(1, 200)], [sink, seen.append]).run()
    dataset = Dataset.load(tmp_path / "captured")
    assert [(each.label, each.group) for each in dataset.recordings] == [("odd", "anna")]
    assert [each.window is not None for each in seen] == [each.sequence == 2 for each in seen]


def test_no_window_is_copied_where_nobody_keeps_them(model):
    seen = []
    Pipeline(model, [blocks()], [seen.append]).run()
    assert seen
    assert all(each.window is None for each in seen)


def test_one_in_a_while(model, tmp_path):
    Pipeline(model, [blocks(20)], [f"dataset:{tmp_path / 'c'}?every_s=3"]).run()
    times = [line["time_s"] for line in said(tmp_path / "c")]
    assert len(times) > 1
    assert all(later - earlier >= 3 for earlier, later in itertools.pairwise(times))


def test_the_oldest_make_room(model, tmp_path):
    folder = tmp_path / "c"
    for _ in range(2):
        Pipeline(model, [blocks(20)], [f"dataset:{folder}?max_mb=0.003"]).run()
    files = sorted((folder / "recordings").iterdir())
    assert sum(path.stat().st_size for path in files) <= 3000
    assert {f"recordings/{path.name}" for path in files} == {
        line["file"] for line in said(folder)[-len(files) :]
    }


def test_written_again_it_is_the_same_recording(model, tmp_path):
    seen = []
    Pipeline(model, [blocks()], [f"dataset:{tmp_path / 'a'}", seen.append]).run()
    with Sink(str(tmp_path / "b")) as sink:
        sink.begin(_Run(model.contract))
        sink.write(seen[:2])
        sink.write(seen[:2])
    assert len(Dataset.load(tmp_path / "b").recordings) == 2


class _Run:
    model = "m"

    def __init__(self, contract):
        self.contract = contract


def test_a_model_that_tells_nothing(tmp_path):
    with Sink(str(tmp_path / "b")) as sink, pytest.raises(Fatal, match="expected a model with a contract"):
        sink.begin(_Run(None))


def test_what_firmware_says_has_no_samples(model, tmp_path):
    with Sink(str(tmp_path / "b")) as sink:
        sink.begin(_Run(model.contract))
        with pytest.raises(Rejected, match="found a prediction that was made elsewhere"):
            sink.write([Prediction.of([0.1], device="a")])


@pytest.mark.parametrize("url", ["dataset:", "dataset:c?max_mb=0", "dataset:c?every_s=-1"])
def test_options_that_cannot_be(model, url):
    with pytest.raises(ConfigError):
        Pipeline(model, [blocks()], [url]).run()
