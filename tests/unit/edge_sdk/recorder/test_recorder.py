import errno
import os
from dataclasses import replace

import numpy as np
import pytest

from edge_sdk import recordings
from edge_sdk.blocks import Block, Fault, boottime_s
from edge_sdk.contract import Channel
from edge_sdk.dataset import Dataset
from edge_sdk.errors import DatasetError, Fatal, Retry, SpecError
from edge_sdk.prediction import Prediction
from edge_sdk.recorder.recorder import Recorder
from edge_sdk.recorder.report import Settings
from edge_sdk.recorder.take import About, Take, left_behind
from edge_sdk.recorder.timeline import UNLABELLED, Timeline
from tests.waiting import wait_for

XYZ = ("ax", "ay", "az")
NUMBERS = np.random.default_rng(5).normal(size=(400, 3)).astype(np.float32)


class Live(list):
    """Blocks as if they came now."""

    live = True


def blocks(count=10, size=20, at_s=None, **more):
    at_s = boottime_s() if at_s is None else at_s
    return [
        Block(
            NUMBERS[n * size % 380 :][:size], 50.0, **{"channels": XYZ, **more}, time_s=at_s + n * size / 50
        )
        for n in range(count)
    ]


@pytest.fixture
def settings(tmp_path):
    return Settings(folder=tmp_path / "data", device="press-7")


def record(sources, settings, label="walk"):
    timeline = label if isinstance(label, Timeline) else Timeline(label)
    recorder = Recorder([sources], timeline, settings)
    return recorder, checked(recorder.run())


def checked(report):
    assert report.samples.balanced, report.samples.as_dict()
    assert report.samples.pending == 0
    assert report.samples.used == sum(each.samples for each in report.recordings)
    return report


def test_every_sample_is_in_the_recording(settings):
    _, report = record(blocks(), settings)
    dataset = Dataset.load(settings.folder)
    assert [(each.label, each.group) for each in dataset.recordings] == [("walk", "press-7")]
    assert dataset.rate_hz == 50.0
    assert [channel.name for channel in dataset.channels] == list(XYZ)
    signal = dataset.read(dataset.recordings[0])
    assert np.array_equal(signal.samples, NUMBERS[:200])
    assert report.amounts() == {"walk": (1, 4.0)}
    assert sorted(path.name for path in settings.folder.iterdir()) == ["dataset.toml", "recordings"]


def test_labels_change_at_the_sample(settings):
    timeline, at_s = Timeline(None), boottime_s()
    for label, after_s in (("walk", 0.5), ("rest", 2.1), (None, 3.5)):
        timeline.set(label, at_s + after_s)
    _, report = record(Live(blocks(at_s=at_s)), settings, timeline)
    assert [(each.label, each.samples) for each in report.recordings] == [("walk", 80), ("rest", 70)]
    assert report.samples.dropped == {"paused": 50}
    dataset = Dataset.load(settings.folder)
    walk = next(each for each in dataset.recordings if each.label == "walk")
    assert np.array_equal(dataset.read(walk).samples, NUMBERS[25:105])


def test_what_nobody_named_is_kept_without_a_label(settings):
    _, report = record(blocks(), settings, UNLABELLED)
    assert [each.label for each in report.recordings] == [None]
    assert Dataset.load(settings.folder).recordings[0].label is None


@pytest.mark.parametrize("where", ["gap", "fault", "nan"])
def test_no_recording_spans_a_hole(settings, where):
    given = blocks()
    if where == "gap":
        given[5] = replace(given[5], gap=True)
    elif where == "fault":
        given.insert(5, Fault("garbage", 3, device="press-7"))
    else:
        given[5] = replace(given[5], samples=np.full((20, 3), np.nan, np.float32))
    _, report = record(given, settings)
    assert [each.samples for each in report.recordings] == ([100, 80] if where == "nan" else [100, 100])
    assert report.samples.dropped == {"gap": {}, "fault": {"fault": 3}, "nan": {"fault": 20}}[where]


