import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters import representative
from edge_sdk import modelfile
from edge_sdk.contract import Contract, Input, Output
from edge_sdk.dataset import Dataset
from edge_sdk.errors import DatasetError, ModelError
from tests import mixed_units
from tests.unit.converters.graphs import tensor

INPUT = tensor(0, "x", (1, 40, 7))
LABELS = ("rise", "still", "turn", "turn_and_rise")  # not the dataset's order


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return mixed_units.write_dataset(tmp_path_factory.mktemp("dataset") / "mixed")


def contract(**changes: object) -> Contract:
    expect = Input(tuple(reversed(mixed_units.CHANNELS)), 50.0, 40, 20)
    facts = Contract(name="m", task="classification", input=expect, output=Output(LABELS))
    return replace(facts, **changes)


def run(data: Dataset, **changes: object) -> dict[str, bytes]:
    facts = {
        "dataset": {"path": str(data.folder), "digest": data.digest},
        "split": {"by": "subject", "train": ["s0", "s1"], "validation": ["s2"], "test": ["s3"]},
        "seed": 4,
    }
    return {modelfile.RUN: json.dumps({**facts, **changes}).encode()}


def test_windows_come_from_the_groups_of_the_training_run(data: Dataset) -> None:
    source = representative.find_source(run(data), None)
    assert source is not None
    assert (source.train, source.test, source.seed, source.note) == (("s0", "s1"), ("s3",), 4, None)
    found = representative.gather(source, contract(), INPUT, 40)
    assert set(found.groups) == {"s3"}
    assert found.calibration is not None
    assert found.calibration[0].shape == (40, 40, 7)
    assert sum(count for _, count in found.counts) == 40


def test_channels_and_labels_are_put_in_the_models_order(data: Dataset) -> None:
    source = representative.find_source(run(data), None)
    assert source is not None
    found = representative.gather(source, contract(), INPUT, 10)
    straight = data.windows(("s3",), 40, 20)
    assert np.array_equal(found.inputs[0], straight.x[..., ::-1])
    assert found.labels is not None
    assert [LABELS[i] for i in found.labels] == [data.labels[i] for i in straight.y]


def test_a_folder_with_the_same_groups_keeps_the_split(data: Dataset) -> None:
    source = representative.find_source(
        run(data, dataset={"path": "/gone", "digest": "sha256:0"}), data.folder
    )
    assert source is not None
    assert source.train == ("s0", "s1")


def test_other_groups_are_split_anew_and_it_is_said(data: Dataset) -> None:
    other = {"train": ["anna"], "test": ["ben"]}
    source = representative.find_source(run(data, split=other), data.folder)
    assert source is not None
    assert source.train == data.split(4).train
    assert source.note is not None
    assert "split anew with seed 4" in source.note
    unknown = representative.find_source({}, data.folder)
    assert unknown is not None
    assert unknown.note is not None
    assert "what the model was trained on is unknown" in unknown.note


def test_without_data_there_is_no_source(data: Dataset) -> None:
    assert representative.find_source({}, None) is None
    with pytest.raises(ModelError, match="damaged"):
        representative.find_source({modelfile.RUN: b"{}"}, None)
    with pytest.raises(DatasetError, match=r"not there; say where it is with --data DIR"):
        representative.find_source(run(data, dataset={"path": "/gone", "digest": "x"}), None)
    with pytest.raises(DatasetError, match="has changed since"):
        representative.find_source(run(data, dataset={"path": str(data.folder), "digest": "sha256:0"}), None)


def test_a_dataset_that_does_not_fit_is_refused(data: Dataset) -> None:
    source = representative.find_source(run(data), None)
    assert source is not None
    odd = Input((*mixed_units.CHANNELS, replace(mixed_units.CHANNELS[0], name="mx")), 50.0, 40, 20)
    with pytest.raises(DatasetError, match="channel 'mx' is missing"):
        representative.gather(source, contract(input=odd), INPUT, 10)
    with pytest.raises(ModelError, match=r"expected an input of \[40, 7\], found \[40, 3\]"):
        representative.gather(source, contract(), tensor(0, "x", (1, 40, 3)), 10)
    with pytest.raises(DatasetError, match="does not know the label 'turn_and_rise'"):
        representative.gather(source, contract(output=Output(LABELS[:3])), INPUT, 10)


def test_a_task_without_classes_has_no_labels(data: Dataset) -> None:
    source = representative.find_source(run(data), None)
    assert source is not None
    found = representative.gather(source, contract(task="regression", output=Output((), "value")), INPUT, 10)
    assert found.labels is None


def test_a_foreign_model_gets_a_contract_that_fits_it(data: Dataset) -> None:
    source = representative.find_source({}, data.folder)
    assert source is not None
    facts = representative.contract_for(source, "other", [40, 7], 4)
    assert (facts.input.window, facts.input.hop, facts.input.layout) == (40, 20, "TC")
    assert facts.output.labels == data.labels
    assert facts.reference is not None
    assert facts.reference.input.std[3] == pytest.approx(58, rel=0.1)  # noise of 40 dps and a swing of 60
    with pytest.raises(ModelError, match="an input with 7 channels"):
        representative.contract_for(source, "other", [40, 6], 4)
    with pytest.raises(ModelError, match="4 scores, one for each label"):
        representative.contract_for(source, "other", [40, 7], 5)
    assert Path(data.folder).is_dir()


@pytest.mark.parametrize(
    "run",
    [
        b"[" * 100_000,
        b'{"dataset": 3, "split": []}',
        b'{"dataset": {"path": 3, "digest": "x"}, "split": {"train": [], "test": []}}',
        b'{"dataset": {"path": "x", "digest": "x"}, "split": {"train": [1], "test": []}}',
        b'{"dataset": {"path": "x", "digest": "x"}, "split": {"train": [], "test": []}, "seed": -1}',
    ],
)
def test_a_hostile_record_of_the_training(run: bytes) -> None:
    with pytest.raises(ModelError, match="damaged"):
        representative.find_source({modelfile.RUN: run}, None)
