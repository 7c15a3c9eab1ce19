from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_sdk.contract import Channel
from edge_sdk.dataset import Dataset, Facts, NewRecording, Signal, write
from edge_sdk.dataset.manifest import write_manifest
from edge_sdk.errors import DatasetError
from tests.folders import MOTION, RATE_HZ, motion, pictures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    motion(tmp_path / "data")
    return tmp_path / "data"


def manifest(folder: Path, *rows: str, header: str = "file,label,group,start_s,end_s,split,target") -> None:
    (folder / "manifest.csv").write_text("\n".join([header, *rows]) + "\n")


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


def test_windows_are_those_of_the_chosen_groups_with_their_labels(folder: Path) -> None:
    dataset = Dataset.load(folder)
    windows = dataset.windows(["p1", "p3"], 40, 20)
    assert windows.x.shape == (20, 40, 3)
    assert windows.x.dtype == np.float32
    assert windows.y.dtype == np.int64
    assert windows.y.tolist() == [0] * 10 + [1] * 10
    assert sorted(set(windows.group)) == ["p1", "p3"]
    whole = dataset.read(next(r for r in dataset.recordings if r.group == "p1" and r.label == "rest"))
    np.testing.assert_array_equal(windows.x[1], whole.samples[20:60])
    assert len(windows.of(["p3"])) == 10
    assert set(windows.of(["p3"]).group) == {"p3"}


def test_pieces_are_the_same_windows_recording_by_recording(folder: Path) -> None:
    dataset = Dataset.load(folder)
    whole, pieces = dataset.windows(dataset.groups, 40, 20), list(dataset.pieces(dataset.groups, 40, 20))
    assert len(pieces) == len(dataset.recordings)
    np.testing.assert_array_equal(np.concatenate([piece.x for piece in pieces]), whole.x)
    np.testing.assert_array_equal(np.concatenate([piece.y for piece in pieces]), whole.y)
    assert [group for piece in pieces for group in piece.group] == whole.group
    assert not pieces[0].x.flags.owndata


def test_a_recording_without_a_label_is_kept_and_never_trained_on(folder: Path) -> None:
    shutil.copy(folder / "recordings/rest/p0_1.csv", folder / "recordings/new_1.csv")
    dataset = Dataset.load(folder)
    assert [r.label for r in dataset.recordings].count(None) == 1
    assert "new" not in dataset.groups
    assert len(dataset.windows([*dataset.groups, "new"], 40, 20)) == 50


def test_images_are_windows_as_they_are(tmp_path: Path) -> None:
    dataset = pictures(tmp_path / "d")
    assert dataset.layout == "HWC"
    assert dataset.rate_hz is None
    assert dataset.windows(["camera0"], 1, 1).x.shape == (12, 12, 12, 1)


# --- the digest


def test_the_digest_follows_the_content_and_not_the_place(folder: Path, tmp_path: Path) -> None:
    digest = Dataset.load(folder).digest
    assert digest.startswith("sha256:")
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert Dataset.load(tmp_path / "elsewhere").digest == digest

    path = tmp_path / "elsewhere" / "recordings/rest/p0_1.csv"
    path.write_text(path.read_text().replace("0.", "1.", 1))
    assert Dataset.load(tmp_path / "elsewhere").digest != digest


@pytest.mark.parametrize(
    "change",
    [
        lambda d: (d / "recordings/rest/p0_1.csv").rename(d / "recordings/shake/p0_9.csv"),
        lambda d: (d / "recordings/rest/p0_1.csv").unlink(),
        lambda d: (d / "dataset.toml").write_text((d / "dataset.toml").read_text().replace("20", "20.5")),
        lambda d: (d / "dataset.toml").write_text((d / "dataset.toml").read_text().replace('"g"', '"m/s2"')),
    ],
)
def test_labels_files_rate_and_units_are_part_of_the_digest(folder: Path, change: object) -> None:
    before = Dataset.load(folder).digest
    change(folder)  # type: ignore[operator]
    assert Dataset.load(folder).digest != before


# --- the manifest