def test_short_ones_are_thrown_away_and_long_ones_go_on(settings):
    given = blocks()
    given[1] = replace(given[1], gap=True)
    _, report = record(given, replace(settings, longest_s=1.2))
    assert report.samples.dropped == {"short": 20}
    assert [each.samples for each in report.recordings] == [60, 60, 60]


def test_devices_of_one_group_and_groups_of_one_device(settings, tmp_path):
    given = [b for pair in zip(blocks(device="left_1"), blocks(device="right"), strict=True) for b in pair]
    _, report = record(given, settings)
    assert sorted({each.group for each in Dataset.load(settings.folder).recordings}) == ["left_1", "right"]
    together = replace(settings, folder=tmp_path / "one", group="anna")
    recorder = Recorder([blocks(device="left_1"), blocks(device="right")], Timeline("walk"), together)
    report = checked(recorder.run())
    dataset = Dataset.load(together.folder)
    assert [each.group for each in dataset.recordings] == ["anna", "anna"]
    assert any("left-1" in each.file for each in dataset.recordings)
    assert len(report.recordings) == 2


def test_a_folder_grows_and_learns_labels(settings):
    record(blocks(), settings)
    facts = (settings.folder / "dataset.toml").read_text()
    (settings.folder / "dataset.toml").write_text(f'labels = ["walk"]\n{facts}')
    record([replace(each, channels=()) for each in blocks()], settings, "rest")
    dataset = Dataset.load(settings.folder)
    assert dataset.labels == ("walk", "rest")
    assert len(dataset.recordings) == 2


def test_the_same_second_twice(settings):
    wall_s = 1.7e9
    for _ in range(2):
        record([replace(each, wall_s=wall_s) for each in blocks()], settings)
    assert len(Dataset.load(settings.folder).recordings) == 2


def test_a_manifest_lists_what_is_added(settings):
    record(blocks(), settings)
    first = Dataset.load(settings.folder).recordings[0].file
    manifest = settings.folder / "manifest.csv"
    manifest.write_text(f"file,label,group,split\n{first},walk,press-7,test\n")
    record(blocks(), settings, "rest")
    found = Dataset.load(settings.folder).recordings
    assert [(each.label, each.split) for each in found] == [("walk", "test"), ("rest", None)]


def test_units_and_ranges_are_kept_and_ranges_are_held(settings):
    channels = (Channel("ax", "g", (-1.0, 1.0)), Channel("ay", "g"), Channel("az", "g"))
    given = blocks(4)
    given[2] = replace(given[2], samples=given[2].samples + np.float32(50))
    _, report = record(
        [replace(each, samples=np.clip(each.samples, -1, 99)) for each in given],
        replace(settings, channels=channels),
    )
    assert Dataset.load(settings.folder).channels == channels
    assert report.faults["range"] > 0
    assert report.samples.dropped["fault"] > 0


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"channels": ("x", "y", "z")}, "channels: expected ax, ay, az, found x, y, z"),
        ({"rate_hz": 100.0}, "rate: expected 50 Hz, found 100 Hz"),
    ],
)
def test_other_recordings_go_elsewhere(settings, change, complaint):
    record(blocks(), settings)
    before = sorted(settings.folder.rglob("*"))
    recorder = Recorder([[replace(each, **change) for each in blocks()]], Timeline("walk"), settings)
    with pytest.raises(DatasetError, match=complaint) as caught:
        recorder.run()
    assert caught.value.report.samples.balanced
    assert sorted(settings.folder.rglob("*")) == before


def test_a_source_that_changes_ends_the_recording_and_keeps_what_was(settings):
    given = blocks(8)
    given[6] = replace(given[6], rate_hz=20.0)
    recorder = Recorder([given], Timeline("walk"), settings)
    with pytest.raises(SpecError, match="expected 50 Hz, found 20 Hz"):
        recorder.run()
    assert [each.samples for each in checked(recorder.report).recordings] == [120]


