"""What a dataset folder says of several labels, of values, and of what is normal."""

from pathlib import Path

import numpy as np
import pytest

from edge_sdk.contract import Channel
from edge_sdk.dataset import Dataset, Facts, NewRecording, Signal, write
from edge_sdk.errors import DatasetError

CHANNELS = (Channel("a"),)


def recording(group, number, label=None, target=None):
    signal = Signal(np.full((10, 1), number, np.float32), 10.0, ("a",))
    return NewRecording(signal, label, group, f"{number}", target=target)


def made(folder: Path, task: str, recordings, **facts) -> Dataset:
    return write(folder / "d", Facts(name="d", channels=CHANNELS, rate_hz=10, task=task, **facts), recordings)


def test_labels_that_hold_together(tmp_path):
    every = ("fan", "mixer", "fan+mixer", "none")
    dataset = made(
        tmp_path,
        "multilabel",
        [recording(f"g{g}", n, label) for g in range(2) for n, label in enumerate(every)],
    )
    assert dataset.labels == ("fan", "mixer")
    windows = dataset.windows(dataset.groups, 10, 10)
    assert windows.y.dtype == np.float32
    said = {recording.label: windows.y[i].tolist() for i, recording in enumerate(dataset.recordings)}
    assert said == {"fan": [1, 0], "mixer": [0, 1], "fan+mixer": [1, 1], "none": [0, 0]}
    assert 'task = "multilabel"' in (dataset.folder / "dataset.toml").read_text()


def test_an_unknown_label_among_several_is_named(tmp_path):
    dataset = made(tmp_path, "multilabel", [recording("g", 1, "fan"), recording("g", 2, "mixer")])
    (dataset.folder / "recordings/fan+drill").mkdir()
    (dataset.folder / "recordings/fan/g_1.csv").rename(dataset.folder / "recordings/fan+drill/g_1.csv")
    with pytest.raises(DatasetError, match=r"unknown label: expected one of fan, mixer, found 'drill'"):
        Dataset.load(dataset.folder)


def test_values_have_a_column_each_and_their_units(tmp_path):
    targets = (Channel("flow", "l/min", (0.0, 40.0)), Channel("pressure", "Pa"))
    dataset = made(
        tmp_path,
        "regression",
        [recording(f"g{n}", n, target=(1.5 * n, 1e5 + n)) for n in range(4)],
        targets=targets,
    )
    again = Dataset.load(dataset.folder)
    assert again.targets == targets
    assert again.labels == ()
    assert again.groups == ("g0", "g1", "g2", "g3")
    windows = again.windows(("g2",), 10, 10)
    np.testing.assert_allclose(windows.y, [[3.0, 100_002.0]])
    header = (dataset.folder / "manifest.csv").read_text().splitlines()[0]
    assert header == "file,label,group,start_s,end_s,split,fold,flow,pressure"


@pytest.mark.parametrize("column", ["target", "speed"])
def test_a_single_value_may_be_called_target_and_labels_may_be_missing(tmp_path, column):
    dataset = made(
        tmp_path, "regression", [recording("g", 1, target=(2.0,))], targets=(Channel("speed", "rpm"),)
    )
    lines = f"file,group,{column}\nrecordings/g_1.csv,g,7\n"
    (dataset.folder / "manifest.csv").write_text(lines)
    assert Dataset.load(dataset.folder).recordings[0].target == (7.0,)