def test_a_manifest_alone_says_what_the_recordings_are(folder: Path) -> None:
    manifest(
        folder, "recordings/rest/p0_1.csv,rest,anna,1,3,,", "recordings/rest/p0_1.csv,shake,anna,3,,,", ""
    )
    dataset = Dataset.load(folder)
    first, second = (dataset.read(recording) for recording in dataset.recordings)
    assert (len(first.samples), len(second.samples)) == (40, 60)
    assert dataset.groups == ("anna",)
    assert [recording.label for recording in dataset.recordings] == ["rest", "shake"]


def test_the_split_of_a_manifest_wins_and_validation_is_taken_from_training(folder: Path) -> None:
    sides = {"p0": "test", "p1": "train", "p2": "train", "p3": "", "p4": "train"}
    rows = [f"recordings/rest/{group}_1.csv,rest,{group},{side}" for group, side in sides.items()]
    manifest(folder, *rows, header="file,label,group,split")
    for seed in range(5):
        split = Dataset.load(folder).split(seed, validation=0.25)
        assert split.test == ("p0",)
        assert len(split.validation) == 1
        assert sorted([*split.train, *split.validation]) == ["p1", "p2", "p3", "p4"]
        assert split.by == "person"


def test_a_manifest_with_a_group_on_two_sides_cannot_be_split(folder: Path) -> None:
    manifest(
        folder,
        "recordings/rest/p0_1.csv,rest,p0,train",
        "recordings/shake/p0_1.csv,shake,p0,test",
        header="file,label,group,split",
    )
    with pytest.raises(DatasetError, match="person 'p0' is on two sides"):
        Dataset.load(folder).split(0)


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("file,label,group", "recordings/rest/p0_1.csv,rest", "line 2: expected 3 columns, found 2"),
        ("file,label", "a,b", "line 1: expected columns file,label,group"),
        ("file,label,group,colour", "a,b,c,d", "unknown column 'colour'"),
        ("file,label,group", "../../etc/passwd,rest,p0", "a path inside the folder"),
        ("file,label,group", "/etc/passwd,rest,p0", "a path inside the folder"),
        ("file,label,group", ",rest,p0", "a path inside the folder"),
        (
            "file,label,group",
            "recordings/rest/none_1.csv,rest,p0",
            r"no such recording: found recordings/rest/none_1\.csv",
        ),
        ("file,label,group", "recordings/rest/p0_1.csv,rest,", "line 2: group"),
        ("file,label,group", "recordings/rest/p0_1.csv,jump,p0", "unknown label.*one of rest, shake"),
        (
            "file,label,group,split",
            "recordings/rest/p0_1.csv,rest,p0,dev",
            "one of train, validation, test, found dev",
        ),
        (
            "file,label,group,start_s",
            "recordings/rest/p0_1.csv,rest,p0,soon",
            "line 2: start_s: expected a number",
        ),
        ("file,label,group,end_s", "recordings/rest/p0_1.csv,rest,p0,nan", "a finite number"),
        ("file,label,group,start_s,end_s", "recordings/rest/p0_1.csv,rest,p0,3,2", "0 <= start_s < end_s"),
        ("file,label,group", '"recordings', "cannot be read"),
    ],
)
def test_a_wrong_manifest_names_line_and_fault(folder: Path, header: str, row: str, message: str) -> None:
    manifest(folder, row, header=header)
    with pytest.raises(DatasetError, match=message):
        Dataset.load(folder)


def test_a_piece_beyond_the_end_is_refused(folder: Path) -> None:
    manifest(folder, "recordings/rest/p0_1.csv,rest,p0,1,9,,")
    dataset = Dataset.load(folder)
    with pytest.raises(DatasetError, match=r"p0_1\.csv: 1 to 9 s: expected 6\.00 s"):
        dataset.read(dataset.recordings[0])