def test_a_folder_of_something_else_is_left_alone(settings):
    settings.folder.mkdir()
    (settings.folder / "thesis.tex").write_text("")
    with pytest.raises(
        DatasetError, match=r"expected a dataset folder, an empty one or none, found thesis.tex"
    ):
        Recorder([blocks()], Timeline("walk"), settings).run()


def test_undo_takes_the_last_one_away(settings):
    def source():
        first = blocks(4)
        yield from first[:3]
        yield replace(first[3], end=True)
        wait_for(lambda: recorder.report.recordings, 30.0)
        recorder.undo()
        wait_for(lambda: not recorder.report.recordings, 30.0)
        yield from blocks(1)

    recorder = Recorder([source()], Timeline("walk"), settings)
    report = checked(recorder.run())
    assert report.recordings == []
    assert report.samples.dropped == {"undone": 80, "paused": 20}
    assert not [path for path in (settings.folder / "recordings").rglob("*") if path.is_file()]


def test_what_a_dead_recorder_left_is_finished(settings):
    record(blocks(), settings)
    about = About(label="fall", group="anna", name="x", channels=3, rate_hz=50.0, suffix=".csv")
    take = Take(settings.folder, about)
    take.append(NUMBERS[:60])
    os.write(take._file, b"\x01\x02\x03")  # torn by the crash
    take.close()
    (settings.folder / ".recording" / "y.take").write_bytes(b'{"label": null')  # died at once
    _, report = record(blocks(), settings)
    assert report.recovered == ["recordings/fall/anna_x.csv"]
    dataset = Dataset.load(settings.folder)
    fall = next(each for each in dataset.recordings if each.label == "fall")
    assert np.array_equal(dataset.read(fall).samples, NUMBERS[:60])


def test_what_another_recorder_still_writes_is_left_alone(settings):
    record(blocks(), settings)
    about = About(label="fall", group="anna", name="x", channels=3, rate_hz=50.0, suffix=".csv")
    take = Take(settings.folder, about)
    take.append(NUMBERS[:60])
    assert list(left_behind(settings.folder)) == []
    take.discard()
    take.close()


def test_a_full_disk_keeps_what_was_and_says_so(settings, monkeypatch):
    record(blocks(), settings)
    write, left = os.write, [4000]

    def full(file, data):
        left[0] -= len(data)
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data)

    monkeypatch.setattr("edge_sdk.recorder.take.os.write", full)
    recorder = Recorder([blocks(20)], Timeline("rest"), settings)
    with pytest.raises(Retry, match="No space left on device; free some space") as caught:
        recorder.run()
    assert caught.value.exit_code == 3
    report = recorder.report
    assert report.samples.balanced
    assert report.samples.used % 20 == 0
    assert report.samples.dropped["fault"] == 20
    monkeypatch.undo()
    assert len(Dataset.load(settings.folder).recordings) == 2


def test_a_folder_that_nobody_may_write(settings, monkeypatch):
    def refuse(*arguments, **more):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("edge_sdk.dataset.collection.Path.mkdir", refuse)
    with pytest.raises(Fatal, match="Read-only file system"):
        Recorder([blocks()], Timeline("walk"), settings).run()


def test_predictions_are_no_recordings(settings):
    with pytest.raises(SpecError, match="expected blocks of samples, found predictions"):
        Recorder([[Prediction.of([0.5], device="a")]], Timeline("walk"), settings).run()


def test_a_replayed_file_is_the_file(settings, tmp_path):
    path = tmp_path / "walk.csv"
    recordings.write(path, recordings.Signal(NUMBERS, 50.0, XYZ))
    recorder = Recorder([f"replay:{path}?speed=max"], Timeline("walk"), settings)
    assert checked(recorder.run()).amounts() == {"walk": (1, 8.0)}
    dataset = Dataset.load(settings.folder)
    assert np.allclose(dataset.read(dataset.recordings[0]).samples, NUMBERS)