def test_without_targets_there_is_one_that_has_no_name(tmp_path):
    dataset = made(tmp_path, "regression", [recording("g", 1, target=(2.0,))], targets=(Channel("target"),))
    toml = dataset.folder / "dataset.toml"
    lines = toml.read_text().splitlines()
    toml.write_text("\n".join(line for line in lines if "target" not in line and line != "]") + "\n]\n")
    text = toml.read_text().replace('  { name = "a", unit = "" },\n', "").replace("\n]\n", "\n")
    toml.write_text(text.replace("channels = [", 'channels = [{ name = "a" }]'))
    assert [target.name for target in Dataset.load(dataset.folder).targets] == ["target"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("7,8", "7,", "line 2: pressure: expected a number, as for the other targets, found nothing"),
        ("7,8", "7,high", "line 2: pressure: expected a number, found 'high'"),
        ("7,8", "nan,8", "line 2: flow: expected a finite number"),
        ("flow,pressure", "flow,heat", "unknown column 'heat'"),
        ("flow,pressure", "target,pressure", "unknown column 'target'"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, old, new, message):
    dataset = made(
        tmp_path,
        "regression",
        [recording("g", 1, target=(7.0, 8.0))],
        targets=(Channel("flow"), Channel("pressure")),
    )
    lines = "file,group,flow,pressure\nrecordings/g_1.csv,g,7,8\n"
    (dataset.folder / "manifest.csv").write_text(lines.replace(old, new))
    with pytest.raises(DatasetError, match=message):
        Dataset.load(dataset.folder)


@pytest.mark.parametrize(
    ("task", "line", "message"),
    [
        ("classification", 'targets = [{ name = "x" }]', "targets: expected a task that learns values"),
        ("regression", 'targets = [{ name = "group" }]', "names that no other column of manifest.csv has"),
        ("regression", 'targets = [{ name = "x" }, { name = "x" }]', "targets: expected unlike names"),
        ("regression", "targets = 3", "targets: expected"),
    ],
)
def test_targets_that_cannot_be_are_refused(tmp_path, task, line, message):
    (tmp_path / "recordings").mkdir()
    (tmp_path / "dataset.toml").write_text(f'task = "{task}"\n{line}\nchannels = [{{ name = "a" }}]\n')
    with pytest.raises(DatasetError, match=message):
        Dataset.load(tmp_path)


def test_what_is_normal_comes_first_and_is_all_that_a_training_side_needs(tmp_path):
    recordings = [recording(f"g{g}", n, "normal") for g in range(6) for n in range(2)]
    recordings += [
        recording("g1", 7, "broken"),
        recording("odd1", 1, "broken"),
        recording("odd2", 1, "broken"),
    ]
    dataset = made(tmp_path, "anomaly", recordings)
    assert dataset.labels == ("normal", "broken")
    for seed in range(5):
        split = dataset.split(seed)
        assert {"odd1", "odd2"} <= set(split.test)
        assert set(split.test) - {"odd1", "odd2"}  # false alarms are known too
    folds = dataset.folds(3, 0)
    assert sorted(group for fold in folds for group in fold.test) == sorted(dataset.groups)
    assert all(not {"odd1", "odd2"} & {*fold.train, *fold.validation} for fold in folds)


def test_another_name_for_what_is_normal_has_to_be_listed_first(tmp_path):
    recordings = [recording("g", 1, "good"), recording("g", 2, "bad")]
    with pytest.raises(DatasetError, match=r"what is normal is not known: .* labels = \['good'"):
        made(tmp_path / "first", "anomaly", recordings)
    dataset = made(tmp_path / "second", "anomaly", recordings, labels=("good", "bad"))
    by_label = zip(dataset.recordings, dataset.windows(("g",), 10, 10).y, strict=True)
    assert {one.label: int(y) for one, y in by_label} == {"good": 0, "bad": 1}


def test_groups_are_divided_by_quarters_of_a_value(tmp_path):
    dataset = made(
        tmp_path,
        "regression",
        [recording(f"g{g}", n, target=(10.0 * (g // 2) + n,)) for g in range(8) for n in range(2)],
    )
    test = dataset.split(0, validation=0, test=0.5).test
    assert {int(group[1:]) // 2 for group in test} == {0, 1, 2, 3}


def test_digests_of_older_folders_stay_what_they_were(tmp_path):
    dataset = made(tmp_path, "classification", [recording("g", 1, "x"), recording("h", 2, "y")])
    # as edgeml had it before there were targets and folds
    assert dataset.digest == "sha256:c2f8b391de04ae0abcf11f0822efa97981f504256c3f628c3f99e8df6d0b4335"
    assert "targets" not in (dataset.folder / "dataset.toml").read_text()