# --- dataset.toml


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rate_hz = 20", "rate_hz = -1", "rate_hz: expected a positive rate"),
        ("rate_hz = 20", "rate_hz = true", "rate_hz: expected a number"),
        ("rate_hz = 20", "rate_hz = inf", "rate_hz: expected a positive rate"),
        ("rate_hz = 20", "rate = 20", "unknown key 'rate'.*did you mean 'rate_hz'"),
        ('task = "classification"', 'task = "magic"', "task: expected one of classification"),
        ('labels = ["rest", "shake"]', 'labels = ["rest", "rest"]', "labels: expected unlike names"),
        ('labels = ["rest", "shake"]', "labels = [1]", "labels: expected a list of names"),
        (
            'labels = ["rest", "shake"]',
            'labels = ["rest"]',
            "unknown label: expected one of rest, found 'shake'",
        ),
        ('name = "ay"', 'name = "ax"', "channels: expected unlike names"),
        ('name = "ay", unit = "g"', 'name = "ay", range = [2, -2]', "range of 'ay'"),
        ('name = "ay", unit = "g"', 'unit = "g"', "channels: expected"),
        ("channels = [", "channels = 3\nlabels = [", "cannot be read|channels"),
        ('name = "motion"', "name = [", "cannot be read: expected TOML"),
        ('group = "person"', "group = 4", "group: expected text"),
    ],
)
def test_a_wrong_dataset_toml_names_key_and_fault(folder: Path, old: str, new: str, message: str) -> None:
    path = folder / "dataset.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DatasetError, match=message) as caught:
        Dataset.load(folder)
    assert "\n" not in str(caught.value)


