"""What a model is tried with."""

import numpy as np
import pytest

from edge_sdk import Model
from edge_sdk.contract import Lineage
from edge_sdk.errors import DatasetError, ModelError
from edge_sdk.modelfile import Golden
from firmware_bridge import cases
from firmware_bridge.cases import Cases
from firmware_bridge.subject import Subject, golden_rows
from tests.folders import motion
from tests.models import flatbuffer, write_model


@pytest.fixture
def model(linear_file):
    with Model.load(linear_file) as loaded:
        yield loaded


def saved(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_reads_a_file_without_running_it(linear_file):
    subject = Subject.read(linear_file)
    assert subject.contract.name == "linear"
    assert len(subject.golden) == 4
    with pytest.raises(ModelError, match="cannot be read"):
        Subject.read(linear_file.with_name("none.tflite"))


def test_samples_of_an_npz_but_those_for_calibration(tmp_path, model):
    x = np.arange(5 * 24, dtype=np.float32).reshape(5, 8, 3)
    marks = np.array([1, 0, 0, 1, 0], bool)
    path = saved(
        tmp_path / "test.npz", window=x, labels=np.arange(5) % 3, groups=list("aabbc"), calibration=marks
    )
    found = cases.from_npz(path, model)
    np.testing.assert_array_equal(found.windows, x[[1, 2, 4]])
    assert found.labels.tolist() == [1, 2, 1]
    assert found.groups == ("a", "b", "c")
    alone = cases.from_npz(saved(tmp_path / "x.npz", x=x), model)
    assert (len(alone), alone.labels, alone.groups, alone.basis) == (5, None, None, "x.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"z": np.zeros((2, 8, 3))},
            "input 'window' is missing: expected an array named 'window' or 'x', found z",
        ),
        ({"x": np.zeros((0, 8, 3))}, r"x: expected samples \[n, …\]"),
        ({"x": np.float32(1)}, r"x: expected samples \[n, …\]"),
        ({"x": np.zeros((2, 8, 3)), "labels": [1]}, "labels: expected 2, one for each sample"),
        ({"x": np.zeros((2, 8, 3)), "labels": [0.5, 1]}, "labels: expected integers"),
        ({"x": np.zeros((2, 8, 3)), "groups": np.array("a")}, "groups: expected 2"),
        ({"x": np.zeros((2, 8, 3)), "calibration": [True, True]}, "some that are not for calibration"),
        ({"x": np.array([None])}, "not a usable .npz"),
    ],
)
def test_refuses_an_npz_that_does_not_fit(tmp_path, model, arrays, message):
    with pytest.raises(DatasetError, match=message):
        cases.from_npz(saved(tmp_path / "bad.npz", **arrays), model)


def test_refuses_what_is_no_npz(tmp_path, model):
    with pytest.raises(DatasetError, match="no such file"):
        cases.from_npz(tmp_path / "none.npz", model)
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(DatasetError, match="not a usable .npz"):
        cases.from_npz(tmp_path / "text.npz", model)


def test_random_inputs_are_the_same_every_time_and_of_every_size(tmp_path, linear):
    path = tmp_path / "foreign.tflite"
    path.write_bytes(flatbuffer(linear))
    with Model.load(path) as model:
        subject = Subject.read(path)
        one, other = (cases.load(None, subject, model) for _ in range(2))
    np.testing.assert_array_equal(one.windows, other.windows)
    assert one.windows.shape == (cases.RANDOM_CASES, 8, 3)
    sizes = np.abs(one.windows).max(axis=(1, 2))
    assert sizes.min() < 1 < 10 < sizes.max()
    assert "random" in one.note


def test_a_part_of_them_is_spread_over_all():
    whole = Cases(np.arange(10), np.arange(10), tuple("abcdefghij"), "test")
    part = whole.at_most(4)
    assert part.windows.tolist() == [0, 3, 6, 9]
    assert part.labels.tolist() == [0, 3, 6, 9]
    assert part.groups == ("a", "d", "g", "j")
    assert part.basis == "4 of 10, test"
    assert whole.at_most(10) is whole
    named = Cases({"x": np.arange(10), "y": np.arange(10)}, None, None, "test").at_most(2)
    assert {name: array.tolist() for name, array in named.windows.items()} == {"x": [0, 9], "y": [0, 9]}


def test_golden_vectors_must_be_the_models(model):
    golden = Golden((np.zeros((2, 9, 3), np.float32),), (np.zeros((2, 3), np.float32),), (0.1,))
    with pytest.raises(ModelError, match=r"golden inputs do not fit the model: expected float32 \[8, 3\]"):
        golden_rows(golden, model)


def test_windows_of_a_dataset_are_those_that_the_model_never_saw(tmp_path):
    dataset = motion(tmp_path / "motion", labels=("x", "y", "z"))
    lineage = Lineage(dataset=dataset.digest, split="person", seed=3)
    file = write_model(tmp_path / "linear.tflite", lineage=lineage)
    found = cases.from_dataset(dataset.folder, Subject.read(file))
    assert set(found.groups) == set(dataset.split(3).test)
    assert found.windows.shape == (len(found), 8, 3)
    assert set(found.labels.tolist()) == {0, 1, 2}
    assert (found.basis, found.note) == ("test split of motion", None)
    other = motion(tmp_path / "other", labels=("x", "y"), seed=1)
    assert "was split anew" in cases.from_dataset(other.folder, Subject.read(file)).note


def test_refuses_a_dataset_with_labels_that_the_model_does_not_know(tmp_path, linear_file):
    dataset = motion(tmp_path / "motion")
    with pytest.raises(DatasetError, match="does not know the label 'rest'"):
        cases.from_dataset(dataset.folder, Subject.read(linear_file))
