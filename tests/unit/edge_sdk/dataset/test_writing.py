from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_sdk.contract import Channel
from edge_sdk.dataset import Dataset, Facts, NewRecording, Signal, write
from edge_sdk.errors import DatasetError
from tests.folders import MOTION, RATE_HZ


def test_a_written_folder_reads_back_as_it_was(tmp_path: Path) -> None:
    facts = Facts(
        name='quo"ted é',
        channels=(Channel("ax", "g", (-2.0, 2.0)), Channel("p", "Pa")),
        rate_hz=12.5,
        labels=("b", "a"),
        group="machine",
        licence="CC0",
        source="line one\nline two",
    )
    samples = np.arange(20, dtype=np.float32).reshape(10, 2)
    dataset = write(
        tmp_path / "d", facts, [NewRecording(Signal(samples, 12.5, ("ax", "p")), "b", "m_1", "x")]
    )
    assert {key: getattr(dataset, key) for key in Facts.__dataclass_fields__} == vars(facts)
    (recording,) = dataset.recordings
    assert (recording.file, recording.label, recording.group) == ("recordings/b/m_1_x.csv", "b", "m_1")
    signal = dataset.read(recording)
    np.testing.assert_array_equal(signal.samples, samples)
    assert signal.rate_hz == 12.5
    assert dataset.layout == "TC"
    assert dataset.groups == ("m_1",)


def test_labels_that_nobody_gave_are_written_down_sorted(tmp_path: Path) -> None:
    one = Signal(np.zeros((3, 3), np.float32), RATE_HZ, ("ax", "ay", "az"))
    facts = Facts(name="d", channels=MOTION, rate_hz=RATE_HZ)
    write(tmp_path / "d", facts, [NewRecording(one, "b", "g", "1"), NewRecording(one, "a", "g", "1")])
    assert 'labels = ["a", "b"]' in (tmp_path / "d" / "dataset.toml").read_text()


def failing() -> object:
    yield NewRecording(Signal(np.zeros((3, 3), np.float32), RATE_HZ, ("ax", "ay", "az")), "rest", "p0", "1")
    raise KeyboardInterrupt


FACTS = Facts(name="d", channels=MOTION, rate_hz=RATE_HZ)


def test_nothing_is_left_of_a_folder_that_could_not_be_finished(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "d", FACTS, failing())  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_an_existing_folder_is_only_replaced_when_asked_and_only_whole(folder: Path) -> None:
    digest = Dataset.load(folder).digest
    with pytest.raises(DatasetError, match="exists.*--force"):
        write(folder, FACTS, [])
    with pytest.raises(KeyboardInterrupt):
        write(folder, FACTS, failing(), replace=True)  # type: ignore[arg-type]
    assert Dataset.load(folder).digest == digest
    one = Signal(np.ones((3, 3), np.float32), RATE_HZ, ("ax", "ay", "az"))
    assert len(write(folder, FACTS, [NewRecording(one, "rest", "p0", "1")], replace=True).recordings) == 1


def test_a_folder_that_is_no_dataset_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("irreplaceable")
    with pytest.raises(DatasetError, match="no dataset"):
        write(tmp_path / "home", FACTS, [], replace=True)
    assert (tmp_path / "home" / "thesis.txt").exists()


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "a\nb", "a\\b"])
def test_names_that_are_no_file_names_are_refused(tmp_path: Path, name: str) -> None:
    one = Signal(np.ones((3, 3), np.float32), RATE_HZ, ("ax", "ay", "az"))
    with pytest.raises(DatasetError, match="a name that a file may have"):
        write(tmp_path / "d", FACTS, [NewRecording(one, name, "p0", "1")])
    assert not list(tmp_path.iterdir())


def test_two_recordings_of_one_name_are_refused(tmp_path: Path) -> None:
    one = Signal(np.ones((3, 3), np.float32), RATE_HZ, ("ax", "ay", "az"))
    with pytest.raises(DatasetError, match=r"p0_1\.csv: twice"):
        write(tmp_path / "d", FACTS, [NewRecording(one, "rest", "p0", "1")] * 2)


def test_a_split_that_is_given_goes_into_a_manifest(tmp_path: Path) -> None:
    one = Signal(np.ones((3, 3), np.float32), RATE_HZ, ("ax", "ay", "az"))
    sides = {"p0": "train", "p1": "validation", "p2": "test"}
    dataset = write(
        tmp_path / "d",
        FACTS,
        [NewRecording(one, "rest", group, "1", split=side) for group, side in sides.items()],
    )
    assert dataset.split(99).as_dict() == {
        "train": ["p0"],
        "validation": ["p1"],
        "test": ["p2"],
        "by": "group",
    }