def test_folders_that_are_no_datasets_say_what_to_do(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        Dataset.load(tmp_path / "absent")
    with pytest.raises(DatasetError, match=r"no dataset\.toml.*edgeml data import"):
        Dataset.load(tmp_path)
    shutil.rmtree(folder / "recordings")
    with pytest.raises(DatasetError, match="no recordings"):
        Dataset.load(folder)


def test_names_without_a_group_and_strange_files_are_refused(folder: Path) -> None:
    path = (folder / "recordings/rest/p0_1.csv").rename(folder / "recordings/rest/walk.csv")
    with pytest.raises(DatasetError, match=r"no group in the name: expected <group>_<id>\.csv"):
        Dataset.load(folder)
    path.rename(folder / "recordings/rest/readme.txt")
    with pytest.raises(DatasetError, match=r"readme\.txt: does not belong here"):
        Dataset.load(folder)


# --- reading recordings


def test_columns_are_taken_by_name_whatever_their_order(folder: Path) -> None:
    path = folder / "recordings/rest/p0_1.csv"
    rows = ["az,extra,ax,ay", *(f"{n},0,{n + 1},{n + 2}" for n in range(50))]
    path.write_text("\n".join(rows))
    dataset = Dataset.load(folder)
    signal = dataset.read(dataset.recordings[0])
    assert signal.samples[0].tolist() == [1, 2, 0]
    assert signal.rate_hz == RATE_HZ

    path.write_text(path.read_text().replace("az", "bz", 1))
    with pytest.raises(DatasetError, match="channel 'az' is missing.*found bz, extra, ax, ay"):
        dataset.read(dataset.recordings[0])


def test_another_rate_and_another_number_of_channels_are_refused(folder: Path) -> None:
    dataset = Dataset.load(folder)
    path = folder / "recordings/rest/p0_1.csv"
    path.write_text("time_s,ax,ay,az\n" + "\n".join(f"{n / 25},1,2,3" for n in range(50)))
    with pytest.raises(
        DatasetError, match=r"p0_1\.csv: recorded at another rate: expected 20 Hz, found 25 Hz"
    ):
        dataset.read(dataset.recordings[0])
    np.savez(path.with_suffix(".npz"), samples=np.zeros((50, 2)))
    path.unlink()
    dataset = Dataset.load(folder)
    with pytest.raises(DatasetError, match=r"channels: expected 3 \(ax, ay, az\), found 2"):
        dataset.read(dataset.recordings[0])


def test_windows_refuse_nan_and_recordings_that_are_all_too_short(folder: Path) -> None:
    path = folder / "recordings/rest/p0_1.csv"
    path.write_text(path.read_text().rstrip("\n") + "\n6.0,nan,1,1\n")
    dataset = Dataset.load(folder)
    with pytest.raises(DatasetError, match="NaN or inf in the samples; see: edgeml data check"):
        dataset.windows(["p0"], 40, 20)
    with pytest.raises(DatasetError, match="no windows of 1000 samples from person p1"):
        dataset.windows(["p1"], 1000, 20)


def test_images_of_unlike_sizes_are_refused(tmp_path: Path) -> None:
    dataset = pictures(tmp_path / "d")
    other = pictures(tmp_path / "e", size=14)
    shutil.copy(other.folder / other.recordings[0].file, dataset.folder / dataset.recordings[0].file)
    with pytest.raises(DatasetError, match=r"size: expected \[14, 14, 1\], found \[12, 12, 1\]"):
        dataset.windows(dataset.groups, 1, 1)


# --- splitting


def test_split_and_folds_go_by_group(folder: Path) -> None:
    dataset = Dataset.load(folder)
    split = dataset.split(3)
    assert sorted([*split.train, *split.validation, *split.test]) == list(dataset.groups)
    assert sorted(group for fold in dataset.folds(5, 3) for group in fold.test) == list(dataset.groups)
    with pytest.raises(DatasetError, match="too few groups for 6 folds by person"):
        dataset.folds(6, 3)


def folded(folder: Path, folds: dict[str, object]) -> Dataset:
    rows = [f"{r.file},{r.label},{r.group},{folds[r.group]}" for r in Dataset.load(folder).recordings]
    (folder / "manifest.csv").write_text("\n".join(["file,label,group,fold", *rows]))
    return Dataset.load(folder)


def test_folds_of_the_manifest_win(folder: Path) -> None:
    dataset = folded(folder, {"p0": 2, "p1": 1, "p2": 3, "p3": 1, "p4": 2})
    made = dataset.folds(3, 0)
    assert [fold.test for fold in made] == [("p1", "p3"), ("p0", "p4"), ("p2",)]
    assert all(fold.validation and fold.train for fold in made)
    with pytest.raises(DatasetError, match="fold: expected 5 folds, found 3; take as many"):
        dataset.folds(5, 0)


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ({"p0": 1, "p1": 2, "p2": "", "p3": 1, "p4": 2}, "one for every group, found none for p2"),
        ({"p0": 0, "p1": 2, "p2": 1, "p3": 1, "p4": 2}, "line 2: fold: expected a whole number from 1 on"),
    ],
)
def test_folds_that_are_none_are_refused(folder: Path, folds: dict[str, object], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        folded(folder, folds).folds(2, 0)


def test_a_group_in_two_folds_is_refused(folder: Path) -> None:
    folded(folder, dict.fromkeys(["p0", "p1", "p2", "p3", "p4"], 1))
    path = folder / "manifest.csv"
    path.write_text(path.read_text().replace("p0,1", "p0,2", 1))
    with pytest.raises(DatasetError, match="person 'p0' is in two folds"):
        Dataset.load(folder).folds(2, 0)


def test_a_manifest_is_replaced_whole_and_folds_change_the_digest(folder: Path) -> None:
    dataset = Dataset.load(folder)
    write_manifest(folder / "manifest.csv", dataset.recordings)
    assert Dataset.load(folder).recordings == dataset.recordings
    assert Dataset.load(folder).digest == dataset.digest
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
    other = [replace(recording, fold=1) for recording in dataset.recordings]
    write_manifest(folder / "manifest.csv", other)
    assert Dataset.load(folder).recordings == tuple(other)
    assert Dataset.load(folder).digest != dataset.digest


# --- writing


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


@pytest.mark.parametrize("name", ["dataset.toml", "manifest.csv"])
def test_pipes_devices_and_sparse_files_are_not_read(folder: Path, name: str) -> None:
    path = folder / name
    for make, says in (
        (lambda: os.mkfifo(path), "no plain file"),
        (lambda: path.symlink_to("/dev/zero"), "no plain file"),
        (lambda: (path.touch(), os.truncate(path, 1 << 40)), "too large"),
    ):
        path.unlink(missing_ok=True)
        make()
        with pytest.raises(DatasetError, match=says):
            Dataset.load(folder)


def test_a_sparse_recording_is_not_read(folder: Path) -> None:
    os.truncate(next(folder.rglob("*.csv")), 1 << 40)
    with pytest.raises(DatasetError, match="too large"):
        Dataset.load(folder)
